"""Whether an image file says how the patient lies in it; what says nothing is read as LPS."""

import re
from pathlib import Path

import SimpleITK as sitk

from organnet.volume import open_image

NOT_SAID = (
    "the file does not say which side is left: its axes were taken to run to the patient's left, "
    "back and head; make sure of it"
)

_HEADER_BYTES = 1 << 16
"""More than any .mha's header, which has no length of its own."""


def orientation_warnings(path: Path) -> tuple[str, ...]:
    """The warning for an image file that `read_volume` reads but that names no direction."""
    reader = open_image(path)
    return () if _SAYS_IT[reader.GetImageIO()](path, reader) else (NOT_SAID,)


def _nifti(path: Path, reader: sitk.ImageFileReader) -> bool:
    """Code 0 of both its forms is "unknown"."""
    return any(_value(reader, key) not in ("", "0") for key in ("qform_code", "sform_code"))


def _nrrd(path: Path, reader: sitk.ImageFileReader) -> bool:
    """A space may also be named by handedness alone, or as the scanner's."""
    space = _value(reader, "NRRD_space")
    return "anterior" in space or "posterior" in space


def _mha(path: Path, reader: sitk.ImageFileReader) -> bool:
    """Three names of one matrix; without it ITK takes the identity."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES).partition(b"ElementDataFile")[0]
    return re.search(rb"^(TransformMatrix|Rotation|Orientation)\s*=", header, re.M) is not None


_SAYS_IT = {"NiftiImageIO": _nifti, "NrrdImageIO": _nrrd, "MetaImageIO": _mha}


def _value(reader: sitk.ImageFileReader, key: str) -> str:
    return reader.GetMetaData(key) if reader.HasMetaDataKey(key) else ""
