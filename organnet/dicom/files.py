"""The DICOM files in a folder, or in a .zip of one."""

import contextlib
import errno
import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from organnet.dicom.header import HEAD, DicomFile, begins_like_dicom, is_dicom, one_line
from organnet.errors import OrganNetError

MOST_UNPACKED_BYTES = 8_000_000_000
"""Largest content of a .zip, twenty times a large CT: more is a whole archive, or a trap."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
_ENCRYPTED = 1


@contextlib.contextmanager
def dicom_files(path: Path) -> Iterator[list[DicomFile]]:
    """The files below a folder or in a .zip that begin like DICOM, whatever their names.

    A .zip is unpacked to a temporary folder while the block runs. Raises OrganNetError where the
    path is neither, cannot be read, or the .zip is damaged, locked or too large.
    """
    if path.is_dir():
        yield _in_folder(path)
    elif not path.exists():
        raise OrganNetError(f"{path} does not exist: give the folder or .zip of one CT series")
    elif not zipfile.is_zipfile(path):
        raise OrganNetError(f"{path} is one file: give the folder or .zip of one CT series")
    else:
        with tempfile.TemporaryDirectory(prefix="organnet-") as folder:
            yield _unpacked(path, Path(folder))


def _in_folder(folder: Path) -> list[DicomFile]:
    found = []
    for place, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place) / name
            try:
                if is_dicom(path):
                    found.append(DicomFile(path, str(path)))
            except OSError as error:
                raise _no_access(path, error) from error
    return found


def _unpacked(path: Path, folder: Path) -> list[DicomFile]:
    """Unpack under names of our own: a member's name decides nothing but what a message says."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.flag_bits & _ENCRYPTED for member in archive.infolist()):
                raise OrganNetError(
                    f"{path} is locked with a password: unpack it yourself and give the folder"
                )
            # Not is_dir(), which a member without a name ends
            files = [m for m in archive.infolist() if not m.filename.endswith("/")]
            members = [m for m in files if _is_dicom(archive, m)]
            unpacked_bytes = sum(member.file_size for member in members)
            if unpacked_bytes > MOST_UNPACKED_BYTES:
                raise OrganNetError(
                    f"{path} unpacks to {unpacked_bytes / 1e9:.0f} GB, more than the "
                    f"{MOST_UNPACKED_BYTES / 1e9:.0f} GB allowed: give the folder or .zip of one "
                    "CT series"
                )
            return [_unpack(archive, m, folder / f"{n}.dcm") for n, m in enumerate(members)]
    except _ZIP_ERRORS as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # it names a place before its own beginning
            raise _damaged(path, error) from error
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


def _damaged(path: Path, error: Exception) -> OrganNetError:
    return OrganNetError(
        f"{path} cannot be unpacked ({one_line(str(error))}): "
        "unpack it yourself and give the folder"
    )


def _refuse_folder(error: OSError) -> None:
    raise _no_access(Path(error.filename), error) from error


def _no_access(path: Path, error: OSError) -> OrganNetError:
    return OrganNetError(f"{path} cannot be read ({error.strerror}): check its permissions")
