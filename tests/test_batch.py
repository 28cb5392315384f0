"""A batch that no case can stop: bad inputs, dying workers, and runs that are killed."""

import csv
import errno
import io
import os
import re
import signal
import sys
from dataclasses import replace
from functools import partial
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from batch_parts import (
    BREAKING,
    HOW,
    check_kills,
    load_faulty,
    load_mortal,
    load_refusing,
    load_stand_in,
    manifest,
    run_command,
    write_tiny,
)
from batch_runs import run, statuses
from tqdm import tqdm

from organnet.batch.books import UNFINISHED
from organnet.batch.finding import find_inputs, numbered
from organnet.batch.inputs import Input
from organnet.batch.manifest import write_manifest
from organnet.batch.opening import STAGE, open_books
from organnet.batch.record import Measured, Record, read_record, read_records
from organnet.batch.run import run_batch
from organnet.batch.worker import Worker
from organnet.errors import OrganNetError, RunError
from organnet.files import read_json


def test_seven_of_twenty_are_broken_in_seven_ways(tmp_path: Path, capfd, worker: Worker) -> None:
    folder = tmp_path / "scans"
    for number in range(13):
        write_tiny(folder / f"good{number:02}.nrrd", number)
    for name, breaking in BREAKING.items():
        breaking(write_tiny(folder / f"bad-{name}.nrrd"))
    out = tmp_path / "out"
    assert run(folder, out, worker) == 7
    assert len(list(out.glob("*.nrrd"))) == 13
    said = [line for line in capfd.readouterr().err.splitlines() if "failed" in line]
    assert len(said) == 14 and len(set(said)) == 7  # at once, and again at the end
    for name in BREAKING:
        record = read_record(out, f"bad-{name}")
        assert record.status == "failed" and str(folder) in record.message
        assert f"bad-{name} failed: {record.message}" in said
    assert statuses(out) == ["failed"] * 7 + ["done"] * 13
    assert not list(out.rglob(".*"))


def test_a_worker_that_dies_fails_its_own_case_alone(tmp_path: Path, capfd) -> None:
    mortal = Worker(load_mortal)
    folder = tmp_path / "scans"
    for name in ("a", "killed", "b", "crashed", "left", "memory", "bug", "c"):
        write_tiny(folder / f"{name}.nrrd")
    out = tmp_path / "out"
    assert run(folder, out, mortal) == 5
    messages = {name: read_record(out, name).message for name in ("killed", "crashed", "left")}
    assert messages == {
        "killed": "the process that segmented it was ended (killed), perhaps for want of memory: "
        "try it again alone",
        "crashed": "the process that segmented it was ended (segmentation fault), "
        "perhaps by a broken file: try it again alone",
        "left": "the process that segmented it ended with code 3: "
        "please report it as an error of organnet",
    }
    assert "not enough memory" in read_record(out, "memory").message
    assert (
        "unexpected ValueError (first line second line): please" in read_record(out, "bug").message
    )
    assert sorted(path.stem for path in out.glob("*.nrrd")) == ["a", "b", "c"]
    mortal.close()
    assert "Traceback" not in capfd.readouterr().err
    assert read_record(out, "a").measured.seconds > 0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells the peak")
def test_a_record_has_the_peak_memory_of_its_case(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    run(scans, tmp_path, worker)
    assert 10 < read_record(tmp_path, "scan0").measured.peak_memory_mb < 1000


def row_of(out: Path, measured: Measured) -> dict[str, str]:
    """The manifest's row of one case that was done by two weights."""
    how = replace(HOW, weights=("a" * 64, "b" * 64), organnet="1.2.3")
    done = Record("A", "done", "", "A.nrrd", "c" * 64, how, how.sha256(), measured=measured)
    write_manifest(out, [done], set())
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return next(csv.DictReader(file))


def test_the_manifest_has_the_seconds_of_a_case(tmp_path: Path) -> None:
    assert row_of(tmp_path, Measured(seconds=12.34))["seconds"] == "12.3"
    assert row_of(tmp_path, Measured())["seconds"] == ""


def test_the_manifest_has_the_peak_memory_of_a_case(tmp_path: Path) -> None:
    assert row_of(tmp_path, Measured(peak_memory_mb=789))["peak_memory_mb"] == "789"
    assert row_of(tmp_path, Measured())["peak_memory_mb"] == ""


def test_the_manifest_has_the_version(tmp_path: Path) -> None:
    assert row_of(tmp_path, Measured())["organnet_version"] == "1.2.3"


def test_the_manifest_has_every_weights_file(tmp_path: Path) -> None:
    assert row_of(tmp_path, Measured())["weights_sha256"] == f"{'a' * 64};{'b' * 64}"


def test_the_progress_counts_every_case(
    scans: Path, tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    bar = partial(tqdm, file=shown)
    bar.write = tqdm.write
    monkeypatch.setattr("organnet.batch.run.tqdm", bar)
    shown.isatty = lambda: True  # else it is not shown at all
    run(scans, tmp_path, worker)
    assert " 0/6 " in shown.getvalue() and " 6/6 " in shown.getvalue()


def test_what_is_said_takes_no_lock_that_ctrl_c_would_leave_broken(
    scans: Path, tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tqdm lets go of its lock though Ctrl-C came before it was taken: an error of its own."""
    said = {}
    monkeypatch.setattr(tqdm, "write", lambda line, **how: said.update({line: how}))
    run(scans, tmp_path, worker)
    assert len(said) > 5 and all(how["nolock"] for how in said.values())


def test_a_worker_killed_from_outside_is_replaced(scans: Path, tmp_path: Path) -> None:
    worker = Worker(load_stand_in)
    given = Input("scan0", scans / "scan0.nrrd")
    assert worker.segment(given, tmp_path).message == ""
    first = worker.pid
    os.kill(first, signal.SIGKILL)
    assert "was ended (killed)" in worker.segment(given, tmp_path).message
    assert worker.segment(given, tmp_path).message == ""
    assert worker.pid not in (None, first)
    worker.close()


def test_without_weights_nothing_is_done(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(OrganNetError, match="no weights today"):
        run(scans, tmp_path, Worker(load_refusing))
    assert not list(tmp_path.iterdir())


def test_a_process_that_cannot_be_started_fails_its_case_alone(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        monkeypatch.undo()  # for one case; then there is room again
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(SpawnProcess, "start", no_room)
    mortal = Worker(load_mortal)
    assert run(scans, tmp_path, mortal) == 1
    (failed,) = (r for r in read_records(tmp_path) if r.status == "failed")
    assert "no process could be started for it" in failed.message
    mortal.close()


def test_a_worker_that_cannot_begin_says_why_in_one_line(
    scans: Path, tmp_path: Path, capfd
) -> None:
    with pytest.raises(
        OrganNetError, match=r"^unexpected ZeroDivisionError \(.*zero\): please report"
    ):
        run(scans, tmp_path, Worker(load_faulty))
    assert "Traceback" not in capfd.readouterr().err


def test_a_scan_that_never_ends_is_given_up(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("organnet.batch.worker.LONGEST_S", 1.0)
    worker = Worker(load_mortal)
    answer = worker.segment(Input("sleeping", scans / "scan0.nrrd"), tmp_path)
    assert "was given up" in answer.message
    monkeypatch.undo()  # a busy machine may take a second to begin
    assert worker.segment(Input("a", scans / "scan0.nrrd"), tmp_path).message == ""
    worker.close()


def test_where_all_fail_nothing_is_done(tmp_path: Path, worker: Worker) -> None:
    for name in ("empty", "text"):
        BREAKING[name](write_tiny(tmp_path / "scans" / f"{name}.nrrd"))
    with pytest.raises(RunError, match="none of the 2 cases"):
        run(tmp_path / "scans", tmp_path / "out", worker)
    assert statuses(tmp_path / "out") == ["failed", "failed"]


def test_an_only_input_that_fails_is_one_line_and_leaves_nothing(
    tmp_path: Path, worker: Worker
) -> None:
    BREAKING["text"](write_tiny(tmp_path / "scans" / "one.nrrd"))
    with pytest.raises(OrganNetError, match=r"one\.nrrd"):
        run(tmp_path / "scans", tmp_path / "out", worker)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(OrganNetError, match=r"one\.nrrd"):
        run(tmp_path / "scans", tmp_path / "out", worker)
    assert not list((tmp_path / "out").iterdir())


def test_killed_at_any_time_and_run_again_it_ends_the_same(scans: Path, tmp_path: Path) -> None:
    check_kills(run_command("load_stand_in", HOW.formats, scans / "*"), tmp_path, kills=10)


def test_a_run_that_goes_on_knows_what_was_done_before_it_began(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    inputs = find_inputs([scans / "*"]).inputs
    run_batch(inputs[:2], worker, tmp_path, HOW)
    with open_books(tmp_path, HOW, inputs) as books:
        for given in inputs[2:4]:
            books.keep(given, given.sha256(), worker.segment(given, books.stage))
    assert read_json(tmp_path / UNFINISHED)["done_before"] == ["scan0", "scan1"]
    assert statuses(tmp_path) == ["done before"] * 2 + ["done"] * 2
    run(scans, tmp_path, worker)
    assert statuses(tmp_path) == ["done before"] * 2 + ["done"] * 4


def test_what_a_killed_run_left_is_removed_and_nothing_else(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / f"{STAGE}abc" / "deep").mkdir(parents=True)
    left = (".manifest-abcdefgh.csv", ".report-abc_efgh.html", "records/.scan0-abcdefgh.json")
    kept = (".hidden", "notes.txt", ".manifest.csv", "records/.keep")
    for name in (*left, *kept):
        (tmp_path / name).write_text("x")
    run(scans, tmp_path, worker)
    assert not [name for name in left if (tmp_path / name).exists()]
    assert all((tmp_path / name).exists() for name in kept)
    assert not list(tmp_path.glob(f"{STAGE}*"))


def test_a_second_run_in_the_same_folder_is_refused(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    inputs = find_inputs([scans / "*"]).inputs
    with (
        open_books(tmp_path, HOW, inputs),
        pytest.raises(OrganNetError, match="another run"),
    ):
        run(scans, tmp_path, worker)


def test_a_failure_that_is_no_longer_asked_for_is_forgotten(tmp_path: Path, worker: Worker) -> None:
    for number in range(3):
        write_tiny(tmp_path / "scans" / f"scan{number}.nrrd", number)
    BREAKING["text"](tmp_path / "scans" / "scan1.nrrd")
    out = tmp_path / "out"
    assert run(tmp_path / "scans", out, worker) == 1
    (tmp_path / "scans" / "scan1.nrrd").unlink()
    (tmp_path / "scans" / "scan2.nrrd").unlink()
    assert run(tmp_path / "scans", out, worker) == 0
    assert [row["outputs"] for row in manifest(out)] == ["scan0.nrrd", "scan2.nrrd"]


def test_anonymous_outputs_and_messages_say_nothing_of_the_paths(
    tmp_path: Path, capfd, worker: Worker
) -> None:
    folder = tmp_path / "Mustermann"
    for number in range(3):
        write_tiny(folder / f"Erika{number}.nrrd", number)
    BREAKING["text"](folder / "Erika1.nrrd")
    out = tmp_path / "out"
    assert run(folder, out, worker, anonymise=True) == 1
    assert sorted(path.name for path in out.glob("*.nrrd")) == ["case-001.nrrd", "case-003.nrrd"]
    assert not re.search("Mustermann|Erika", "".join(capfd.readouterr()))
    for path in out.rglob("*"):
        said = path.name if path.is_dir() else path.name + path.read_bytes().decode("latin-1")
        assert not re.search("Mustermann|Erika", said), path
    assert re.fullmatch("[0-9a-f]{64}", manifest(out)[0]["input"])
    assert run(folder, tmp_path / "named", worker) == 1
    with pytest.raises(OrganNetError, match="choose another --out for --anonymise"):
        run(folder, tmp_path / "named", worker, anonymise=True)


def test_links_to_what_is_not_named_do_not_lie_in_the_outputs(scans: Path, tmp_path: Path) -> None:
    """A link shows its path, and one stays where a run is killed."""
    inputs = numbered(find_inputs([scans / "scan0.nrrd"]).inputs, {})
    with open_books(tmp_path, replace(HOW, anonymise=True), inputs) as books:
        link = books.as_read(inputs[0]).path
        assert link.is_symlink() and link.name == "case-001.nrrd"
        assert not link.is_relative_to(tmp_path) and link.parent.stat().st_mode & 0o777 == 0o700
        assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
        assert books.one_line(f"{link} is no CT") == "case-001.nrrd is no CT"
    assert not link.parent.exists()


def test_warnings_are_counted_at_the_end_of_a_case_and_in_the_manifest(
    tmp_path: Path, capfd, worker: Worker
) -> None:
    """What is odd about a scan is told, and its only warning; what failed was not looked at."""
    for name in ("a", "odd", "text"):
        write_tiny(tmp_path / "scans" / f"{name}.nrrd")
    BREAKING["text"](tmp_path / "scans" / "text.nrrd")
    out = tmp_path / "out"
    run(tmp_path / "scans", out, worker)
    said = capfd.readouterr()
    assert [line for line in said.err.splitlines() if line.startswith(("a: ", "odd: "))] == [
        *("a: a warning & a <tag>", "odd: tilted", "odd: uneven"),
        f"odd: 5 warnings, see {out / 'report.html'}",
    ]
    assert said.out.splitlines() == [str(out / f"{name}.nrrd") for name in ("a", "odd")]
    assert [row["warnings"] for row in manifest(out)] == ["1", "5", ""]


def test_anonymous_cases_keep_their_numbers(tmp_path: Path, worker: Worker) -> None:
    folder, out = tmp_path / "scans", tmp_path / "out"
    for number in (1, 2):
        write_tiny(folder / f"scan{number}.nrrd", number)
    run(folder, out, worker, anonymise=True)
    numbers = {row["input"]: row["outputs"] for row in manifest(out)}
    write_tiny(folder / "scan0.nrrd", 0)  # the first in order
    run(folder, out, worker, anonymise=True)
    assert statuses(out) == ["done before", "done before", "done"]
    assert numbers.items() <= {row["input"]: row["outputs"] for row in manifest(out)}.items()


def test_a_scan_without_a_name_is_read_by_its_suffix(tmp_path: Path, worker: Worker) -> None:
    for number, suffix in enumerate((".nii.gz", ".MHA", ".nrrd")):
        write_tiny(tmp_path / "scans" / f"scan{number}{suffix.lower()}").rename(
            tmp_path / "scans" / f"scan{number}{suffix}"
        )
    write_tiny(tmp_path / "scans" / "case" / "img.nrrd")
    assert run(tmp_path / "scans", tmp_path / "out", worker, anonymise=True) == 0
    assert statuses(tmp_path / "out") == ["done"] * 4
