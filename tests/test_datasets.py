"""PDDCA, OpenKBP and the phantom's layout: what is read, what is unknown, what is refused."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from organnet.datasets import DATASETS, Case, open_dataset, pddca
from organnet.datasets.anatomy import left_right_agrees
from organnet.datasets.case import compose_labels, crop_mask
from organnet.datasets.openkbp import open_openkbp, read_case
from organnet.errors import OrganNetError
from organnet.organs import ORGAN_NAMES, UNKNOWN, organ
from organnet.volume import Volume, read_ct, same_grid, write_volume

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
    }
    for name in DATASETS:
        with pytest.raises(OrganNetError, match=remedy[name]) as error:
            open_dataset(name, tmp_path)
        assert str(tmp_path) in one_line(error)
        with pytest.raises(OrganNetError, match="does not exist"):
            open_dataset(name, tmp_path / "no")
        (tmp_path / "file").write_text("")
        with pytest.raises(OrganNetError, match="is a file"):
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


def test_the_matched_cases_have_pddcas_layout(shared_data: Path) -> None:
    cases = [pddca.read_case(p) for p in sorted((shared_data / "matched").iterdir())]
    assert len(cases) == 15
    for case in cases:
        assert "Chiasm" not in case.drawn
        assert left_right_agrees(case.labels) is True, case.name
        assert bone_lies_behind_the_throat(case) in (True, None), case.name


# --- OpenKBP --------------------------------------------------------------------------------

VALIDATION_PATIENTS = [201, 202, 203, 207, 208, 210, 216, 219, 221, 226, 231, 236]
MISPLACED = {"pt_221": {"BrainStem"}}
"""Drawings that lie beside their image."""
TRAINING_PATIENTS = [1, 2, 3, 12, 13, 27, 36, 38, 200]


def unpack(archive: Path, patients: list[int], root: Path) -> None:
    """Unpack these patients; the archive is read from its start, so up to the last of them."""
    wanted = {f"pt_{number}" for number in patients}
    with tarfile.open(archive, "r|xz") as members:
        for member in members:
            if wanted & set(Path(member.name).parts):
                members.extract(member, root, filter="data")


@pytest.fixture(scope="session")
def openkbp(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some patients of OpenKBP, in its own layout."""
    root = tmp_path_factory.mktemp("openkbp")
    unpack(shared_data / "openkbp" / "train-pats.tar.xz", TRAINING_PATIENTS, root)
    unpack(shared_data / "openkbp" / "validation-pats.tar.xz", VALIDATION_PATIENTS, root)
    return root


def bone_lies_behind_the_throat(case: Case) -> bool | None:
    """From 70 to 120 mm below the parotids the only bone is the spine; None without such slices."""
    parotids = np.isin(case.labels.array, [organ("Parotid_L").label, organ("Parotid_R").label])
    middle = int(np.flatnonzero(parotids.any(axis=(1, 2))).mean())
    low, high = (middle - round(mm / case.ct.spacing_mm[0]) for mm in (120, 70))
    part = case.ct.array[max(low, 0) : max(high, 0)]
    body = part > -400
    air = np.array([ndimage.binary_fill_holes(plane) for plane in body]).astype(bool)
    air = air.reshape(body.shape) & ~body
    bone = part > 250
    if air.sum() < 20 or bone.sum() < 20:
        return None
    return bool(np.nonzero(bone)[1].mean() > np.nonzero(air)[1].mean())


def write_patient(
    folder: Path, ct: np.ndarray, structures: dict[str, np.ndarray], sides="4.0\n3.9\n2.5\n"
) -> Path:
    """A patient in OpenKBP's layout from z, y, x arrays in LPS; ct holds HU + 1000."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {"ct": ct, **structures}.items():
        flat = array[::-1].transpose(1, 2, 0).ravel()
        at = np.flatnonzero(flat)
        rows = [f"{i},{float(flat[i]) if name == 'ct' else ''}" for i in at]
        (folder / f"{name}.csv").write_text("\n".join([",data", *rows]) + "\n")
    (folder / "voxel_dimensions.csv").write_text(sides)
    return folder


def made_up_patient(folder: Path) -> Path:
    """Ten slices of body; a brain stem that ends above them, and a parotid that lies above."""
    ct = np.zeros((128, 128, 128), np.int16)
    ct[30:40, 50:80, 40:80] = 1040
    ct[35, 60, 60] = 5000
    ct[36, 60, 60] = 990
    stem, left, right = (np.zeros(ct.shape, bool) for _ in range(3))
    stem[34:43, 70:74, 58:62] = True
    left[38:48, 60:64, 70:74] = True
    right[32:36, 60:64, 42:46] = True
    ct[43:48, 60:64, 70:74] = 1040  # cut out along the organ: no body around it
    return write_patient(
        folder, ct, {"Brainstem": stem, "LeftParotid": left, "RightParotid": right}
    )


def test_openkbp_is_turned_and_in_hu(tmp_path: Path) -> None:
    case = read_case(made_up_patient(tmp_path / "pt_1"))
    ct = case.ct.array
    assert case.name == "pt_1"
    assert ct.dtype == np.int16 and ct.shape == (128, 128, 128)
    assert case.ct.spacing_mm == (2.5, 4.0, 3.9)
    assert ct[29, 60, 60] == ct[40, 60, 60] == -1000
    assert (ct[30, 50, 40], ct[35, 60, 60], ct[36, 60, 60]) == (40, 3095, -10)
    assert np.array_equal(case.ct.direction, np.eye(3))


def test_openkbp_labels_are_unknown_where_there_is_no_ct(tmp_path: Path) -> None:
    case = read_case(made_up_patient(tmp_path / "pt_1"))
    labels = case.labels.array
    assert case.drawn == {"BrainStem", "Parotid_R"}
    assert (labels[34:40, 70:74, 58:62] == organ("BrainStem").label).all()
    assert (labels[40:43, 70:74, 58:62] == UNKNOWN).all()
    assert (labels[38:48, 60:64, 70:74] == UNKNOWN).all()  # a fifth on the CT is no organ
    assert (labels[32:36, 60:64, 42:46] == organ("Parotid_R").label).all()
    assert set(np.unique(labels)) == {0, 1, 7, 255}


def test_openkbp_reads_no_image_in_slices_without_a_body(tmp_path: Path) -> None:
    ct = read_case(made_up_patient(tmp_path / "pt_1")).ct.array
    assert (ct[43:48] == -1000).all()


def test_openkbp_splits(tmp_path: Path) -> None:
    for number in (1, 2, 11, 12, 24, 100):
        (tmp_path / "provided-data" / "train-pats" / f"pt_{number}").mkdir(parents=True)
    for number in (204, 201):
        (tmp_path / "provided-data" / "validation-pats" / f"pt_{number}").mkdir(parents=True)
    (tmp_path / "provided-data" / "train-pats" / "notes").mkdir()
    for root in (tmp_path, tmp_path / "provided-data"):
        dataset = open_dataset("openkbp", root)
        assert dataset.root == tmp_path / "provided-data"
        assert dataset.splits == {
            "training": ("pt_1", "pt_2", "pt_11", "pt_100"),
            "validation": ("pt_12", "pt_24"),
            "test": ("pt_201", "pt_204"),
        }


def test_openkbp_patients_in_both_folders_are_refused(tmp_path: Path) -> None:
    for split in ("train-pats", "validation-pats"):
        (tmp_path / split / "pt_7").mkdir(parents=True)
    with pytest.raises(OrganNetError, match=r"pt_7 in train-pats and validation-pats"):
        open_openkbp(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("ct.csv", None, "is missing"),
        ("voxel_dimensions.csv", None, "is missing"),
        ("ct.csv", "", "not OpenKBP's table"),
        ("ct.csv", ",data\n", "holds no voxel"),
        ("ct.csv", ",data\n5,1000\n", "no whole slice"),
        ("ct.csv", ",data\n2097152,1000\n", "outside"),
        ("ct.csv", ",data\n-1,1000\n", "outside"),
        ("ct.csv", ",data\n5,\n", "a value is missing"),
        ("ct.csv", ",data\nfive,1000\n", "not OpenKBP's table"),
        ("ct.csv", ",data\n5.5,1000\n", "no whole number"),
        ("ct.csv", "data\n5\n", "not OpenKBP's table"),
        ("ct.csv", b"\xff\xfe\x00\x80", "not OpenKBP's table"),
        ("Brainstem.csv", "", "not OpenKBP's table"),
        ("Brainstem.csv", ",data\n9999999,\n", "outside"),
        ("Brainstem.csv", ",data\n99999999999999999999999,\n", "outside"),
        ("Brainstem.csv", ",data\n,\n", "no whole number"),
        ("voxel_dimensions.csv", "3.9\n3.9\n", "not three numbers"),
        ("voxel_dimensions.csv", "3.9\nx\n2.5\n", "not three numbers"),
        ("voxel_dimensions.csv", "3.9\n3.9\n-2.5\n", "no voxel sides"),
        ("voxel_dimensions.csv", "3.9\n3.9\nnan\n", "no voxel sides"),
        ("voxel_dimensions.csv", "0.0039\n0.0039\n0.0025\n", "no voxel sides"),
        ("voxel_dimensions.csv", b"\xff\xfe\x00\x80", "not three numbers"),
    ],
)
def test_a_faulty_openkbp_file_is_named(tmp_path: Path, file: str, content, what: str) -> None:
    folder = made_up_patient(tmp_path / "pt_1")
    path = folder / file
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(OrganNetError, match=what) as error:
        read_case(folder)
    assert str(path) in one_line(error)


def test_an_empty_structure_is_not_drawn(tmp_path: Path) -> None:
    folder = made_up_patient(tmp_path / "pt_1")
    (folder / "Mandible.csv").write_text(",data\n")
    assert "Mandible" not in read_case(folder).drawn


def test_a_missing_patient_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrganNetError, match="no folder"):
        read_case(tmp_path / "pt_1")


def test_real_patients_lie_as_people_do(openkbp: Path) -> None:
    dataset = open_dataset("openkbp", openkbp)
    assert len(dataset.folders) == len(TRAINING_PATIENTS) + len(VALIDATION_PATIENTS)
    told = {}
    for name in dataset.folders:
        case = dataset.load(name)
        told[name] = left_right_agrees(case.labels)
        assert told[name] in (True, None), name
        if {"Parotid_L", "Parotid_R"} <= case.drawn:
            left, right = (
                np.argwhere(case.labels.array == organ(o).label).mean(axis=0)
                for o in ("Parotid_L", "Parotid_R")
            )
            assert (left - right)[2] * case.ct.spacing_mm[2] > 50, name
            if name not in MISPLACED:
                assert bone_lies_behind_the_throat(case) in (True, None), name
    assert sum(answer is True for answer in told.values()) >= 15, told


def test_real_labels_lie_on_their_tissues(openkbp: Path) -> None:
    dataset = open_dataset("openkbp", openkbp)
    hu = {"Mandible": (300, 1500), "BrainStem": (-20, 80), "Parotid_L": (-150, 150)}
    for name in dataset.splits["test"]:
        case = dataset.load(name)
        for organ_name in set(hu) & case.drawn - MISPLACED.get(name, set()):
            low, high = hu[organ_name]
            inside = case.ct.array[case.labels.array == organ(organ_name).label]
            assert low < np.median(inside) < high, (name, organ_name)


def test_real_oddities(openkbp: Path) -> None:
    dataset = open_dataset("openkbp", openkbp)
    assert dataset.splits["validation"] == ("pt_12", "pt_36")
    assert dataset.load("pt_38").drawn == frozenset()  # larynx and oesophagus alone
    skull_base = dataset.load("pt_36")  # the brain stem goes on where the CT ends
    assert "BrainStem" not in skull_base.drawn
    ends = np.flatnonzero((skull_base.ct.array > -1000).any(axis=(1, 2)))[-1]
    unknown = np.flatnonzero((skull_base.labels.array == UNKNOWN).any(axis=(1, 2)))
    assert unknown[-1] > ends + 5
    for name in dataset.folders:
        case = dataset.load(name)
        assert case.ct.array.min() >= -1000 and case.ct.array.max() <= 3095
        nothing = ~(case.ct.array > -1000).any(axis=(1, 2))
        assert set(np.unique(case.labels.array[nothing])) <= {0, UNKNOWN}, name


def test_a_written_case_reads_back(tmp_path: Path, openkbp: Path) -> None:
    """OpenKBP in PDDCA's layout is the same case, wherever something is known."""
    case = open_dataset("openkbp", openkbp).load("pt_201")
    write_volume(case.ct, tmp_path / "img.nrrd")
    for name in case.drawn:
        mask = case.labels.with_array(case.labels.array == organ(name).label)
        write_volume(mask, tmp_path / "structures" / f"{name}.nrrd")
    again = pddca.read_case(tmp_path)
    assert again.drawn == case.drawn
    assert np.array_equal(again.ct.array, case.ct.array)
    known = case.labels.array != UNKNOWN
    assert np.array_equal(again.labels.array[known], case.labels.array[known])
    shutil.rmtree(tmp_path / "structures")
    assert read_ct(tmp_path / "img.nrrd").array.dtype == np.int16
