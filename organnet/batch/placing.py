"""A case's files put in their places all together or not at all, however the process ends.

While they are on the move the case's record says STOPPED, and what lay there before waits in
.earlier/CASE on the stage, with its record.
"""

import contextlib
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from organnet.batch.record import (
    DONE,
    FAILED,
    STOPPED,
    Record,
    picture_name,
    read_record,
    read_records,
    remove_record,
    write_record,
)
from organnet.files import move, remove

EARLIER = ".earlier"


def put(record: Record, new: Collection[str], stage: Path, out: Path) -> None:
    """Put a case's new outputs, and its picture, from the stage in the place of earlier ones.

    The record's other outputs stay where an earlier run put them; outputs that are none of its go.
    Raises OrganNetError where a file cannot be moved; then, and where the user stops it, all lies
    as before. Killed, it is for `take_back` to see to that.
    """
    on_the_move = {name: record.outputs[name] for name in new}
    stopped = replace(record, status=FAILED, message=STOPPED, outputs=on_the_move)
    kept = record.outputs.keys() - set(new)
    earlier = stage / EARLIER / record.case
    old = read_record(out, record.case)
    if old is not None:
        write_record(earlier, old)
    try:
        write_record(out, stopped)
        for name in old.ours(out) if old else ():
            if name not in kept:
                _move(name, out, earlier)
        if record.status == DONE:
            for name in (*new, picture_name(record.case)):
                _move(name, stage, out)
        write_record(out, record)
    except BaseException:
        take_back(stage, out)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
    with contextlib.suppress(OSError):  # another case's could not go back
        earlier.parent.rmdir()


def take_back(stage: Path, out: Path) -> None:
    """Undo what was stopped on its way: files half in place go, what was there before comes back.

    Stopped itself, it goes on where it is called again.
    """
    for stopped in read_records(out):
        if stopped.message != STOPPED:
            continue
        earlier = stage / EARLIER / stopped.case
        old = read_record(earlier, stopped.case)
        for name in set(stopped.ours(out)) - set(old.ours(out) if old else ()):
            remove(out / name)
            _remove_empty_folders(out / name, out)
        if old is None:
            remove_record(out, stopped.case)
            continue
        for name in old.ours(earlier):
            _move(name, earlier, out)
        write_record(out, old)


def _move(name: str, source: Path, target: Path) -> None:
    """Move a file from one folder to another, below which it is called the same."""
    move(source / name, target / name)
    _remove_empty_folders(source / name, source)


def _remove_empty_folders(path: Path, root: Path) -> None:
    """Those between a file that is gone and `root`."""
    for folder in path.parents:
        if folder == root:
            break
        with contextlib.suppress(OSError):
            folder.rmdir()
