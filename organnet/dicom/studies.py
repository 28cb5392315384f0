"""Whether a folder is one study or holds several, and a CT: what a batch must know beforehand."""

import os
from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from organnet.dicom.header import DicomFile, is_dicom, read_header, text
from organnet.errors import OrganNetError

_CT, _UNKNOWN = "CT", "unknown"


def holds_one_study(folder: Path) -> bool:
    """Whether DICOM files lie below a folder, and all of one study.

    One file of each folder is looked at: the first that names its study. Files that cannot be
    read are passed over here; reading the series will name them.
    """
    studies: set[str] = set()
    for place, folders, names in os.walk(folder):
        folders.sort()
        study = next(filter(None, (_study(Path(place) / name) for name in sorted(names))), None)
        if study is not None:
            studies.add(study)
            if len(studies) > 1:
                return False
    return len(studies) == 1


def may_hold_ct(folder: Path) -> bool:
    """Whether one of the DICOM files below a folder is a CT's, or cannot be read to say no."""
    return any(
        _modality(Path(place) / name) in (_CT, _UNKNOWN)
        for place, _, names in os.walk(folder)
        for name in sorted(names)
    )


def _modality(path: Path) -> str:
    """A DICOM file's modality; empty where it is no such file."""
    try:
        if not is_dicom(path):
            return ""
        header = read_header(DicomFile(path, str(path)), ("Modality",))
    except (OSError, OrganNetError):
        return _UNKNOWN
    media = text(header.file_meta, "MediaStorageSOPClassUID")
    return "" if media == MediaStorageDirectoryStorage else text(header, "Modality") or _UNKNOWN


def _study(path: Path) -> str:
    """A DICOM file's study; empty where it names none, or is no such file."""
    try:
        if not is_dicom(path):
            return ""
        return text(
            read_header(DicomFile(path, str(path)), ("StudyInstanceUID",)), "StudyInstanceUID"
        )
    except (OSError, OrganNetError):
        return ""
