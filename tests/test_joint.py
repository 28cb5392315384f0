"""Lists of cases from several data sets: what is taken from each, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_openkbp import made_up_patient

from organnet import experiment
from organnet.datasets import open_dataset
from organnet.datasets.case import Case
from organnet.datasets.joint import take_organs
from organnet.errors import OrganNetError
from organnet.experiment import open_run, train_run
from organnet.organs import ORGAN_NAMES
from organnet.phantom import SIZES, write_phantom
from organnet.volume import Volume


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joint")
    write_phantom(folder / "one", 3, 0, SIZES["smoke"])
    return folder


def written(data: Path, groups: object, name: str = "list.json") -> Path:
    path = data / "lists" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"groups": groups}))
    return path


def group(split: str, *cases: str, **more: object) -> dict:
    return {"folder": "../one", "split": split, "cases": list(cases), **more}


def test_cases_keep_their_split_and_their_organs(data: Path) -> None:
    some = ["OpticNerve_L", "Chiasm"]
    path = written(
        data,
        [
            group("training", "phantom0000", organs=some, repeat=3),
            group("test", "phantom0002"),
        ],
    )
    dataset = open_dataset("joint", path)
    assert dataset.splits["training"] == ("phantom0000",)
    assert dataset.repeat == {"phantom0000": 3, "phantom0002": 1}
    assert dataset.splits["validation"] == ()
    assert dataset.splits["test"] == ("phantom0002",)
    assert dataset.load("phantom0000").drawn == frozenset(some)
    assert dataset.load("phantom0002").drawn == frozenset(ORGAN_NAMES)


def test_a_repeated_case_is_shown_more_often(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [group("training", "phantom0000", repeat=3), group("training", "phantom0001")]
    run = open_run("joint", "smoke", written(data, groups), tmp_path)
    shown = []
    monkeypatch.setattr(experiment, "train", lambda _, __, cases, ___: shown.extend(cases))
    train_run(run)
    assert [case.name for case in shown] == ["phantom0000"] * 3 + ["phantom0001"]
    assert shown[0] is shown[1]


def test_another_list_is_another_run(data: Path, tmp_path: Path) -> None:
    def opened(**more: object) -> None:
        open_run("joint", "smoke", written(data, [group("test", "phantom0000", **more)]), tmp_path)

    opened()
    opened()
    with pytest.raises(OrganNetError, match="other data"):
        opened(organs=["Chiasm"])


def test_organs_not_taken_are_background_and_not_drawn() -> None:
    labels = Volume(np.array([[[0, 1, 2, 3, 255]]], np.uint8), (1.0, 1.0, 1.0))
    case = Case("tiny", labels, labels, frozenset({"BrainStem", "Chiasm", "Mandible"}))
    taken = take_organs(case, frozenset({"Chiasm", "Parotid_L"}))
    assert taken.drawn == {"Chiasm"}
    assert taken.labels.array.ravel().tolist() == [0, 0, 2, 0, 255]
    assert case.labels.array.ravel().tolist() == [0, 1, 2, 3, 255]


def test_openkbp_is_known_by_its_files(shared_data: Path, tmp_path: Path) -> None:
    """A made-up patient in OpenKBP's layout beside a real case in PDDCA's."""
    made_up_patient(tmp_path / "kbp" / "pt_1")
    matched = shared_data / "matched"
    groups = [
        {"folder": "../kbp", "split": "training", "cases": ["pt_1"]},
        {"folder": str(matched), "split": "test", "cases": ["0522c0708__pt_3"]},
    ]
    dataset = open_dataset("joint", written(tmp_path, groups))
    assert dataset.load("pt_1").ct.shape == (128, 128, 128)
    assert "OpticNerve_L" in dataset.load("0522c0708__pt_3").drawn


def test_a_split_can_be_used_without_the_data_of_another(data: Path, tmp_path: Path) -> None:
    groups = [group("training", "phantom0009"), group("test", "phantom0000")]
    dataset = open_dataset("joint", written(data, groups))
    assert len(dataset.sha256(dataset.splits["test"])) == 64  # as scoring asks for it
    assert dataset.load("phantom0000").drawn
    with pytest.raises(OrganNetError, match=r"phantom0009"):
        dataset.load("phantom0009")
    with pytest.raises(OrganNetError, match=r"not there .*phantom0009"):
        open_run("joint", "smoke", written(data, groups), tmp_path / "run")
    assert not (tmp_path / "run" / "settings.json").exists()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("none", "has no list of groups"),
        ([3], "has no list of groups"),
        ([group("train", "phantom0000")], "split is none of training, validation, test"),
        ([group("training", "phantom0000"), group("test", "phantom0000")], "phantom0000 twice"),
        ([group("test", "phantom0000", repeat=2)], "repeat is not for training"),
        ([group("training", "phantom0000", repeat=0)], "whole number"),
        ([group("training", "phantom0000", organs=["Heart"])], "organs is no list of BrainStem"),
        ([group("training", "phantom0000", weight=2)], "unknown words weight"),
        ([{"split": "test", "cases": ["phantom0000"]}], "folder is no text"),
        ([{"folder": "../one", "split": "test", "cases": "phantom0000"}], "no list of names"),
    ],
)
def test_a_faulty_list_is_one_line(data: Path, groups: object, message: str) -> None:
    path = written(data, groups, "faulty.json")
    with pytest.raises(OrganNetError, match=message) as raised:
        open_dataset("joint", path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_list_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(OrganNetError, match="does not exist"):
        open_dataset("joint", tmp_path / "absent.json")
    with pytest.raises(OrganNetError, match="is a folder: name the JSON file"):
        open_dataset("joint", tmp_path)
