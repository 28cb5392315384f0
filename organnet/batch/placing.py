"""A case's files put in their places all together or not at all, however the process ends.

While they are on the move the case's record says STOPPED, and what lay there before waits in
.earlier on the stage, with its record.
"""

import contextlib
import shutil
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


def put(record: Record, stage: Path, out: Path) -> None:
    """Put what was written for a case on the stage in the place of what earlier runs wrote.

    Raises OrganNetError where a file cannot be moved; then, and where the user stops it, all lies
    as before. Killed, it is for `take_back` to see to that.
    """
    earlier = stage / EARLIER
    old = read_record(out, record.case)
    if old is not None:
        write_record(earlier, old)
    try:
        write_record(out, replace(record, status=FAILED, message=STOPPED))
        for name in old.ours(out) if old else ():
            _move(name, out, earlier)
        if record.status == DONE:
            for name in (*record.outputs, picture_name(record.case)):
                _move(name, stage, out)
        write_record(out, record)
    except BaseException:
        take_back(stage, out)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def take_back(stage: Path, out: Path) -> None:
    """Undo what was stopped on its way: files half in place go, what was there before comes back.

    Stopped itself, it goes on where it is called again.
    """
    earlier = stage / EARLIER
    for stopped in read_records(out):
        if stopped.message != STOPPED:
            continue
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
