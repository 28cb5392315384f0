"""A case's files put in their places: all or none, whatever stops it, and wherever."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from batch_parts import HOW, contents, load_mortal, load_writing, manifest
from batch_runs import run, statuses

from organnet.batch import placing
from organnet.batch.finding import find_inputs
from organnet.batch.inputs import Input
from organnet.batch.opening import STAGE, open_books
from organnet.batch.record import STOPPED, read_record, write_record
from organnet.batch.run import run_batch
from organnet.batch.worker import Worker
from organnet.errors import OrganNetError
from organnet.files import move


@pytest.fixture(scope="module")
def nifti_worker() -> Iterator[Worker]:
    with contextlib.closing(Worker(partial(load_writing, "nifti"))) as worker:
        yield worker


@pytest.mark.parametrize("again", [False, True])
def test_files_that_cannot_be_moved_fail_their_case_alone_and_leave_all_as_it_was(
    again: bool, scans: Path, tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture is moved last; each earlier file is moved away before, and back after."""
    if again:
        run(scans, tmp_path, worker)
    before = {name: data for name, data in contents(tmp_path).items() if "scan1" in name}
    assert len(before) == 3 * again

    def full(path: Path, target: Path) -> None:
        if target.name == "scan1.png" and path.parent.parent.name.startswith(STAGE):
            raise OrganNetError(f"cannot write {target} (No space left on device): mend it")
        move(path, target)

    monkeypatch.setattr("organnet.batch.placing.move", full)
    assert run(scans, tmp_path, worker, how=replace(HOW, deep=True)) == 1
    assert statuses(tmp_path) == ["done", "failed", "done", "done", "done", "done"]
    assert "scan1.png (No space left" in manifest(tmp_path)[1]["message"]
    after = {name: data for name, data in contents(tmp_path).items() if "scan1" in name}
    assert after == before
    monkeypatch.undo()
    assert run(scans, tmp_path, worker, how=replace(HOW, deep=True)) == 0


@pytest.mark.parametrize(
    ("again", "moves"), [(False, 1), (False, 2), (True, 1), (True, 2), (True, 3), (True, 4)]
)
def test_stopped_right_after_a_move_all_is_as_it_was(
    again: bool,
    moves: int,
    scans: Path,
    tmp_path: Path,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An output and a picture are moved; where there were some before, those first."""
    if again:
        run(scans, tmp_path, worker)
    before = {name: data for name, data in contents(tmp_path).items() if "scan0" in name}
    moved = []

    def stopped(path: Path, target: Path) -> None:
        move(path, target)
        moved.append(target)
        if len(moved) == moves:
            raise KeyboardInterrupt

    monkeypatch.setattr("organnet.batch.placing.move", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(scans, tmp_path, worker, how=replace(HOW, deep=True))
    after = {name: data for name, data in contents(tmp_path).items() if "scan0" in name}
    assert after == before
    monkeypatch.undo()
    assert run(scans, tmp_path, worker, how=replace(HOW, deep=True)) == 0


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the run's own comes after it."""


STEPS = {"nothing": 4, "other settings": 7, "another format": 6}
"""What lay there before, and how many steps it takes to put a case in its place.

A record is written, two files are moved, and the record again; where there was a result, its
record and two files are put aside as well, of which the output stays where the new one is beside.
"""


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("before", "step"), [(before, n) for before, steps in STEPS.items() for n in range(steps)]
)
def test_killed_while_a_case_is_put_in_its_place_it_is_as_before_or_done(
    before: str,
    step: int,
    late: bool,
    scans: Path,
    tmp_path: Path,
    worker: Worker,
    nifti_worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before and after each of its steps; then a run over another scan comes first."""
    other = find_inputs([scans / "scan1*"]).inputs
    writer, how = worker, replace(HOW, deep=True)
    if before == "another format":
        writer, how = nifti_worker, replace(HOW, formats=("nifti",))
    if before != "nothing":
        run(scans, tmp_path, worker)
    files = {name: data for name, data in contents(tmp_path).items() if "scan0" in name}
    steps = []

    def killing(real: Callable) -> Callable:
        def act(*given: object) -> None:
            steps.append(given)
            if len(steps) == step + 1 and not late:
                kill()
            real(*given)
            if len(steps) == step + 1 and late:
                kill()

        return act

    def kill() -> None:
        monkeypatch.setattr(placing, "take_back", lambda *_: None)
        monkeypatch.setattr("organnet.batch.opening._clean", lambda *_: None)
        raise Killed

    monkeypatch.setattr(placing, "move", killing(move))
    monkeypatch.setattr(placing, "write_record", killing(write_record))
    monkeypatch.setattr("organnet.batch.books.write_manifest", lambda *_: None)
    with pytest.raises(Killed):
        run(scans, tmp_path, writer, how=how)
    monkeypatch.undo()
    assert run_batch(other, worker, tmp_path, HOW) == 0
    after = {name: data for name, data in contents(tmp_path).items() if "scan0" in name}
    done = step == STEPS[before] - 1 and late
    if done:
        assert after != files and len(after) == 3 + (before == "another format")
    else:
        assert after == files
    assert not list(tmp_path.rglob(".*"))
    assert run(scans, tmp_path, writer, how=how) == 0


def test_of_two_stages_that_killed_runs_left_the_one_with_results_is_taken(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    """The other would forget the case whose earlier results wait in the first."""
    run(scans, tmp_path, worker)
    before = contents(tmp_path)
    record = read_record(tmp_path, "scan0")
    earlier = tmp_path / f"{STAGE}b" / placing.EARLIER / "scan0"
    write_record(earlier, record)
    for name in record.ours(tmp_path):
        move(tmp_path / name, earlier / name)
    write_record(tmp_path, replace(record, status="failed", message=STOPPED, outputs={}))
    (tmp_path / f"{STAGE}a").mkdir()
    run_batch(find_inputs([scans / "scan1*"]).inputs, worker, tmp_path, HOW)
    assert contents(tmp_path) == before


def test_what_a_dying_worker_unpacked_goes_with_the_stage(scans: Path, tmp_path: Path) -> None:
    worker = Worker(load_mortal)
    given = Input("unpacking-killed", scans / "scan0.nrrd")
    with open_books(tmp_path, HOW, [given]) as books:
        assert "was ended (killed)" in worker.segment(given, books.stage).message
        assert [path.name for path in books.stage.iterdir()] == ["unpacked"]
        (books.stage / "a.nrrd").touch()
        (books.links / "organnet-unpacked").mkdir()
        (books.links / "case-001.nrrd").symlink_to(scans / "scan0.nrrd")
        (books.stage / placing.EARLIER).mkdir()  # what could not go back is for the next run
        books.clear_stage()
        assert [path.name for path in books.stage.iterdir()] == [placing.EARLIER]
        assert [path.name for path in books.links.iterdir()] == ["case-001.nrrd"]
    assert not list(tmp_path.iterdir())
