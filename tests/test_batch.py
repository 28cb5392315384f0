"""A batch that no case can stop: bad inputs, dying workers, and runs that are killed."""

import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from batch_parts import (
    BREAKING,
    HOW,
    check_kills,
    contents,
    load_faulty,
    load_mortal,
    load_refusing,
    load_stand_in,
    manifest,
    run_command,
    write_tiny,
)

from organnet.batch.books import STAGE, UNFINISHED, numbers_given, open_books
from organnet.batch.finding import find_inputs, numbered
from organnet.batch.inputs import Input
from organnet.batch.record import read_record
from organnet.batch.run import run_batch
from organnet.batch.worker import Worker
from organnet.errors import OrganNetError, RunError
from organnet.files import read_json


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of six tiny CTs."""
    folder = tmp_path_factory.mktemp("scans")
    for number, suffix in enumerate((".nrrd", ".mha", ".nii.gz") * 2):
        write_tiny(folder / f"scan{number}{suffix}", number)
    return folder


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """The stand-in's process, for many tests."""
    with contextlib.closing(Worker(load_stand_in)) as worker:
        yield worker


def run(folder: Path, out: Path, worker: Worker, how=HOW, anonymise=False) -> int:
    inputs = find_inputs([folder / "*"]).inputs
    if anonymise:
        inputs = numbered(inputs, numbers_given(out))
    return run_batch(inputs, worker, out, replace(how, anonymise=anonymise))


def statuses(out: Path) -> list[str]:
    return [row["status"] for row in manifest(out)]


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
        "killed": "the process that segmented it was ended (killed), perhaps for want of memory",
        "crashed": "the process that segmented it was ended (segmentation fault), "
        "perhaps by a broken file",
        "left": "the process that segmented it ended with code 3",
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
    assert worker.segment(Input("a", scans / "scan0.nrrd"), tmp_path).message == ""
    worker.close()


def test_what_a_dying_worker_unpacked_goes_with_the_stage(scans: Path, tmp_path: Path) -> None:
    worker = Worker(load_mortal)
    given = Input("unpacking-killed", scans / "scan0.nrrd")
    with open_books(tmp_path, HOW, [given]) as books:
        assert "was ended (killed)" in worker.segment(given, books.stage).message
        assert [path.name for path in books.stage.iterdir()] == ["unpacked"]
    assert not list(tmp_path.iterdir())


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
    assert not list((tmp_path / "out").iterdir())


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
    assert run(scans, tmp_path, worker, how=replace(HOW, deep=True)) == 1
    assert f"{corrected} would be replaced" in capfd.readouterr().err
    assert corrected.read_bytes() == b"corrected"
    assert statuses(tmp_path) == ["done", "done", "done before", "done", "done", "done"]
    corrected.rename(tmp_path / "mine.nrrd")
    assert run(scans, tmp_path, worker, how=replace(HOW, deep=True)) == 0


def test_what_was_there_before_is_not_replaced(scans: Path, tmp_path: Path, worker: Worker) -> None:
    drawing = tmp_path / "scan0.nrrd"
    drawing.write_bytes(b"a drawing")
    assert run(scans, tmp_path, worker) == 1
    assert drawing.read_bytes() == b"a drawing"
    assert len(manifest(tmp_path)) == 5


def test_results_of_another_scan_of_that_name_stay(tmp_path: Path, capfd, worker: Worker) -> None:
    out = tmp_path / "out"
    for number, patient in enumerate("AB"):
        write_tiny(tmp_path / patient / "ct.nrrd", number)
    first, second = (find_inputs([tmp_path / patient]).inputs for patient in "AB")
    assert run_batch(first, worker, out, HOW) == 0
    before = contents(out)
    with pytest.raises(OrganNetError, match=r"results called ct of .*A/ct\.nrrd"):
        run_batch(second, worker, out, HOW)
    assert contents(out) == before
    moved = (tmp_path / "A").rename(tmp_path / "moved")
    assert run_batch(find_inputs([moved]).inputs, Worker(load_refusing), out, HOW) == 0


def test_an_only_input_that_fails_now_takes_its_old_result_away(
    tmp_path: Path, worker: Worker
) -> None:
    scan, out = write_tiny(tmp_path / "scans" / "one.nrrd"), tmp_path / "out"
    run(scan.parent, out, worker)
    BREAKING["text"](scan)
    with pytest.raises(OrganNetError, match=r"one\.nrrd"):
        run(scan.parent, out, worker)
    assert statuses(out) == ["failed"] and not (out / "one.nrrd").exists()


def test_a_picture_that_is_gone_is_drawn_again(scans: Path, tmp_path: Path, worker: Worker) -> None:
    inputs = find_inputs([scans / "*"]).inputs
    run_batch(inputs, worker, tmp_path, HOW)
    (tmp_path / "records" / "scan0.png").unlink()
    run_batch(inputs[1:], worker, tmp_path, HOW)  # not asked for scan0: the report does without
    assert [row["outputs"] for row in manifest(tmp_path)] == [f"scan{n}.nrrd" for n in range(1, 6)]
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


def test_outputs_of_another_way_do_not_stay_unless_edited(
    scans: Path, tmp_path: Path, worker: Worker
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
    run(scans, tmp_path, worker, how=replace(HOW, deep=True))
    assert not (tmp_path / "scan0").exists()
    assert (tmp_path / "scan1" / "structures" / "Chiasm.nrrd").read_bytes() == b"earlier"


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
