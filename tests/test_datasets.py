"""PDDCA's layout, splits, left and right: what is read, what is unknown, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from organnet.datasets import DATASETS, open_dataset, pddca
from organnet.datasets.case import compose_labels, crop_mask
from organnet.errors import OrganNetError
from organnet.organs import ORGAN_NAMES, organ
from organnet.sides import left_right_agrees
from organnet.volume import Volume, same_grid, write_volume

SPACING = (3.0, 1.0, 1.0)
SHAPE = (12, 24, 28)

# --- PDDCA's layout, made up ----------------------------------------------------------------


def small_ct() -> np.ndarray:
    array = np.full(SHAPE, -1000, np.int16)
    array[2:10, 4:20, 4:24] = 40
    return array


def box(z: slice, y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[z, y, x] = 1
    return mask


MASKS = {
    "BrainStem": box(slice(6, 10), slice(12, 16), slice(12, 16)),
    "Mandible": box(slice(2, 4), slice(5, 8), slice(8, 20)),
    "Parotid_L": box(slice(3, 6), slice(10, 14), slice(19, 23)),
    "Parotid_R": box(slice(3, 6), slice(10, 14), slice(5, 9)),
}


def write_case(folder: Path, masks: dict[str, np.ndarray], spacing=SPACING) -> Path:
    write_volume(Volume(small_ct(), spacing), folder / "img.nrrd")
    for name, mask in masks.items():
        write_volume(Volume(mask, spacing), folder / "structures" / f"{name}.nrrd")
    return folder


def one_line(error: pytest.ExceptionInfo[OrganNetError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_case_has_its_labels_and_what_was_drawn(tmp_path: Path) -> None:
    case = pddca.read_case(write_case(tmp_path / "A", MASKS))
    assert case.name == "A"
    assert case.ct.array.dtype == np.int16 and case.labels.array.dtype == np.uint8
    assert same_grid(case.ct, case.labels)
    assert case.drawn == set(MASKS)
    for name, mask in MASKS.items():
        assert np.array_equal(case.labels.array == organ(name).label, mask > 0)


def test_missing_and_empty_structures_are_not_drawn(tmp_path: Path) -> None:
    masks = MASKS | {"Chiasm": np.zeros(SHAPE, np.uint8)}
    assert pddca.read_case(write_case(tmp_path / "A", masks)).drawn == set(MASKS)


def test_any_value_above_zero_is_the_organ(tmp_path: Path) -> None:
    for name, factor in {"A": np.uint8(255), "B": np.float32(0.5), "C": np.int16(7)}.items():
        masks = {"BrainStem": MASKS["BrainStem"] * factor}
        case = pddca.read_case(write_case(tmp_path / name, masks))
        assert np.array_equal(case.labels.array == 1, MASKS["BrainStem"] > 0)


def test_the_smaller_organ_wins_an_overlap(tmp_path: Path) -> None:
    masks = {
        "Mandible": box(slice(2, 10), slice(2, 12), slice(2, 20)),
        "BrainStem": box(slice(2, 10), slice(2, 22), slice(2, 20)),
        "Submandibular_L": box(slice(5, 7), slice(5, 7), slice(5, 7)),
    }
    labels = pddca.read_case(write_case(tmp_path / "A", masks)).labels.array
    assert (labels[masks["Submandibular_L"] > 0] == 8).all()
    assert (labels == 3).sum() == masks["Mandible"].sum() - masks["Submandibular_L"].sum()


def test_a_mask_is_kept_as_its_box() -> None:
    mask = MASKS["Mandible"] > 0
    kept = crop_mask(mask)
    assert kept is not None and kept.inside.shape == (2, 3, 12)
    assert np.array_equal(compose_labels({"Mandible": kept}, SHAPE) == 3, mask)
    assert crop_mask(np.zeros(SHAPE, bool)) is None


def test_structures_are_read_without_an_image(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "A", MASKS)
    whole = pddca.read_case(folder)
    (folder / "img.nrrd").unlink()
    labels, drawn = pddca.read_labels(folder)
    assert np.array_equal(labels.array, whole.labels.array)
    assert drawn == whole.drawn
    with pytest.raises(OrganNetError, match=r"img\.nrrd is missing: put") as error:
        pddca.read_case(folder)
    assert str(folder) in one_line(error)


@pytest.mark.parametrize("with_image", [True, False])
def test_a_structure_on_another_grid_is_refused(tmp_path: Path, with_image: bool) -> None:
    folder = write_case(tmp_path / "A", MASKS)
    other = folder / "structures" / "Parotid_L.nrrd"
    write_volume(Volume(MASKS["Parotid_L"], SPACING, (0.0, 0.0, 5.0)), other)
    read = pddca.read_case if with_image else pddca.read_labels
    first = folder / ("img.nrrd" if with_image else "structures/BrainStem.nrrd")
    with pytest.raises(OrganNetError, match="another grid") as error:
        read(folder)
    assert str(other) in one_line(error) and str(first) in one_line(error)


def test_a_faulty_structure_is_named(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "A", MASKS)
    path = folder / "structures" / "Mandible.nrrd"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(OrganNetError, match="truncated") as error:
        pddca.read_case(folder)
    assert str(path) in one_line(error)


def test_a_case_without_structures_is_refused(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "A", {})
    with pytest.raises(OrganNetError, match=r"none of the nine.*put BrainStem") as error:
        pddca.read_case(folder)
    one_line(error)
    with pytest.raises(OrganNetError, match="no folder"):
        pddca.read_case(tmp_path / "B")


def test_other_structures_are_left_alone_but_misspelt_ones_are_not(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "A", MASKS | {"SpinalCord": MASKS["BrainStem"]})
    assert pddca.read_case(folder).drawn == set(MASKS)
    write_case(folder, {"optic-nerve-l": MASKS["BrainStem"]})
    with pytest.raises(OrganNetError, match=r"rename it to OpticNerve_L\.nrrd"):
        pddca.read_case(folder)


# --- splits ---------------------------------------------------------------------------------


def folders(root: Path, names: str) -> Path:
    for name in names.split():
        (root / name / "structures").mkdir(parents=True)
    return root


def test_the_official_lists_are_those_of_the_challenge() -> None:
    lists = pddca.TRAINING, pddca.ADDITIONAL, pddca.ON_SITE, pddca.OFF_SITE
    assert [len(cases) for cases in lists] == [25, 8, 5, 10]
    assert len({case for cases in lists for case in cases}) == 48


def test_the_official_lists_are_used_over_the_cases_present(tmp_path: Path) -> None:
    root = folders(tmp_path, "0522c0479 0522c0001 0522c0857 0522c0555 0522c0746")
    dataset = open_dataset("pddca", root)
    assert dataset.splits == {
        "training": ("0522c0001", "0522c0479"),
        "validation": ("0522c0857",),
        "test": ("0522c0555", "0522c0746"),
    }


@pytest.mark.parametrize("name", ["pddca", "phantom"])
def test_splits_json_decides(tmp_path: Path, name: str) -> None:
    folders(tmp_path, "0522c0001 mine")
    splits = {"training": ["mine"], "test": ["0522c0001"]}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    dataset = open_dataset(name, tmp_path)
    assert dataset.name == name
    assert dataset.splits == {"training": ("mine",), "validation": (), "test": ("0522c0001",)}


def test_folders_that_are_no_cases_are_no_cases(tmp_path: Path) -> None:
    folders(tmp_path, "0522c0001")
    (tmp_path / "notes").mkdir()
    (tmp_path / ".cache" / "structures").mkdir(parents=True)
    (tmp_path / "readme.txt").write_text("")
    assert set(open_dataset("pddca", tmp_path).folders) == {"0522c0001"}


def test_a_case_in_no_list_is_not_dropped_in_silence(tmp_path: Path) -> None:
    folders(tmp_path, "0522c0001 mine")
    with pytest.raises(OrganNetError, match=r'mine.*splits\.json.*"training": \["A"\]') as error:
        open_dataset("pddca", tmp_path)
    assert str(tmp_path) in one_line(error)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"training": ["A", "B"]}, "leaves out C"),
        ({"training": ["A", "B"], "test": ["B", "C"]}, "lists B twice"),
        ({"training": ["A", "B", "C", "D"]}, "not there.*D"),
        ({"train": ["A", "B", "C"]}, "not a list of cases for each split"),
        ({"training": "A B C"}, "not a list of cases for each split"),
        ({"training": [1, 2, 3]}, "not a list of cases for each split"),
        (["A", "B", "C"], "no JSON object"),
    ],
)
def test_a_splits_json_that_disagrees_is_refused(tmp_path: Path, content, what: str) -> None:
    folders(tmp_path, "A B C")
    (tmp_path / "splits.json").write_text(json.dumps(content))
    with pytest.raises(OrganNetError, match=what) as error:
        open_dataset("pddca", tmp_path)
    assert str(tmp_path / "splits.json") in one_line(error)


def test_folders_without_cases_are_refused_with_the_remedy(tmp_path: Path) -> None:
    remedy = {
        "pddca": r"imagenglab\.com.*CASE/img\.nrrd",
        "phantom": "organnet phantom",
        "openkbp": r"github\.com/ababier/open-kbp.*train-pats/pt_1/ct\.csv",
        "joint": "JSON file that lists the cases",
    }
    for name in DATASETS:
        with pytest.raises(OrganNetError, match=remedy[name]) as error:
            open_dataset(name, tmp_path)
        assert str(tmp_path) in one_line(error)
        with pytest.raises(OrganNetError, match="does not exist"):
            open_dataset(name, tmp_path / "no")
        (tmp_path / "file").write_text("")
        fault = "is not readable JSON" if name == "joint" else "is a file"
        with pytest.raises(OrganNetError, match=fault):
            open_dataset(name, tmp_path / "file")


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OrganNetError, match="phantom, pddca, openkbp"):
        open_dataset("structseg", tmp_path)
    with pytest.raises(OrganNetError, match="no case X: it has 0522c0001"):
        open_dataset("pddca", folders(tmp_path, "0522c0001")).load("X")


# --- left and right -------------------------------------------------------------------------


def labels_of(masks: dict[str, np.ndarray]) -> Volume:
    array = np.zeros(SHAPE, np.uint8)
    for name, mask in masks.items():
        array[mask > 0] = organ(name).label
    return Volume(array, (10.0, 4.0, 4.0))


def test_exchanged_names_and_mirrored_axes_are_found() -> None:
    labels = labels_of(MASKS)
    assert left_right_agrees(labels) is True
    swapped = MASKS | {"Parotid_L": MASKS["Parotid_R"], "Parotid_R": MASKS["Parotid_L"]}
    assert left_right_agrees(labels_of(swapped)) is False
    for axis in range(3):
        mirrored = labels.with_array(np.flip(labels.array, axis).copy())
        assert left_right_agrees(mirrored) is False, axis
    for axes in [(0, 1), (0, 2), (1, 2)]:  # half turns keep left on the left
        turned = labels.with_array(np.flip(labels.array, axes).copy())
        assert left_right_agrees(turned) is True, axes


def test_left_and_right_cannot_be_told_without_a_pair_and_a_direction() -> None:
    pair = {name: MASKS[name] for name in ("Parotid_L", "Parotid_R")}
    assert left_right_agrees(labels_of(pair)) is None
    one = {name: MASKS[name] for name in ("BrainStem", "Mandible", "Parotid_L")}
    assert left_right_agrees(labels_of(one)) is None


# --- the real PDDCA cases -------------------------------------------------------------------

WITHOUT = {
    "Submandibular_L": {"0079"},
    "Submandibular_R": {"0014", "0077", "0147"},
}
"""Of the 16 cases at hand, those without an organ, as PDDCA's list has them."""

REAL_ML = {
    "BrainStem": (15, 45),
    "Chiasm": (0.2, 1.5),
    "Mandible": (30, 110),
    "OpticNerve_L": (0.3, 1.6),
    "OpticNerve_R": (0.3, 1.6),
    "Parotid_L": (10, 60),
    "Parotid_R": (10, 60),
    "Submandibular_L": (3, 16),
    "Submandibular_R": (3, 16),
}


def test_the_real_pddca_labels(shared_data: Path) -> None:
    dataset = open_dataset("pddca", shared_data / "pddca")
    assert len(dataset.splits["training"]) == 16
    for name, folder in dataset.folders.items():
        labels, drawn = pddca.read_labels(folder)
        missing = {o for o, cases in WITHOUT.items() if name.removeprefix("0522c") in cases}
        assert drawn == set(ORGAN_NAMES) - missing, name
        assert left_right_agrees(labels) is True, name
        assert np.array_equal(labels.direction, np.eye(3))
        inside = labels.array[labels.array > 0]
        ml = np.bincount(inside, minlength=10) * labels.voxel_ml
        for organ_name in drawn:
            low, high = REAL_ML[organ_name]
            assert low < ml[organ(organ_name).label] < high, (name, organ_name)


def test_the_real_case_with_its_ct(shared_data: Path) -> None:
    case = open_dataset("pddca", shared_data / "pddca").load("0522c0014")
    assert case.ct.shape == case.labels.shape == (159, 512, 512)
    assert case.ct.spacing_mm == pytest.approx((2.5, 1.01, 1.01))
    assert 500 < np.median(case.ct.array[case.labels.array == organ("Mandible").label]) < 1500
    assert 0 < np.median(case.ct.array[case.labels.array == organ("BrainStem").label]) < 60


def test_real_cases_without_an_image_say_so(shared_data: Path) -> None:
    with pytest.raises(OrganNetError, match=r"0522c0001.img\.nrrd is missing"):
        open_dataset("pddca", shared_data / "pddca").load("0522c0001")
