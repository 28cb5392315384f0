"""A batch run again: what is done stays done, and what a person made stays."""

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from batch_parts import (
    BREAKING,
    HOW,
    contents,
    load_mortal,
    load_refusing,
    manifest,
    write_tiny,
)
from batch_runs import run, statuses

from organnet.batch.finding import find_inputs
from organnet.batch.run import run_batch
from organnet.batch.worker import Worker
from organnet.errors import OrganNetError


def test_done_before_is_skipped(scans: Path, tmp_path: Path, worker: Worker) -> None:
    run(scans, tmp_path, worker)
    first = contents(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.nrrd")}
    assert len(times) == 6
    run(scans, tmp_path, Worker(load_refusing))  # no process is needed
    assert contents(tmp_path) == first  # and report.html has the same bytes
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.nrrd")} == times
    assert set(statuses(tmp_path)) == {"done before"}


def test_what_changed_is_done_again(scans: Path, tmp_path: Path, worker: Worker) -> None:
    folder = Path(shutil.copytree(scans, tmp_path / "scans"))
    out = tmp_path / "out"
    run(folder, out, worker)
    write_tiny(folder / "scan0.nrrd", 99)
    (out / "scan1.nrrd").unlink()
    (out / "records" / "scan3.png").write_bytes(b"edited")
    (out / "records" / "scan4.json").write_text("{")
    (out / "scan4.nrrd").unlink()
    run(folder, out, worker)
    assert statuses(out) == ["done", "done", "done before", "done", "done", "done before"]
    fresh = tmp_path / "fresh"
    run(folder, fresh, worker)
    assert contents(out) == contents(fresh)


def test_what_a_person_corrected_is_kept(
    scans: Path, tmp_path: Path, capfd, worker: Worker
) -> None:
    run(scans, tmp_path, worker)
    corrected = tmp_path / "scan2.nrrd"
    corrected.write_bytes(b"corrected")
    assert run(scans, tmp_path, Worker(load_refusing)) == 0  # nothing is to do
    assert f"{corrected} was changed since, and is kept" in capfd.readouterr().out
    changed = "scan2.nrrd was changed since: picture, volumes and warnings are of what it was"
    assert changed in (tmp_path / "report.html").read_text()
    assert [row["warnings"] for row in manifest(tmp_path)] == ["1", "1", "2", "1", "1", "1"]
    assert run(scans, tmp_path, worker, how=replace(HOW, deep=True)) == 1
    assert f"{corrected} would be replaced" in capfd.readouterr().err
    assert corrected.read_bytes() == b"corrected"
    assert statuses(tmp_path) == ["done", "done", "failed", "done", "done", "done"]
    assert f"{corrected} would be replaced" in manifest(tmp_path)[2]["message"]
    assert "Failed:</span> " + str(corrected) in (tmp_path / "report.html").read_text()
    corrected.rename(tmp_path / "mine.nrrd")
    assert run(scans, tmp_path, worker, how=replace(HOW, deep=True)) == 0


def test_what_was_there_before_is_not_replaced(scans: Path, tmp_path: Path, worker: Worker) -> None:
    drawing = tmp_path / "scan0.nrrd"
    drawing.write_bytes(b"a drawing")
    assert run(scans, tmp_path, worker) == 1
    assert drawing.read_bytes() == b"a drawing"
    assert not (tmp_path / "records" / "scan0.json").exists()
    row = manifest(tmp_path)[0]
    assert row["input"] == str(scans / "scan0.nrrd") and row["status"] == "failed"
    assert f"{drawing} would be replaced" in row["message"]
    drawing.unlink()
    assert run(scans, tmp_path, worker) == 0
    assert statuses(tmp_path) == ["done"] + ["done before"] * 5


def test_a_file_where_a_folder_must_be_fails_its_case_alone(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    (tmp_path / "scan1").write_bytes(b"notes")
    assert run(scans, tmp_path, worker, how=replace(HOW, formats=("masks",))) == 1
    assert statuses(tmp_path) == ["done", "failed", "done", "done", "done", "done"]
    assert manifest(tmp_path)[1]["message"].startswith(f"{tmp_path / 'scan1'} is a file where")
    assert (tmp_path / "scan1").read_bytes() == b"notes"


def test_the_only_scan_leaves_nothing_where_a_file_is_in_its_way(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    drawing = tmp_path / "scan0.nrrd"
    drawing.write_bytes(b"a drawing")
    with pytest.raises(OrganNetError, match="would be replaced"):
        run_batch(find_inputs([scans / "scan0.nrrd"]).inputs, worker, tmp_path, HOW)
    assert list(tmp_path.iterdir()) == [drawing]


def test_results_of_another_scan_of_that_name_stay(tmp_path: Path, capfd, worker: Worker) -> None:
    out = tmp_path / "out"
    for number, patient in enumerate("AB"):
        write_tiny(tmp_path / patient / "ct.nrrd", number)
    first, second = (find_inputs([tmp_path / patient]).inputs for patient in "AB")
    assert run_batch(first, worker, out, HOW) == 0
    before = contents(out)
    with pytest.raises(OrganNetError, match=r"results called ct of .*A/ct\.nrrd"):
        run_batch(second, worker, out, HOW)
    assert contents(out) | {"report.html": before["report.html"]} == before
    assert [(Path(row["input"]).parent.name, row["status"]) for row in manifest(out)] == [
        *(("A", "done before"), ("B", "failed"))
    ]
    (tmp_path / "B" / "ct.nrrd").unlink()
    with pytest.raises(OrganNetError, match=r"does not exist: check the path$"):
        run_batch(second, worker, out, HOW)
    assert contents(out) | {"report.html": before["report.html"]} == before
    moved = (tmp_path / "A").rename(tmp_path / "moved")
    assert run_batch(find_inputs([moved]).inputs, Worker(load_refusing), out, HOW) == 0


def test_an_only_input_that_fails_now_takes_its_old_result_away(
    tmp_path: Path, capfd, worker: Worker
) -> None:
    scan, out = write_tiny(tmp_path / "scans" / "one.nrrd"), tmp_path / "out"
    run(scan.parent, out, worker)
    BREAKING["text"](scan)
    with pytest.raises(OrganNetError, match=r"one\.nrrd"):
        run(scan.parent, out, worker)
    assert statuses(out) == ["failed"] and not (out / "one.nrrd").exists()
    said = "one: one.nrrd of an earlier run, made otherwise, removed"
    assert said in capfd.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("does not exist", {}),
        ("want of memory", {"deep": True}),
        ("no DICOM series", {"formats": ("rtstruct",)}),
    ],
)
def test_a_failure_takes_nothing_away_unless_the_input_changed(
    why: str, change: dict, tmp_path: Path, worker: Worker
) -> None:
    scan, out = write_tiny(tmp_path / "killed.nrrd"), tmp_path / "out"
    inputs = find_inputs([scan]).inputs
    assert run_batch(inputs, worker, out, HOW) == 0
    before = contents(out)
    if not change:
        scan.rename(tmp_path / "unmounted")
    with (
        contextlib.closing(Worker(load_mortal)) as mortal,
        pytest.raises(OrganNetError, match=f"{why}.*; what was written for it before is kept"),
    ):
        run_batch(inputs, mortal, out, replace(HOW, **change))
    assert [(row["status"], row["outputs"]) for row in manifest(out)] == [("failed", "")]
    assert why in (out / "report.html").read_text()
    assert contents(out) | {"report.html": before["report.html"]} == before
    if not change:
        (tmp_path / "unmounted").rename(scan)
    assert run_batch(inputs, Worker(load_refusing), out, HOW) == 0
    assert statuses(out) == ["done before"] and contents(out) == before


def test_a_case_whose_outputs_were_moved_away_stays_in_manifest_and_report(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    out, planning = tmp_path / "out", tmp_path / "planning.nrrd"
    inputs = find_inputs([scans / "*"]).inputs
    run_batch(inputs[:1], worker, out, HOW)
    (out / "scan0.nrrd").rename(planning)
    run_batch(inputs[1:2], worker, out, HOW)
    assert [(row["outputs"], row["status"]) for row in manifest(out)] == [
        *(("scan0.nrrd", "done before"), ("scan1.nrrd", "done"))
    ]
    assert "<h2>scan0</h2>" in (out / "report.html").read_text()
    run_batch(inputs[:1], worker, out, HOW)  # asked for again, it is done again
    assert (out / "scan0.nrrd").read_bytes() == planning.read_bytes()


def test_a_picture_that_is_gone_is_drawn_again(scans: Path, tmp_path: Path, worker: Worker) -> None:
    inputs = find_inputs([scans / "*"]).inputs
    run_batch(inputs, worker, tmp_path, HOW)
    (tmp_path / "records" / "scan0.png").unlink()
    run_batch(inputs[1:], worker, tmp_path, HOW)  # not asked for scan0: the report does without
    assert statuses(tmp_path) == ["done before"] * 6
    assert "No picture: records/scan0.png" in (tmp_path / "report.html").read_text()
    (tmp_path / "scan0.nrrd").unlink()
    run_batch(inputs, worker, tmp_path, HOW)
    assert statuses(tmp_path) == ["done"] + ["done before"] * 5


@pytest.mark.parametrize(
    "change", [{"weights": ("1" * 64,)}, {"formats": ("masks",)}, {"deep": True}, {"organnet": "9"}]
)
def test_another_way_is_done_again(
    change: dict, scans: Path, tmp_path: Path, worker: Worker
) -> None:
    run(scans, tmp_path, worker)
    run(scans, tmp_path, worker, how=replace(HOW, **change))
    assert set(statuses(tmp_path)) == {"done"}


def test_outputs_of_another_way_do_not_stay_and_edited_ones_hold_their_case_up(
    scans: Path, tmp_path: Path, capfd, worker: Worker
) -> None:
    """The books list the stand-in's .nrrd alone; another file of theirs is an earlier output."""
    run(scans, tmp_path, worker)
    for name in ("scan0", "scan1"):
        path = tmp_path / "records" / f"{name}.json"
        (tmp_path / name / "structures").mkdir(parents=True)
        mask = tmp_path / name / "structures" / "Chiasm.nrrd"
        mask.write_bytes(b"earlier")
        hashed = "8a4f2a9c0be3a5ee8e0a9db7f3ac9bb9a2c8f95b0c9ed63a9b4b8b3cbd6aee15"
        if name == "scan0":
            import hashlib

            hashed = hashlib.sha256(b"earlier").hexdigest()
        text = path.read_text().replace(
            '"outputs": {', f'"outputs": {{"{name}/structures/Chiasm.nrrd": "{hashed}", '
        )
        path.write_text(text)
    assert run(scans, tmp_path, worker, how=replace(HOW, deep=True)) == 1
    assert not (tmp_path / "scan0").exists()
    said = "scan0: scan0/structures/Chiasm.nrrd of an earlier run, made otherwise, removed"
    assert said in capfd.readouterr().err.splitlines()
    mask = tmp_path / "scan1" / "structures" / "Chiasm.nrrd"
    assert mask.read_bytes() == b"earlier" and (tmp_path / "scan1.nrrd").is_file()
    assert f"{mask} was changed since, and would be left" in manifest(tmp_path)[1]["message"]
