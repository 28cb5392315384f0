"""An output folder taken for a run, alone, with what a killed run left cleaned up."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from organnet.batch.books import UNFINISHED, Books
from organnet.batch.inputs import Input
from organnet.batch.manifest import MANIFEST
from organnet.batch.placing import EARLIER, take_back
from organnet.batch.record import (
    DONE,
    RECORDS,
    How,
    Record,
    read_records,
    remove_record,
)
from organnet.batch.report import REPORT
from organnet.errors import OrganNetError
from organnet.files import make_folder, read_json, remove

STAGE = ".organnet-work-"
"""The worker writes into such a folder; whole cases are moved from there to their places."""


def numbers_given(out: Path) -> dict[str, list[str]]:
    """The names of the cases in an output folder that names no inputs, by their inputs' SHA-256."""
    names: dict[str, list[str]] = {}
    for record in read_records(out):
        if record.input is None:
            names.setdefault(record.input_sha256, []).append(record.case)
    return names


@contextlib.contextmanager
def open_books(out: Path, how: How, inputs: list[Input]) -> Iterator[Books]:
    """Take an output folder for a run over these inputs; what a killed run left is cleaned up.

    Records of inputs that are not among these stay, unless they failed: outputs that are gone may
    have been moved to where they are used.
    Raises OrganNetError where the folder cannot be written, another run has it, a manifest or
    report of somebody else lies in it, or it names inputs that are not to be named.
    """
    with _made(out), _alone(out), _temporary() as links:
        _refuse_foreign(out)
        _clean(out)
        stage = None
        try:
            records = _records_to_keep(out, {given.name for given in inputs})
            if how.anonymise and any(record.input is not None for record in records):
                raise OrganNetError(f"{out} names its inputs: choose another --out for --anonymise")
            stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=out))
            run = _run_hash(inputs, how)
            yield Books(out, how, run, stage, links, _done_before(out, run, records))
        finally:
            _clean(out)


@contextlib.contextmanager
def _made(out: Path) -> Iterator[None]:
    """The folder, there; one that was made and stayed empty goes again."""
    new = not out.exists()
    make_folder(out)
    try:
        yield
    finally:
        if new:
            with contextlib.suppress(OSError):  # it is not empty
                out.rmdir()


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    """A folder that the user alone may look into, and that goes in every end but a kill."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="organnet-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OrganNetError(
            f"cannot make a temporary folder ({error.strerror}): set TMPDIR to one with free space"
        ) from error
    with folder as name:
        yield Path(name)


def _records_to_keep(out: Path, names: set[str]) -> list[Record]:
    """The records in a folder, after those were removed that say nothing any more."""
    kept = []
    for record in read_records(out):
        if record.case in names or record.status == DONE:
            kept.append(record)
        else:
            remove_record(out, record.case)
    return kept


def _refuse_foreign(out: Path) -> None:
    """Raise OrganNetError for a manifest or report that is none of ours: it would be replaced."""
    for name in (MANIFEST, REPORT):
        if (out / name).exists() and not (out / RECORDS).is_dir():
            raise OrganNetError(
                f"{out / name} would be replaced, and organnet did not write it: "
                "move it, or choose another --out"
            )


def _done_before(out: Path, run: str, records: list[Record]) -> set[str]:
    """Cases done by earlier runs: for one that goes on, those before its beginning."""
    try:
        note = read_json(out / UNFINISHED)
    except OrganNetError:
        note = {}
    if note.get("run") == run:
        return set(note["done_before"])
    return {record.case for record in records if record.status == DONE}


def _run_hash(inputs: list[Input], how: How) -> str:
    paths = [os.path.abspath(given.path) for given in inputs]
    return hashlib.sha256(json.dumps([paths, how.sha256()]).encode()).hexdigest()


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Refuse a second run in the same folder; the lock goes with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        yield
        return
    folder = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OrganNetError(
                f"another run is writing into {out}: wait for it, or choose another --out"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(folder)


def _clean(out: Path) -> None:
    """Undo what a killed run left: cases half in place, its stage, temporary names of the books."""
    # Where no stage is left nothing can come back, and what is half in place still has to go
    stages = sorted(out.glob(f"{STAGE}*"), key=lambda stage: not (stage / EARLIER).is_dir())
    for stage in stages or [out / STAGE]:
        take_back(stage, out)
        shutil.rmtree(stage, ignore_errors=True)
    for name in (MANIFEST, REPORT, UNFINISHED, f"{RECORDS}/*.json"):
        folder, file = (out / name).parent, Path(name)
        for temporary in folder.glob(f".{file.stem}-????????{file.suffix}"):
            remove(temporary)
