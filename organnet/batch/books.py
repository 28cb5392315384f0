"""The books of an output folder: what is done, what has to be done, and nothing half-written."""

import contextlib
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from organnet.batch.formats import files_of, writable
from organnet.batch.inputs import ZIP, Input, is_zip
from organnet.batch.manifest import write_manifest
from organnet.batch.placing import EARLIER, put
from organnet.batch.record import (
    DONE,
    FAILED,
    How,
    Measured,
    Record,
    is_unchanged,
    picture_name,
    read_record,
    read_records,
    record_path,
)
from organnet.batch.report import write_report
from organnet.batch.worker import Answer
from organnet.errors import OrganNetError
from organnet.files import remove, sha256, write_json
from organnet.layout import image_stem

UNFINISHED = "unfinished.json"
"""There until a run is at its end; says which cases earlier runs had done before it began."""
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
        lacking: of cases of this run, what they could not be written as although it was asked for.
    """

    out: Path
    how: How
    run: str
    stage: Path
    links: Path
    done_before: set[str] = field(default_factory=set)
    failed: dict[str, Record] = field(default_factory=dict)
    lacking: dict[str, list[str]] = field(default_factory=dict)

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
        done = old is not None and old.status == DONE
        if done and not old.is_of(given.path, input_sha256):
            return (
                f"{self.out} has results called {given.name} of {old.input or 'another scan'}: "
                f"choose another --out, or remove them and {record_path(self.out, given.name)}"
            )
        known = old.outputs if old else {}
        for name in files_of(given.name, self.to_write(given, input_sha256), self.how.deep):
            path = self.out / name
            file = next(filter(os.path.isfile, path.parents), None)
            if file is not None:
                return f"{file} is a file where a folder must be: move it, or choose another --out"
            if os.path.exists(path) and not is_unchanged(path, known.get(name, "")):
                return (
                    f"{path} would be replaced, and it is not as organnet left it: "
                    "move it, or choose another --out"
                )
        goes_on = old is None or old.is_same_work(input_sha256, self.how)
        changed = [] if goes_on else old.edited(self.out)
        if changed:
            return (
                f"{changed[0]} was changed since, and would be left beside results that it is not "
                "of: move it, or choose another --out"
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
            answer = self._put(given, input_sha256, answer)
        except OrganNetError as error:
            return self.leave(given, input_sha256, answer.failed(self.one_line(str(error))))
        write_manifest(self.out, self._rows(), self.done_before)
        return answer

    def leave(self, given: Input, input_sha256: str, answer: Answer) -> Answer:
        """Note, for this run alone, that a case failed, and leave all that lies there as it is."""
        self.failed[given.name] = self._record(given, input_sha256, answer)
        write_manifest(self.out, self._rows(), self.done_before)
        return answer

    def clear_stage(self) -> None:
        """Remove what a case left: files that were not wanted, and what it had unpacked.

        Not what lay in their places before: where that could not go back, the next run sees to it.
        """
        for path in (*self.stage.iterdir(), *self.links.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name != EARLIER:
                shutil.rmtree(path, ignore_errors=True)
            elif path.parent == self.stage and path.is_file():
                with contextlib.suppress(OrganNetError):  # it goes when the run is at its end
                    remove(path)

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
            warnings=tuple(map(self.one_line, (*answer.warnings, *answer.notes))),
            volumes_ml={name: round(ml, 3) for name, ml in answer.volumes_ml.items()},
            measured=Measured(answer.seconds, answer.peak_memory_mb),
        )

    def _rows(self) -> list[Record]:
        """The records, and what failed in this run instead of those of the same scans."""
        rows = [record for record in read_records(self.out) if not self._failed_now(record)]
        return sorted([*rows, *self.failed.values()], key=lambda record: record.case)

    def _as_it_lies(self, record: Record) -> Record:
        """The record, with a warning of each output changed since, or that could not be made."""
        notes = [
            f"{path.name} was changed since: picture, volumes and warnings are of what it was"
            for path in record.edited(self.out)
        ]
        lacking = self.lacking.get(record.case, ())
        return replace(record, warnings=(*notes, *record.warnings, *lacking))

    def _failed_now(self, record: Record) -> bool:
        failed = self.failed.get(record.case)
        return failed is not None and failed.is_of(record.input, record.input_sha256)

    def _put(self, given: Input, input_sha256: str, answer: Answer) -> Answer:
        """Give a case's outputs their places, beside those of the same work in other formats.

        Returns the answer with the outputs that were placed, and the earlier ones that went.
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
        earlier = set(old.ours(self.out)) & old.outputs.keys() if old else set()
        put(record, new, self.stage, self.out)
        placed = tuple(name for name in answer.outputs if name in new)
        return replace(answer, outputs=placed, removed=tuple(sorted(earlier - {*record.outputs})))


def _suffix(path: Path) -> str:
    """What tells an image file's or an archive's format; it names nobody."""
    if is_zip(path):
        return ZIP
    return "" if path.is_dir() else path.name[len(image_stem(path.name)) :].lower()
