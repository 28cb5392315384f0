"""OpenKBP and the matched cases: real patients on a coarse grid, and what is made up like them."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from organnet.datasets import Case, open_dataset, pddca
from organnet.datasets.openkbp import open_openkbp, read_case
from organnet.errors import OrganNetError
from organnet.organs import UNKNOWN, organ
from organnet.sides import left_right_agrees
from organnet.volume import read_ct, write_volume

VALIDATION_PATIENTS = [201, 202, 203, 207, 208, 210, 216, 219, 221, 226, 231, 236]
MISPLACED = {"pt_221": {"BrainStem"}}
"""Drawings that lie beside their image."""
TRAINING_PATIENTS = [11, 106, 180, 189, 199]  # near the start of the archive


def unpack(archive: Path, patients: list[int], root: Path) -> None:
    """Unpack these patients, each of whom lies in one piece; no further than the last of them."""
    wanted = {f"pt_{number}" for number in patients}
    begun: set[str] = set()
    with tarfile.open(archive, "r|xz") as members:
        for member in members:
            here = wanted & set(Path(member.name).parts)
            if begun == wanted and not here:
                break
            begun |= here
            if here:
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


def one_line(error: pytest.ExceptionInfo[OrganNetError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


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
    assert sum(answer is True for answer in told.values()) >= 12, told


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
    assert dataset.splits["validation"] == ("pt_180",)
    skull_base = dataset.load("pt_180")  # the brain stem goes on where the CT ends
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


def test_the_matched_cases_have_pddcas_layout(shared_data: Path) -> None:
    cases = [pddca.read_case(p) for p in sorted((shared_data / "matched").iterdir())]
    assert len(cases) == 15
    for case in cases:
        assert "Chiasm" not in case.drawn
        assert left_right_agrees(case.labels) is True, case.name
        assert bone_lies_behind_the_throat(case) in (True, None), case.name
