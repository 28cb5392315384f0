"""The paper's experiment on PDDCA, all but its score: one real case, 15 real drawings, phantoms.

The drawings have no CT here: one is painted around each. To be quick, the data set that is run end
to end takes every fourth pixel of the real cases, and phantoms of 4 mm voxels in the place of the
other 32 cases. The paper's own grid and windows are tried on the real case as it is.
"""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from painted_ct import ct_around, fitted_pose

from organnet import inference
from organnet.datasets import Case
from organnet.datasets.pddca import (
    ADDITIONAL,
    OFF_SITE,
    ON_SITE,
    TRAINING,
    read_case,
    read_labels,
)
from organnet.errors import OrganNetError
from organnet.experiment import open_run
from organnet.files import read_json
from organnet.head import head_box
from organnet.hu import TISSUE_FROM_HU
from organnet.organs import ORGAN_NAMES, organ
from organnet.paper import PAPER, PAPER_RESULTS, mean_dsc
from organnet.patches import Patches, stack
from organnet.phantom import SIZES, PhantomSize, make_case
from organnet.phantom.anatomy import MEASURED
from organnet.phantom.shapes import rotation
from organnet.prepared import prepare
from organnet.settings import make_settings
from organnet.sides import left_right_agrees
from organnet.training import start_state, train_step
from organnet.volume import Volume, same_grid, to_lps, write_volume
from organnet.weights import Network

WITH_CT = "0522c0014"
PIXELS = 4  # every fourth pixel of a real case
STAND_IN = PhantomSize(matrix=70, fov_mm=280.0, slice_mm=4.0)
NOT_DRAWN = {
    "Mandible": "0329 0330 0427 0433 0441 0455 0457 0479",
    "Submandibular_L": "0079 0159 0161 0226 0330 0441 0455",
    "Submandibular_R": "0014 0077 0147 0159 0161 0190 0330 0433 0441 0455 0457 0479",
}
"""PDDCA's own list, by the last digits of the case."""


def fewer_pixels(volume: Volume) -> Volume:
    z, y, x = volume.spacing_mm
    array = np.ascontiguousarray(volume.array[:, ::PIXELS, ::PIXELS])
    return Volume(array, (z, PIXELS * y, PIXELS * x), volume.origin_mm, volume.direction)


def voxels(case: Case, name: str) -> np.ndarray:
    return case.labels.array == organ(name).label


@pytest.fixture(scope="module")
def painted(shared_data: Path) -> dict[str, Case]:
    """The 15 cases that are drawings alone, with a CT painted around them; fewer pixels."""
    cases = {}
    for seed, folder in enumerate(sorted((shared_data / "pddca").iterdir())):
        if folder.name != WITH_CT:
            whole, drawn = read_labels(folder)
            labels = fewer_pixels(whole)
            cases[folder.name] = Case(folder.name, ct_around(labels, drawn, seed), labels, drawn)
    return cases


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Case:
    return read_case(shared_data / "pddca" / WITH_CT)


@pytest.fixture(scope="module")
def root(painted: dict[str, Case], real: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PDDCA's 48 cases in its own layout."""
    out = tmp_path_factory.mktemp("pddca")
    for case in painted.values():
        write_case(case, out / case.name)
    small = dataclasses.replace(real, ct=fewer_pixels(real.ct), labels=fewer_pixels(real.labels))
    write_case(small, out / real.name)
    for name in (*TRAINING, *ADDITIONAL, *ON_SITE, *OFF_SITE):
        if not (out / name).exists():
            write_case(make_case(0, int(name[-4:]), STAND_IN), out / name)
    return out


def write_case(case: Case, folder: Path) -> None:
    write_volume(case.ct, folder / "img.nrrd")
    for name in sorted(case.drawn):
        if folder.name[-4:] not in NOT_DRAWN.get(name, ""):
            mask = case.labels.with_array(voxels(case, name).astype(np.uint8))
            write_volume(mask, folder / "structures" / f"{name}.nrrd")


# A CT painted around drawings


def test_the_pose_is_found_from_the_centroids() -> None:
    turn, scale, shift = (9.0, -3.0, 4.0), 0.93, np.array([30.0, -200.0, 140.0])
    places = {name: np.array(MEASURED[name].centroid_mm) for name in ORGAN_NAMES}
    pose = fitted_pose({n: scale * rotation(turn) @ at + shift for n, at in places.items()})
    assert pose.turn == pytest.approx(turn)
    assert pose.scale == pytest.approx((scale,) * 3)
    assert pose.shift == pytest.approx(shift)
    neck = pose.to_scanner(np.array([[0.0, 0.0, -120.0], [0.0, 0.0, -200.0]]))
    assert neck[0, :2] == pytest.approx(neck[1, :2], abs=1.0)  # straight down, flat on the couch


def test_two_organs_are_not_enough() -> None:
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, 1, 1], labels[3, 3, 3] = 1, 3
    with pytest.raises(OrganNetError, match=r"^2 organs do not tell.*with three$"):
        ct_around(Volume(labels, (9.0, 9.0, 9.0)), frozenset(ORGAN_NAMES), 0)


def test_the_axes_of_the_file_do_not_matter() -> None:
    case = make_case(0, 1, SIZES["smoke"])
    labels = case.labels
    turned = Volume(  # stored as x, z, y with z and x running the other way
        np.ascontiguousarray(labels.array.transpose(2, 0, 1)[::-1, ::-1]),
        labels.spacing_mm,
        origin_mm=tuple(labels.position_mm((labels.shape[0] - 1, 0, labels.shape[2] - 1))),
        direction=np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]]),
    )
    assert same_grid(to_lps(turned), labels)
    ct = ct_around(turned, case.drawn, 3)
    assert same_grid(ct, turned)
    assert np.array_equal(to_lps(ct).array, ct_around(labels, case.drawn, 3).array)


def test_an_organ_that_was_not_drawn_is_there_all_the_same() -> None:
    """Unknown is not absent: where the jaw was not drawn, the person has one nevertheless."""
    case = make_case(0, 1, SIZES["smoke"])
    jaw = voxels(case, "Mandible")
    labels = case.labels.with_array(np.where(jaw, np.uint8(0), case.labels.array))
    ct = ct_around(labels, case.drawn - {"Mandible"}, 3)
    assert np.median(ct.array[jaw]) > 300


def test_what_was_drawn_takes_the_place_of_the_phantoms_own() -> None:
    """A ball of jaw in the middle of the mouth: there is bone in it, and none where jaws are."""
    case = make_case(0, 1, SIZES["smoke"])
    jaw = voxels(case, "Mandible")
    offsets = np.argwhere(np.ones(jaw.shape, bool)) - np.argwhere(jaw).mean(0)
    ball = (np.linalg.norm(offsets * case.labels.spacing_mm, axis=1) < 12).reshape(jaw.shape)
    labels = np.where(jaw, np.uint8(0), case.labels.array)
    labels[ball] = organ("Mandible").label
    ct = ct_around(case.labels.with_array(labels), case.drawn, 3)
    assert np.percentile(ct.array[ball], 5) > 100
    assert np.median(ct.array[jaw & ~ball]) < 150


def test_the_painted_ct_shows_what_was_drawn(painted: dict[str, Case]) -> None:
    assert len(painted) == 15
    for case in painted.values():
        assert same_grid(case.ct, case.labels) and case.ct.array.dtype == np.int16
        for name in case.drawn:
            hu = case.ct.array[voxels(case, name)]
            low, high = (500, 1400) if name == "Mandible" else (-60, 90)
            assert low < hu.mean() < high, (case.name, name)
            if name == "Mandible":
                assert np.percentile(hu, 5) > 150, case.name


def test_the_head_found_holds_every_organ(painted: dict[str, Case]) -> None:
    for case in painted.values():
        outside = case.labels.array.copy()
        outside[head_box(case.ct)] = 0
        assert not outside.any(), case.name
        assert left_right_agrees(case.labels) is True, case.name


# The experiment


def test_the_paper_profile_trains_on_38_cases_and_tests_on_the_ten(
    root: Path, tmp_path: Path
) -> None:
    run = open_run("pddca", "paper", root, tmp_path / "run")
    assert run.settings.patches.spacing_mm == (2.5, 1.0, 1.0)
    assert run.settings.patches.size == (48, 256, 256)
    splits = run.dataset.splits
    learnt = [name for split in run.settings.training.train_on for name in splits[split]]
    assert len(learnt) == 25 + 8 + 5
    assert set(learnt) == {*TRAINING, *ADDITIONAL, *ON_SITE}
    assert splits["test"] == OFF_SITE and len(OFF_SITE) == 10
    assert not set(learnt) & set(splits["test"])
    drawn = {name: run.dataset.load(name).drawn for name in learnt}
    for name, without in NOT_DRAWN.items():
        assert {n[-4:] for n in learnt if name not in drawn[n]} == set(without.split()), name


def test_reproduce_ends_with_the_papers_table_beside_ours(root: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "organnet.cli", "reproduce", "--dataset", "pddca"),
        *("--profile", "smoke", "--data", str(root), "--out", str(tmp_path / "run")),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    cases = read_json(tmp_path / "run" / "settings.json")["data"]["cases"]
    assert [len(cases[split]) for split in ("training", "validation", "test")] == [33, 5, 10]
    end = result.stdout[result.stdout.rindex("[4/4]") :]
    assert re.search(r"^organ .* n  paper DSC %", end, re.MULTILINE)
    rows = [line for line in end.splitlines() if line.startswith(ORGAN_NAMES)]
    for row, name in zip(rows, ORGAN_NAMES, strict=True):
        assert re.search(rf"^{name} .* 10 +{PAPER_RESULTS[PAPER][name]}(  .*)?$", row), row
    assert re.search(rf"^mean of organs .* {mean_dsc(PAPER):.1f}$", end, re.MULTILINE)


def test_a_step_and_a_whole_ct_on_the_papers_grid(
    real: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paper's grid, windows and overlap; only the network is narrow, so that it is quick."""
    settings = make_settings("pddca", "paper")
    settings = dataclasses.replace(
        settings,
        model=dataclasses.replace(settings.model, width=2),
        training=dataclasses.replace(settings.training, batch=1, precision="float32"),
    )
    prepared = prepare(real, settings.patches.spacing_mm)
    assert prepared.spacing_mm == pytest.approx((2.5, 1.0, 1.0), rel=0.01)
    for name in real.drawn:  # no small organ is lost
        there = np.count_nonzero(prepared.labels == organ(name).label)
        ml = there * float(np.prod(prepared.spacing_mm)) / 1000
        assert ml == pytest.approx(voxels(real, name).sum() * real.labels.voxel_ml, rel=0.1), name

    state = start_state(settings, torch.device("cpu"))
    before = [p.detach().clone() for p in state.model.parameters()]
    batch = stack([Patches([prepared], settings.patches, 1, seed=0)[0]])
    assert batch.ct.shape == (1, 1, 48, 256, 256)
    train_step(state, batch, settings, torch.device("cpu"))
    assert 0 < state.clock.sums["loss"] < 5
    assert any(not torch.equal(a, b) for a, b in zip(before, state.model.parameters(), strict=True))

    seen = []

    def watched(network, hu, *arguments):
        p = windows(network, hu, *arguments)
        seen.append((hu, p))
        return p

    windows = inference.window_probabilities
    monkeypatch.setattr(inference, "window_probabilities", watched)
    labels = inference.predict([Network(state.model.eval(), settings)], real.ct).labels
    ((hu, p),) = seen
    assert p.shape == (10, *prepared.ct.shape)
    assert any(n > w for n, w in zip(hu.shape, settings.patches.size, strict=True))
    assert (p[0][hu > TISSUE_FROM_HU] < 1).all()  # what no window saw is background for certain
    assert labels.shape == (159, 512, 512) and same_grid(labels, real.ct)
    assert labels.array.dtype == np.uint8 and labels.array.max() < 10
