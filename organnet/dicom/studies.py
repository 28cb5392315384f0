"""Whether a folder is one study or holds several, and a CT: what a batch must know beforehand."""

import os
from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from organnet.dicom.files import is_called_dicom
from organnet.dicom.header import DicomFile, is_dicom, read_header, text
from organnet.errors import OrganNetError

_CT, _UNKNOWN = "CT", "unknown"


def holds_one_study(folder: Path) -> bool:
    """Whether DICOM files lie below a folder, and all of one study.

    One file of each folder is looked at: the first that names its study. A folder whose DICOM
    files name none, damaged as they are, may be another patient's: it counts as a study of its
    own, unless images that name theirs lie in a folder above or below it.
    """
    studies: set[str] = set()
    named: set[Path] = set()
    damaged: set[Path] = set()
    for place, folders, names in os.walk(folder):
        folders.sort()
        study = _study_of(Path(place), sorted(names))
        if study:
            studies.add(study)
            named.add(Path(place))
            damaged -= set(Path(place).parents)
        elif study == "" and named.isdisjoint(Path(place).parents):
            damaged.add(Path(place))
        if len(studies) > 1:
            return False
    return len(studies) + len(damaged) == 1


def _study_of(folder: Path, names: list[str]) -> str | None:
    """The study of the files in a folder; empty where they name none, None without any."""
    said = None
    for name in names:
        study = _study(folder / name)
        if study:
            return study
        said = said if study is None else study
    return said


def may_hold_ct(folder: Path) -> bool:
    """Whether one of the DICOM files below a folder is a CT's, or cannot be read to say no."""
    return any(
        may_be_ct(Path(place) / name)
        for place, _, names in os.walk(folder)
        for name in sorted(names)
    )


def may_be_ct(path: Path) -> bool:
    """Whether a file is a CT's in DICOM, or cannot be read to say no."""
    return _modality(path) in (_CT, _UNKNOWN)


def _modality(path: Path) -> str:
    """A DICOM file's modality; empty where it is no such file."""
    try:
        if not is_dicom(path):
            return _UNKNOWN if is_called_dicom(path.name) else ""
        header = read_header(DicomFile(path, str(path)), ("Modality",))
    except (OSError, OrganNetError):
        return _UNKNOWN
    media = text(header.file_meta, "MediaStorageSOPClassUID")
    return "" if media == MediaStorageDirectoryStorage else text(header, "Modality") or _UNKNOWN


def _study(path: Path) -> str | None:
    """A DICOM file's study; empty where it names none, None where it is no such file."""
    try:
        if not is_dicom(path):
            return "" if is_called_dicom(path.name) else None
        header = read_header(DicomFile(path, str(path)), ("StudyInstanceUID",))
    except (OSError, OrganNetError):
        return ""
    media = text(header.file_meta, "MediaStorageSOPClassUID")
    return None if media == MediaStorageDirectoryStorage else text(header, "StudyInstanceUID")
