"""OpenKBP's CT with an oncologist's drawing: offsets, what is left out, the real cases."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from test_openkbp import made_up_patient, unpack

from organnet.datasets import observers, pddca
from organnet.datasets.matched import PAIRS, Pair, draw_again, write_matched
from organnet.datasets.openkbp import BODY_MM2, NO_DATA_HU
from organnet.errors import OrganNetError
from organnet.organs import organ
from organnet.volume import Volume, read_volume, same_grid, write_volume

SPACING_MM, ORIGIN_MM = (2.5, 0.9, 1.1), (-30.0, -200.0, 100.0)
PAIR = PAIRS[0]


def draw(folder: Path, shape=(60, 40, 48), **boxes: tuple[slice, slice, slice]) -> Path:
    """A scan with these boxes drawn, and the other organs' masks empty."""
    for name, file in observers.FILES.items():
        mask = np.zeros(shape, np.uint8)
        if name in boxes:
            mask[boxes[name]] = 1
        path = folder / "segmentations" / f"{file}.nrrd"
        write_volume(Volume(mask, SPACING_MM, ORIGIN_MM), path)
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """The two data sets as cloned, with the folders of the first pair alone."""
    made_up_patient(tmp_path / "openkbp/provided-data/test-pats" / PAIR.patient)
    scan = tmp_path / "observers/nrrds/validation/oncologist" / PAIR.scan
    draw(scan, (60, 512, 512), Parotid_L=np.s_[51:59, 160:180, 200:230])
    return tmp_path / "openkbp", tmp_path / "observers"


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_every_voxel_meets_the_scan_at_its_own_place(tmp_path: Path) -> None:
    """Against the definition: the nearest voxel of the scan to each voxel centre, in mm."""
    boxes = {
        "BrainStem": np.s_[0:30, 3:17, 5:21],  # begins below the patient's first slice
        "Mandible": np.s_[55:60, 0:40, 30:48],  # ends with the scan
        "OpticNerve_L": np.s_[40:41, 21:24, 5:8],  # between the pixels that are kept
    }
    scan = draw(tmp_path / "scan", **boxes)
    ct = Volume(np.full((128, 128, 128), 40, np.int16), (2.5, 4.0, 3.9))
    case = draw_again(Pair("scan", "pt_1", (7, -12, 4)), ct, scan)
    assert case.name == "scan__pt_1"
    assert case.drawn == {"BrainStem", "Mandible"}
    assert case.ct.spacing_mm == case.labels.spacing_mm == pytest.approx((2.5, 3.6, 4.4))
    assert case.ct.origin_mm == pytest.approx((-12.5, -210.8, 104.4))
    expected = np.zeros((128, 128, 128), np.uint8)
    for z, y, x in np.ndindex(60, 14, 14):
        at = (case.labels.position_mm((z, y, x)) - ORIGIN_MM) / SPACING_MM
        assert np.allclose(at, np.rint(at), atol=1e-6)
        for name, box in boxes.items():
            if all(s.start <= k < s.stop for s, k in zip(box, np.rint(at), strict=True)):
                expected[z, y, x] = organ(name).label
    assert np.array_equal(case.labels.array, expected)


def test_organs_are_drawn_where_there_is_ct(tmp_path: Path) -> None:
    """Of ten slices seven are on the CT, then four; at half and more an organ is kept."""
    boxes = {"Parotid_L": np.s_[10:20, 10:20, 10:20], "Parotid_R": np.s_[7:17, 10:20, 30:40]}
    scan = draw(tmp_path / "scan", **boxes)
    array = np.full((128, 128, 128), NO_DATA_HU, np.int16)
    array[13:] = 40
    case = draw_again(Pair("scan", "pt_1", (0, 0, 0)), Volume(array, (2.5, 4.0, 3.9)), scan)
    assert case.drawn == {"Parotid_L"}
    assert np.unique(np.nonzero(case.labels.array)[0]).tolist() == [*range(13, 20)]


def test_the_pair_that_is_there_is_written_and_the_others_named(
    sources: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    left_out = write_matched(*sources, out)
    assert left_out == [pair.name for pair in PAIRS[1:]]
    assert [p.name for p in out.iterdir()] == [PAIR.name]
    assert [p.name for p in (out / PAIR.name / "structures").iterdir()] == ["Parotid_L.nrrd"]
    written = pddca.read_case(out / PAIR.name)
    assert written.drawn == {"Parotid_L"}
    met = [np.unique(k).tolist() for k in np.nonzero(written.labels.array)]
    # of slices 51 to 58: 30 + 21 to 37 + 21
    # of scan voxels 160 to 179: 4 * 51 - 44 = 160 to 4 * 55 - 44 = 176; of 200 to 229: 200 to 228
    assert met == [[*range(30, 38)], [*range(51, 56)], [*range(49, 57)]]
    assert read_volume(out / PAIR.name / "structures/Parotid_L.nrrd").array.dtype == np.uint8


def test_nothing_is_done_twice(sources: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    left_out = write_matched(*sources, out)
    before = files(out)
    assert not [path for path in before if path.name.startswith(".")]
    assert write_matched(*sources, out) == left_out
    (sources[0] / "provided-data/test-pats" / PAIR.patient).rename(tmp_path / "elsewhere")
    assert write_matched(*sources, out) == left_out  # what is there needs no source
    assert files(out) == before
    for pair in PAIRS[1:]:
        (out / pair.name).mkdir()
    assert write_matched(tmp_path / "nowhere", tmp_path / "nowhere", out) == []


def test_a_faulty_source_leaves_no_case(sources: tuple[Path, Path], tmp_path: Path) -> None:
    (sources[0] / "provided-data/test-pats" / PAIR.patient / "ct.csv").unlink()
    with pytest.raises(OrganNetError, match=r"ct\.csv is missing"):
        write_matched(*sources, tmp_path / "out")
    assert not (tmp_path / "out" / PAIR.name).exists()


def test_no_pair_at_all_is_refused(sources: tuple[Path, Path], tmp_path: Path) -> None:
    for roots, what in (
        ((sources[0], tmp_path / "nowhere"), "nowhere does not exist"),
        ((sources[1], sources[0]), "drawn again in .*kbp.* share none of the 15 scans: get both"),
    ):
        with pytest.raises(OrganNetError, match=what) as error:
            write_matched(*roots, tmp_path / "out")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_match_as_a_command(sources: tuple[Path, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "organnet.cli", "match", "--out", str(tmp_path / "out")]
    command += ["--openkbp", str(sources[0] / "provided-data")]
    command += ["--observers", str(sources[1] / "nrrds")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 1
    assert "not there, left out: 0522c0248__pt_293, " in result.stderr
    assert PAIR.name not in result.stderr
    assert (tmp_path / "out" / PAIR.name / "img.nrrd").is_file()


def test_two_real_patients_come_out_as_shared(shared_data: Path, tmp_path: Path) -> None:
    unpack(shared_data / "openkbp/validation-pats.tar.xz", [212, 233], tmp_path)
    out = tmp_path / "out"
    assert len(write_matched(tmp_path, shared_data / "observers", out)) == 13
    for name in ("0522c0226__pt_212", "0522c0773__pt_233"):
        a, b = (read_volume(side / name / "img.nrrd") for side in (out, shared_data / "matched"))
        assert same_grid(a, b)
        body_mm2 = np.count_nonzero(b.array > NO_DATA_HU, axis=(1, 2)) * np.prod(b.spacing_mm[1:])
        without = (body_mm2 > 0) & (body_mm2 < BODY_MM2)
        assert np.count_nonzero(without) == (2 if name.endswith("233") else 0)
        assert np.array_equal(a.array[~without], b.array[~without])
        assert (a.array[without] == NO_DATA_HU).all()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_every_pair_is_drawn_as_shared_where_there_is_ct(pair: Pair, shared_data: Path) -> None:
    """But for pt_328, whose drawing lies one slice too high there: see the mandible's HU."""
    shared = shared_data / "matched" / pair.name
    ct = read_volume(shared / "img.nrrd")
    (scan,) = (shared_data / "observers").glob(f"*/oncologist/{pair.scan}")
    case = draw_again(pair, ct, scan)
    shift = 1 if pair.patient == "pt_328" else 0
    moved_mm = np.subtract(case.ct.origin_mm, ct.origin_mm)
    assert moved_mm == pytest.approx([shift * ct.spacing_mm[0], 0, 0], abs=1e-3)
    there = ct.array > NO_DATA_HU
    for name in observers.FILES:
        path = shared / "structures" / f"{name}.nrrd"
        whole = read_volume(path).array > 0 if path.exists() else np.zeros(ct.shape, bool)
        whole = np.roll(whole, -shift, 0)
        expected = whole & there
        if np.count_nonzero(expected) < 0.5 * np.count_nonzero(whole):
            expected[:] = False
        assert np.array_equal(case.labels.array == organ(name).label, expected), name
        assert (name in case.drawn) == expected.any()
    jaw = case.labels.array == organ("Mandible").label
    rim = ndimage.binary_dilation(jaw, iterations=2) & ~jaw
    hu = np.clip(ct.array, None, 3095)
    brighter = [hu[np.roll(jaw, n, 0)].mean() - hu[np.roll(rim, n, 0)].mean() for n in (-1, 0, 1)]
    assert np.argmax(brighter) == 1
