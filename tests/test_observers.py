"""Scans drawn by two observers: which files are read, what counts as drawn, how well they agree."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from organnet.agreement import observer_agreement
from organnet.datasets.observers import FILES, drawn_twice, read_labels
from organnet.errors import OrganNetError
from organnet.evaluation import evaluate, read_metrics
from organnet.organs import ORGAN_NAMES, organ
from organnet.volume import Volume, read_volume, write_volume

SPACING_MM = (2.5, 1.0, 1.0)


def mask(name: str, shift: int = 0, empty: bool = False) -> np.ndarray:
    """Four voxels along y in two slices, moved by `shift`; no two organs touch."""
    array = np.zeros((4, 12, 22), np.uint8)
    if not empty:
        array[1:3, 2 + shift : 6 + shift, 2 * organ(name).label] = 1
    return array


def draw(folder: Path, shift: int = 0, empty: set[str] = frozenset(), hyphen: str = "-") -> Path:
    for name, file in FILES.items():
        path = folder / "segmentations" / f"{file.replace('-', hyphen)}.nrrd"
        write_volume(Volume(mask(name, shift, name in empty), SPACING_MM), path)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three scans in two splits; the observers differ by one voxel of four, and in what is drawn.

    Parotid_L: the radiographer's is empty in a; Parotid_R: the oncologist's is; Mandible: both.
    """
    draw(tmp_path / "test/radiographer/a", 1, {"Parotid_L", "Mandible"})
    draw(tmp_path / "test/oncologist/a", 0, {"Parotid_R", "Mandible"})
    for split, scan in (("test", "b"), ("validation", "c")):
        draw(tmp_path / split / "radiographer" / scan, 1, hyphen="_")
        draw(tmp_path / split / "oncologist" / scan)
    return tmp_path


@pytest.mark.parametrize("hyphen", ["-", "_"])
def test_each_organ_gets_its_label(tmp_path: Path, hyphen: str) -> None:
    labels, drawn = read_labels(draw(tmp_path / "a", hyphen=hyphen))
    assert drawn == set(ORGAN_NAMES) - {"Chiasm"}
    for name in drawn:
        assert np.array_equal(labels.array == organ(name).label, mask(name) > 0), name
    assert labels.spacing_mm == SPACING_MM


def test_empty_and_missing_files_are_not_drawn_and_others_not_read(tmp_path: Path) -> None:
    folder = draw(tmp_path / "a", empty={"OpticNerve_L"})
    (folder / "segmentations/Parotid-Rt.nrrd").unlink()
    for name in ("Lens-Lt", "._Brainstem"):  # the second is what a Mac leaves beside a file
        (folder / f"segmentations/{name}.nrrd").write_text("no image")
    labels, drawn = read_labels(folder)
    assert drawn == set(FILES) - {"OpticNerve_L", "Parotid_R"}
    assert set(np.unique(labels.array)) == {0} | {organ(name).label for name in drawn}


def test_agreement_over_the_splits(root: Path) -> None:
    assert list(drawn_twice(root)) == ["a", "b", "c"]
    table = observer_agreement(root).set_index(["case", "organ"])
    assert len(table) == 27
    undrawn = {("a", "Parotid_L"), ("a", "Parotid_R"), ("a", "Mandible")}
    undrawn |= {(scan, "Chiasm") for scan in "abc"}
    assert set(table.index[table["status"] == "not drawn"]) == undrawn
    scored = table.drop(list(undrawn))
    assert (scored["status"] == "scored").all()
    assert scored["dsc"].to_numpy() == pytest.approx(0.75)  # 2 * 6 of 8 + 8 voxels
    assert scored["hd95_mm"].to_numpy() == pytest.approx(1.0)  # 2 of 8 surface voxels are 1 mm off


def test_agreement_of_one_split_and_either_way_round(root: Path) -> None:
    table = observer_agreement(root / "test")
    assert set(table["case"]) == {"a", "b"}
    turned = evaluate(root / "test/oncologist", root / "test/radiographer")
    columns = ["case", "organ", "dsc", "hd95_mm", "surface_dice", "status"]
    assert turned[columns].equals(table[columns])


def test_a_label_map_is_scored_against_what_the_observer_drew(root: Path) -> None:
    found = sum(mask(name) * organ(name).label for name in ORGAN_NAMES if name != "Parotid_L")
    write_volume(Volume(found, SPACING_MM), root / "out/a.nrrd")
    table = evaluate(root / "out/a.nrrd", root / "test/oncologist/a").set_index("organ")
    assert set(table["case"]) == {"a"}
    undrawn = {"Chiasm", "Parotid_R", "Mandible"}
    assert set(table.index[table["status"] == "not drawn"]) == undrawn
    assert table.loc["Parotid_L", "status"] == "prediction empty"  # a network that missed it
    assert (table.drop([*undrawn, "Parotid_L"])["dsc"] == 1).all()
    assert evaluate(root / "out", root / "test/oncologist").set_index("organ").equals(table)


def test_an_observer_is_not_blamed_for_organs_outside_the_protocol(root: Path) -> None:
    for name in ("Chiasm", "BrainStem"):
        path = root / "pddca/b/structures" / f"{name}.nrrd"
        write_volume(Volume(mask(name), SPACING_MM), path)
    draw(root / "pddca/b", 3)  # both layouts in one folder: PDDCA's is read
    table = evaluate(root / "test/radiographer", root / "pddca").set_index("organ")
    assert list(table.index[table["status"] == "scored"]) == ["BrainStem"]
    assert table.loc["BrainStem", "dsc"] == pytest.approx(0.75)
    assert table.loc["Chiasm", "status"] == "not drawn"


def one_line(folder: Path, function) -> str:
    with pytest.raises(OrganNetError) as caught:
        function(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_faulty_drawing_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    folder = draw(tmp_path / "a")
    stem, other = (folder / "segmentations" / f"{n}.nrrd" for n in ("Brainstem", "Parotid-Lt"))
    twin = other.with_name("Parotid_Lt.nrrd")
    twin.write_bytes(other.read_bytes())
    message = one_line(folder, read_labels)
    assert str(twin) in message and str(other) in message and "twice: remove one" in message
    twin.unlink()
    write_volume(Volume(mask("Parotid_L"), (3.0, 1.0, 1.0)), other)
    assert f"{other} lies on another grid than {stem}" in one_line(folder, read_labels)
    other.write_bytes(stem.read_bytes()[:-20])
    assert f"{other} is truncated" in one_line(folder, read_labels)
    (tmp_path / "b/segmentations").mkdir(parents=True)
    message = one_line(tmp_path / "b", read_labels)
    assert "none of the eight organs: put Brainstem.nrrd, " in message


def test_scans_that_do_not_pair_are_refused(root: Path, tmp_path: Path) -> None:
    draw(root / "test/oncologist/d")
    message = one_line(root, drawn_twice)
    assert f"{root / 'test'} holds d of one observer alone: add" in message
    draw(root / "test/radiographer/d")
    for observer in ("oncologist", "radiographer"):
        draw(root / "validation" / observer / "d")
    assert "holds d in two folders: remove one" in one_line(root, drawn_twice)
    (tmp_path / "empty").mkdir()
    assert "empty holds no scan drawn by two" in one_line(tmp_path / "empty", drawn_twice)
    assert "nowhere does not exist" in one_line(tmp_path / "nowhere", drawn_twice)


def test_agreement_as_a_command(root: Path) -> None:
    command = [sys.executable, "-m", "organnet.cli", "agreement"]
    out = root / "out/metrics.csv"
    result = subprocess.run(
        [*command, str(root), "--out", str(out)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0 and result.stderr == ""
    assert "75.0 ±  0.0" in result.stdout and "not drawn in 3" in result.stdout
    assert len(read_metrics(out)) == 27
    result = subprocess.run(
        [*command, str(root / "out"), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and "holds no scan" in result.stderr


def raw_masks(folder: Path) -> dict[str, np.ndarray]:
    """The masks of a real scan as they are stored, without our reader of folders."""
    names = {path.stem.replace("_", "-"): path for path in folder.glob("*.nrrd")}
    return {name: read_volume(names[file]).array > 0 for name, file in FILES.items()}


@pytest.mark.parametrize(
    ("scan", "undrawn"),
    [("0522c0667", set()), ("TCGA-CV-A6K0", {"Submandibular_R"})],  # underscores; an empty mask
)
def test_two_observers_of_a_real_scan(shared_data: Path, scan: str, undrawn: set[str]) -> None:
    sides = [shared_data / "observers/test" / who / scan for who in ("radiographer", "oncologist")]
    for side in sides:
        if not side.is_dir():
            pytest.skip(f"{side} is absent: real data are not part of the repository")
    table = evaluate(*sides).set_index("organ")
    assert set(table.index[table["status"] == "not drawn"]) == {"Chiasm"} | undrawn
    one, other = (raw_masks(side / "segmentations") for side in sides)
    for name in FILES.keys() - undrawn:
        a, b = one[name], other[name]
        dsc = 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
        assert table.loc[name, "dsc"] == pytest.approx(dsc), name
        assert 0.5 < dsc < 1


def test_pddca_and_the_oncologist_drew_one_real_image_on_one_grid(shared_data: Path) -> None:
    pddca = shared_data / "pddca/0522c0014"
    oncologist = shared_data / "observers/validation/oncologist/0522c0014"
    for folder in (pddca, oncologist):
        if not folder.is_dir():
            pytest.skip(f"{folder} is absent: real data are not part of the repository")
    table = evaluate(pddca, oncologist).set_index("organ")
    other = raw_masks(oncologist / "segmentations")
    for name in ("BrainStem", "Parotid_L", "Parotid_R"):
        a, b = read_volume(pddca / f"structures/{name}.nrrd").array > 0, other[name]
        dsc = 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
        assert table.loc[name, "dsc"] == pytest.approx(dsc, abs=1e-3), name  # they may overlap
        assert 0.6 < dsc < 0.95  # left for right would be 0
