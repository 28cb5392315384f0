"""An oncologist against OpenKBP's own drawings: the same voxels, the same organs, the real ones."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_matched import PAIR, draw
from test_openkbp import made_up_patient, unpack

from organnet.agreement import agreement_with_openkbp
from organnet.datasets import openkbp
from organnet.errors import OrganNetError
from organnet.evaluation import read_metrics
from organnet.organs import organ
from organnet.results import results_folder
from organnet.volume import read_volume


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """The oncologist's right parotid lies one voxel of four further along x than OpenKBP's.

    The oncologist draws a mandible besides, but neither left parotid nor brain stem.
    """
    patient = tmp_path / "openkbp/provided-data/test-pats" / PAIR.patient
    case = openkbp.read_case(made_up_patient(patient))
    assert {"BrainStem", "Parotid_R"} <= case.drawn
    at = np.argwhere(case.labels.array == organ("Parotid_R").label)
    moved = np.array([0, 0, 1])
    first, last = at.min(0) + moved, at.max(0) + moved
    assert (last - first + 1).tolist() == [4, 4, 4]
    z, y, x = (
        slice(f + step * a, f + step * b + 1)
        for f, step, a, b in zip(PAIR.first, (1, 4, 4), first, last, strict=True)
    )
    box = (z, y, x)
    scan = tmp_path / "observers/nrrds/validation/oncologist" / PAIR.scan
    below = (z, slice(y.start + 40, y.stop + 40), x)
    draw(scan, (130, 300, 300), Parotid_R=box, Mandible=below)
    return tmp_path / "observers", tmp_path / "openkbp"


def test_a_person_is_scored_on_the_voxels_of_openkbp(sources: tuple[Path, Path]) -> None:
    table = agreement_with_openkbp(*sources).set_index("organ")
    assert set(table["case"]) == {PAIR.name}
    of_one_split = agreement_with_openkbp(sources[0] / "nrrds/validation", sources[1])
    assert of_one_split.equals(table.reset_index()[of_one_split.columns])
    scored = table[table["status"] == "scored"]
    assert list(scored.index) == ["Parotid_R"]
    assert scored["dsc"].item() == 0.75  # three of four voxels along x
    assert scored["reference_voxels"].item() == scored["predicted_voxels"].item() == 64
    side_mm = openkbp.read_case(sources[1] / "provided-data/test-pats" / PAIR.patient).ct.spacing_mm
    assert scored["hd95_mm"].item() == pytest.approx(side_mm[2])


def test_the_command_writes_and_prints_it(sources: tuple[Path, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "organnet.cli", "agreement", str(sources[0] / "nrrds")]
    out = tmp_path / "openkbp.csv"
    result = subprocess.run(
        [*command, "--openkbp", str(sources[1]), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 1
    assert "not there, left out: 0522c0248__pt_293, " in result.stderr
    assert PAIR.name not in result.stderr
    assert "75.0" in result.stdout and "not drawn in 1" in result.stdout
    assert result.stdout.splitlines()[-1] == f"case by case: {out}"
    assert read_metrics(out)["dsc"].count() == 1
    result = subprocess.run(
        [*command, "--openkbp", str(tmp_path / "nowhere"), "--out", str(tmp_path / "no.csv")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
    assert "nowhere does not exist" in result.stderr
    assert not (tmp_path / "no.csv").exists()


def test_two_data_sets_without_a_common_scan_are_refused(sources: tuple[Path, Path]) -> None:
    with pytest.raises(OrganNetError, match="share none of the 15 scans: get both"):
        agreement_with_openkbp(sources[1], sources[0])


def test_real_drawings_agree_as_counted_by_hand_and_as_stored(
    shared_data: Path, tmp_path: Path
) -> None:
    """One Dice is counted again from the CSV and every fourth pixel of the oncologist's mask."""
    unpack(shared_data / "openkbp/validation-pats.tar.xz", [212, 233], tmp_path)
    table = agreement_with_openkbp(shared_data / "observers", tmp_path)
    assert sorted(set(table["case"])) == ["0522c0226__pt_212", "0522c0773__pt_233"]
    stored = read_metrics(results_folder() / "observers/openkbp.csv")
    both = table.merge(stored, on=["case", "organ"], suffixes=("", "_stored"))
    assert len(both) == len(table)
    for column in ("dsc", "hd95_mm", "surface_dice"):
        np.testing.assert_allclose(both[column], both[f"{column}_stored"], atol=2e-6)

    (scan,) = (shared_data / "observers").glob(f"*/oncologist/{PAIR.scan}/segmentations")
    mask = read_volume(scan / "Parotid-Rt.nrrd").array > 0
    theirs = {tuple(at) for at in np.argwhere(mask)}
    rows = (next(tmp_path.rglob("pt_212")) / "RightParotid.csv").read_text().split()[1:]
    ours = set()
    for row in rows:
        back, left, down = np.unravel_index(int(row.split(",")[0]), (128, 128, 128))
        z, y, x = (
            f + s * int(k)
            for f, s, k in zip(PAIR.first, (1, 4, 4), (127 - down, back, left), strict=True)
        )
        ours.add((z, y, x))
    pixels = {
        (z, y, x) for z, y, x in theirs if y % 4 == PAIR.first[1] % 4 and x % 4 == PAIR.first[2] % 4
    }
    by_hand = 2 * len(ours & pixels) / (len(ours) + len(pixels))
    row = table.set_index(["case", "organ"]).loc[("0522c0226__pt_212", "Parotid_R")]
    assert row["dsc"] == pytest.approx(by_hand, abs=1e-9)
