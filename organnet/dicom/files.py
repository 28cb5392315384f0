"""The DICOM files in a folder, or in a .zip of one."""

import contextlib
import errno
import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import NoReturn

from organnet.dicom.header import HEAD, DicomFile, begins_like_dicom, is_dicom
from organnet.errors import OrganNetError, one_line

MOST_UNPACKED_BYTES = 8_000_000_000
"""Largest content of a .zip, twenty times a large CT: more is a whole archive, or a trap."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
_ENCRYPTED = 1
_SUFFIXES = (".dcm", ".dicom", ".ima")
"""What files of DICOM are called, where they have a suffix."""


@contextlib.contextmanager
def dicom_files(
    path: Path, anonymise: bool = False
) -> Iterator[tuple[list[DicomFile], tuple[str, ...]]]:
    """The files below a folder or in a .zip that begin like DICOM, whatever their names.

    With them comes a warning of those that were meant as DICOM and do not begin like it. A .zip is
    unpacked to a temporary folder while the block runs. With `anonymise` messages number the files
    and name nothing below the path. Raises OrganNetError where the path is neither, cannot be read,
    or the .zip is damaged, locked or too large.
    """
    with _found(path, anonymise) as (files, lost):
        if anonymise:
            numbered = enumerate(files, start=1)
            files = [DicomFile(file.path, f"{path}: file {n}") for n, file in numbered]
        yield files, _warning(lost, anonymise)


@contextlib.contextmanager
def _found(path: Path, anonymise: bool) -> Iterator[tuple[list[DicomFile], list[str]]]:
    if path.is_dir():
        yield _in_folder(path, anonymise)
    elif not path.exists():
        raise OrganNetError(f"{path} does not exist: give the folder or .zip of one CT series")
    elif not zipfile.is_zipfile(path):
        if path.suffix.lower() == ".zip":
            raise OrganNetError(f"{path} is damaged, or no .zip: copy or download it again")
        raise OrganNetError(f"{path} is one file: give the folder or .zip of one CT series")
    else:
        with tempfile.TemporaryDirectory(prefix="organnet-") as folder:
            yield _unpacked(path, Path(folder), anonymise)


def _in_folder(folder: Path, anonymise: bool) -> tuple[list[DicomFile], list[str]]:
    def refuse(error: OSError, path: Path | None = None) -> NoReturn:
        place = f"{folder} or what lies in it" if anonymise else path or error.filename
        raise OrganNetError(
            f"{place} cannot be read ({error.strerror}): check its permissions"
        ) from error

    found = []
    others = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            path = Path(place) / name
            try:
                if is_dicom(path):
                    found.append(DicomFile(path, str(path)))
                else:
                    others.append((path, path.is_file() and path.stat().st_size == 0))
            except OSError as error:
                refuse(error, path)
    return found, _lost((one.path for one in found), others)


def _lost(found: Iterable[PurePath], others: Iterable[tuple[PurePath, bool]]) -> list[str]:
    """The names of files meant as DICOM among others, each with whether it is empty.

    Such are those that are empty, and those called as DICOM is or like a file of DICOM beside
    them. Copying that broke off leaves them. A hidden file holds what a Mac keeps of another.
    """
    kinds = defaultdict(set)
    for path in found:
        kinds[path.parent].add(_kind(path.name))
    return [
        path.name
        for path, empty in others
        if not path.name.startswith(".")
        and (empty or is_called_dicom(path.name) or _kind(path.name) in kinds.get(path.parent, ()))
    ]


def is_called_dicom(name: str) -> bool:
    """Whether a file, not a hidden one, is called as those of DICOM are."""
    return name.lower().endswith(_SUFFIXES) and not name.startswith(".")


def _warning(lost: list[str], anonymise: bool) -> tuple[str, ...]:
    if not lost:
        return ()
    files = "1 file is" if len(lost) == 1 else f"{len(lost)} files are"
    first = "" if anonymise else f", first {one_line(lost[0])}"
    return (
        f"{files} empty or damaged and left out{first}: "
        "where they are images, copy or export them again",
    )


def _kind(name: str) -> str:
    """What the names of one series have in common: all but their numbers and UIDs."""
    return re.sub(r"[\d.]*\d", "#", name)


def _unpacked(path: Path, folder: Path, anonymise: bool) -> tuple[list[DicomFile], list[str]]:
    """Unpack under names of our own: a member's name decides nothing but what a message says."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.flag_bits & _ENCRYPTED for member in archive.infolist()):
                raise OrganNetError(
                    f"{path} is locked with a password: unpack it yourself and give the folder"
                )
            # Not is_dir(), which a member without a name ends
            files = [m for m in archive.infolist() if not m.filename.endswith("/")]
            listed = [(member, _is_dicom(archive, member)) for member in files]
            members = [member for member, is_one in listed if is_one]
            others = [member for member, is_one in listed if not is_one]
            unpacked_bytes = sum(member.file_size for member in members)
            if unpacked_bytes > MOST_UNPACKED_BYTES:
                raise OrganNetError(
                    f"{path} unpacks to {unpacked_bytes / 1e9:.0f} GB, more than the "
                    f"{MOST_UNPACKED_BYTES / 1e9:.0f} GB allowed: give the folder or .zip of one "
                    "CT series"
                )
            lost = _lost(
                (PurePath(member.filename) for member in members),
                ((PurePath(member.filename), member.file_size == 0) for member in others),
            )
            return [_unpack(archive, m, folder / f"{n}.dcm") for n, m in enumerate(members)], lost
    except _ZIP_ERRORS as error:
        raise _damaged(path, error, anonymise) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # it names a place before its own beginning
            raise _damaged(path, error, anonymise) from error
        raise OrganNetError(
            f"{path} cannot be unpacked to {folder.parent} ({error.strerror}): "
            "free space there, or unpack it yourself and give the folder"
        ) from error


def _is_dicom(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    with archive.open(member) as file:
        return begins_like_dicom(file.read(HEAD))


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> DicomFile:
    # zipfile gives no more bytes than the size that was added up, whatever is packed
    with archive.open(member) as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return DicomFile(path, f"{archive.filename}: {one_line(member.filename)}")


def _damaged(path: Path, error: Exception, anonymise: bool) -> OrganNetError:
    why = type(error).__name__ if anonymise else one_line(str(error))  # it may name a member
    return OrganNetError(
        f"{path} cannot be unpacked ({why}): unpack it yourself and give the folder"
    )
