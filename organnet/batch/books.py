"""The books of an output folder: what is done, what has to be done, and nothing half-written."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from organnet.batch.formats import files_of, writable
from organnet.batch.inputs import ZIP, Input, is_zip
from organnet.batch.manifest import MANIFEST, write_manifest
from organnet.batch.placing import EARLIER, put, take_back
from organnet.batch.record import (
    DONE,
    FAILED,
    RECORDS,
    How,
    Measured,
    Record,
    is_unchanged,
    picture_name,
    read_record,
    read_records,
    record_path,
    remove_record,
)
from organnet.batch.report import REPORT, write_report
from organnet.batch.worker import Answer
from organnet.errors import OrganNetError
from organnet.files import make_folder, read_json, remove, sha256, write_json
from organnet.layout import image_stem

UNFINISHED = "unfinished.json"
"""There until a run is at its end; says which cases earlier runs had done before it began."""
STAGE = ".organnet-work-"
"""The worker writes into such a folder; whole cases are moved from there to their places."""
STAYS = "what was written for it before is kept"


@dataclass(frozen=True)
class Books:
    """An output folder that one run has to itself.

    Attributes:
        out: the folder.
        how: settings of the run.
        run: hash that a run has in common with one that goes on where it stopped.
        stage: folder below `out` for the worker to write into.
        links: folder for links to inputs that are not to be named. Not below `out`, which others
            may be given: a link shows its path, and after a kill it stays.
        done_before: names of the cases that earlier runs did and this one did not do again.
        failed: cases that failed in this run while what lies there under their name stays.
    """

    out: Path
    how: How
    run: str
    stage: Path
    links: Path
    done_before: set[str] = field(default_factory=set)
    failed: dict[str, Record] = field(default_factory=dict)

    def to_write(self, given: Input, input_sha256: str) -> tuple[str, ...]:
        """The formats that this input can be written in and is not yet, of those asked for."""
        formats = writable(self.how.formats, given.is_dicom)
        old = read_record(self.out, given.name)
        if old is None or not old.is_same_work(input_sha256, self.how):
            return formats
        there = old.formats_there(self.out) if old.has_picture(self.out) else []
        return tuple(name for name in formats if name not in there)

    def edited(self, given: Input) -> list[Path]:
        """Outputs of an input that is done that a person has changed since."""
        return read_record(self.out, given.name).edited(self.out)

    def has_record(self, given: Input) -> bool:
        """Whether a case of this name was worked on before."""
        return read_record(self.out, given.name) is not None

    def in_the_way(self, given: Input, input_sha256: str) -> str | None:
        """Why this input's outputs cannot be put in their places; None where they can.

        What another scan or a person has put there is not replaced, nor left beside results that it
        is not of.
        """
        old = read_record(self.out, given.name)
        if old is not None and not old.is_of(given.path, input_sha256):
            return (
                f"{self.out} has results called {given.name} of {old.input}: choose another "
                f"--out, or remove them and {record_path(self.out, given.name)}"
            )
        known = old.outputs if old else {}
        names = files_of(given.name, self.to_write(given, input_sha256), self.how.deep)
        if old is not None and not old.is_same_work(input_sha256, self.how):
            names += [name for name in old.there(self.out) if name not in names]
        for name in names:
            path = self.out / name
            file = next(filter(os.path.isfile, path.parents), None)
            if file is not None:
                return f"{file} is a file where a folder must be: move it, or choose another --out"
            if os.path.exists(path) and not is_unchanged(path, known.get(name, "")):
                return (
                    f"{path} would be replaced, and it is not as organnet left it: "
                    "move it, or choose another --out"
                )
        return None

    def as_read(self, given: Input) -> Input:
        """The input as its reader is to have it: where its path may not be named, by a link.

        Whatever a message then says of its path, the case's name is all that it can say.
        Raises OrganNetError where there can be no links.
        """
        if given.names_path:
            return given
        link = self.links / f"{given.name}{_suffix(given.path)}"
        try:
            link.symlink_to(given.path.absolute())
        except OSError as error:
            raise OrganNetError(
                f"{given.name} cannot be read without its name ({error.strerror}): "
                "set TMPDIR to a folder on a disk that can hold links"
            ) from error
        return replace(given, path=link)

    def keep(self, given: Input, input_sha256: str, answer: Answer) -> Answer:
        """Note what came of a case, which is returned, and give its outputs their places.

        Where it failed and its input is not known to have changed, or its files cannot be moved,
        what earlier runs wrote stays with its record: this run's manifest and report alone say that
        it failed.
        """
        old = read_record(self.out, given.name)
        if answer.message and old is not None and old.stays(given.path, input_sha256):
            if old.is_of(given.path, input_sha256):
                answer = replace(answer, message=f"{answer.message}; {STAYS}")
            return self.leave(given, input_sha256, answer)
        reason = None if answer.message else self.in_the_way(given, input_sha256)
        if reason:  # put there while the scan was segmented
            return self.leave(given, input_sha256, answer.failed(self.one_line(reason)))
        try:
            answer = replace(answer, removed=self._put(given, input_sha256, answer))
        except OrganNetError as error:
            return self.leave(given, input_sha256, answer.failed(self.one_line(str(error))))
        write_manifest(self.out, self._rows(), self.done_before)
        return answer

    def leave(self, given: Input, input_sha256: str, answer: Answer) -> Answer:
        """Note, for this run alone, that a case failed, and leave all that lies there as it is."""
        self.failed[given.name] = self._record(given, input_sha256, answer)
        write_manifest(self.out, self._rows(), self.done_before)
        return answer

    def finish(self) -> None:
        """The report, and the note that the run is at its end."""
        rows = [self._as_it_lies(record) for record in self._rows()]
        if rows:
            write_manifest(self.out, rows, self.done_before)
            write_report(self.out, rows)
        remove(self.out / UNFINISHED)

    def one_line(self, text: str) -> str:
        """A message in one line, with the places that its reader knows for those of the worker."""
        text = text.replace(f"{self.links}{os.sep}", "")
        return " ".join(text.replace(str(self.stage), str(self.out)).split())

    def _record(self, given: Input, input_sha256: str, answer: Answer) -> Record:
        how = replace(self.how, formats=writable(self.how.formats, given.is_dicom))
        return Record(
            case=given.name,
            status=FAILED if answer.message else DONE,
            message=self.one_line(answer.message),
            input=os.path.abspath(given.path) if given.names_path else None,
            input_sha256=input_sha256,
            how=how,
            how_sha256=how.sha256(),
            outputs={name: sha256(self.stage / name) for name in answer.outputs},
            picture_sha256="" if answer.message else sha256(self.stage / picture_name(given.name)),
            warnings=tuple(map(self.one_line, (*answer.notes, *answer.warnings))),
            volumes_ml={name: round(ml, 3) for name, ml in answer.volumes_ml.items()},
            measured=Measured(answer.seconds, answer.peak_memory_mb),
        )

    def _rows(self) -> list[Record]:
        """The records, and what failed in this run instead of those of the same scans."""
        rows = [record for record in read_records(self.out) if not self._failed_now(record)]
        return sorted([*rows, *self.failed.values()], key=lambda record: record.case)

    def _as_it_lies(self, record: Record) -> Record:
        """The record, with a warning of each output that a person has changed since."""
        notes = [
            f"{path.name} was changed since: picture, volumes and warnings are of what it was"
            for path in record.edited(self.out)
        ]
        return replace(record, warnings=(*notes, *record.warnings))

    def _failed_now(self, record: Record) -> bool:
        failed = self.failed.get(record.case)
        return failed is not None and failed.is_of(record.input, record.input_sha256)

    def _put(self, given: Input, input_sha256: str, answer: Answer) -> tuple[str, ...]:
        """Give a case's outputs their places, beside those of the same work in other formats.

        Returns the earlier outputs that are gone, since they were of other work.
        """
        record, old = self._record(given, input_sha256, answer), read_record(self.out, given.name)
        new = set(record.outputs)
        if record.status == DONE and old is not None and old.is_same_work(input_sha256, self.how):
            formats = self.to_write(given, input_sha256)
            new &= set(files_of(given.name, formats, self.how.deep))
            how = replace(
                record.how, formats=tuple(sorted({*formats, *old.formats_there(self.out)}))
            )
            outputs = old.there(self.out) | {name: record.outputs[name] for name in new}
            outputs = dict(sorted(outputs.items()))
            record = replace(record, how=how, how_sha256=how.sha256(), outputs=outputs)
        self.done_before.discard(record.case)
        note = {"run": self.run, "done_before": sorted(self.done_before)}
        write_json(self.out / UNFINISHED, note)
        put(record, new, self.stage, self.out)
        return tuple(sorted(old.outputs.keys() - record.outputs.keys())) if old else ()


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
    make_folder(out)
    _refuse_foreign(out)
    with _alone(out), _temporary() as links:
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


def _suffix(path: Path) -> str:
    """What tells an image file's or an archive's format; it names nobody."""
    if is_zip(path):
        return ZIP
    return "" if path.is_dir() else path.name[len(image_stem(path.name)) :].lower()
