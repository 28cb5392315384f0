"""What is known of a case that was worked on: OUT/records/CASE.json, with its picture CASE.png.

The record that says done is written last. So a case with such a record, and with its outputs there,
is done; anything else is done again.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from organnet import __version__
from organnet.batch.formats import files_of
from organnet.errors import OrganNetError
from organnet.files import read_json, remove, sha256, write_json

RECORDS = "records"
DONE, FAILED = "done", "failed"
STOPPED = "stopped while it was written: run the same command again"


@dataclass(frozen=True)
class How:
    """All that decides what a scan becomes, beside the scan, and what the weights are called.

    Attributes:
        weights: SHA-256 of each weights file.
        formats: what is written, sorted; of a case's record, all that is there.
        deep: more overlap, mirroring, an entropy map.
        anonymise: whether what may name a patient is left out of what is written.
        organnet: version of this software.
        names: what the weights were called; the same ones may be given by another name.
    """

    weights: tuple[str, ...]
    formats: tuple[str, ...]
    deep: bool
    anonymise: bool = False
    organnet: str = __version__
    names: tuple[str, ...] = field(default=(), compare=False)

    def sha256(self) -> str:
        """One hash of all that decides."""
        decides = {key: value for key, value in asdict(self).items() if key != "names"}
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Measured:
    """What differs from run to run, and nothing else does: None where it is not known."""

    seconds: float | None = None
    peak_memory_mb: int | None = None


@dataclass(frozen=True)
class Record:
    """A case that was worked on.

    Attributes:
        case: its name.
        status: done or failed.
        message: why it failed, one line.
        input: its absolute path; None where inputs are not to be named.
        input_sha256: empty where the input could not be read at all.
        how: settings, and their hash beside them.
        outputs: SHA-256 by file, below the output folder.
        picture_sha256: of records/CASE.png.
        warnings: what a physicist should look at, one line each.
        volumes_ml: by organ that was found.
        measured: what differs from run to run.
    """

    case: str
    status: str
    message: str
    input: str | None
    input_sha256: str
    how: How
    how_sha256: str
    outputs: dict[str, str] = field(default_factory=dict)
    picture_sha256: str = ""
    warnings: tuple[str, ...] = ()
    volumes_ml: dict[str, float] = field(default_factory=dict)
    measured: Measured = Measured()

    def is_same_work(self, input_sha256: str, how: How) -> bool:
        """Whether the case was done from this input in this way, in whatever formats."""
        if (self.status, self.input_sha256) != (DONE, input_sha256):
            return False
        return replace(self.how, formats=how.formats) == how

    def there(self, out: Path) -> dict[str, str]:
        """Its outputs that are still files; a person may have corrected them since."""
        return {name: hashed for name, hashed in self.outputs.items() if (out / name).is_file()}

    def formats_there(self, out: Path) -> list[str]:
        """The formats that it was written in and of which no file is gone."""
        gone = self.outputs.keys() - self.there(out).keys()
        return [
            name
            for name in self.how.formats
            if gone.isdisjoint(files_of(self.case, (name,), self.how.deep))
        ]

    def has_picture(self, out: Path) -> bool:
        """Whether its picture is there as it was drawn."""
        return is_unchanged(out / picture_name(self.case), self.picture_sha256)

    def edited(self, out: Path) -> list[Path]:
        """Its outputs that are there and no longer as they were written."""
        return [
            out / file
            for file, hashed in self.outputs.items()
            if (out / file).is_file() and not is_unchanged(out / file, hashed)
        ]

    def ours(self, out: Path) -> list[str]:
        """Its outputs and its picture, as far as they are there as they were written."""
        files = {**self.outputs, picture_name(self.case): self.picture_sha256}
        return [file for file, hashed in files.items() if is_unchanged(out / file, hashed)]

    def is_of(self, path: str | Path | None, input_sha256: str) -> bool:
        """Whether it is of this scan: of its bytes, or of what lay under its path before."""
        if self.input_sha256 == input_sha256:
            return True
        return None not in (self.input, path) and self.input == os.path.abspath(path)

    def stays(self, path: Path, input_sha256: str) -> bool:
        """Whether it and its files stay where its case fails now.

        They do unless there are none, or are of this input as it no longer is. Where the input
        cannot be read, its SHA-256 is empty: nobody knows whether it changed.
        """
        if self.status != DONE:
            return False
        return not self.is_of(path, input_sha256) or input_sha256 in ("", self.input_sha256)


def picture_name(case: str) -> str:
    """Where a case's picture lies, below the output folder."""
    return f"{RECORDS}/{case}.png"


def is_unchanged(path: Path, hashed: str) -> bool:
    """Whether a file is there with this SHA-256."""
    try:
        return os.path.isfile(path) and sha256(path) == hashed
    except OrganNetError:
        return False


def write_record(out: Path, record: Record) -> None:
    """Write OUT/records/CASE.json, whole or not at all."""
    write_json(record_path(out, record.case), asdict(record))


def read_record(out: Path, case: str) -> Record | None:
    """The record of a case; None where there is none, or it is no record of ours."""
    try:
        content = read_json(record_path(out, case))
        if set(content) != {field.name for field in fields(Record)} or content["case"] != case:
            return None
        how, measured = content.pop("how"), content.pop("measured")
        how |= {"weights": tuple(how["weights"]), "formats": tuple(how["formats"])}
        how["names"] = tuple(how.get("names", ()))  # earlier records have none
        warnings = tuple(content.pop("warnings"))
        return Record(**content, how=How(**how), measured=Measured(**measured), warnings=warnings)
    except (OrganNetError, TypeError, KeyError):
        return None


def read_records(out: Path) -> list[Record]:
    """All records in OUT/records, by name of the case."""
    paths = sorted((out / RECORDS).glob("*.json"))
    records = (read_record(out, path.stem) for path in paths if not path.name.startswith("."))
    return [record for record in records if record is not None]


def remove_record(out: Path, case: str) -> None:
    """Forget a case: its record first, so that it never vouches for what is gone."""
    remove(record_path(out, case))
    remove(out / picture_name(case))


def record_path(out: Path, case: str) -> Path:
    """Where a case's record lies."""
    return out / RECORDS / f"{case}.json"
