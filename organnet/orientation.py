"""Whether an image file says, once, how the patient lies in it; where it does not, LPS is taken."""

import gzip
import itertools
import re
import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from organnet.volume import open_image

NOT_SAID = (
    "the file does not say which side is left: its axes were taken to run to the patient's left, "
    "back and head; make sure of it"
)

TWO_PLACES = (
    "the file's sform and qform put the scan {:.1f} mm apart: software takes one or the other "
    "(this reads as ITK and 3D Slicer do), so masks may lie beside the scan elsewhere"
)

_HEADER_BYTES = 1 << 16
"""More than any .mha's header, which has no length of its own."""


def orientation_warnings(path: Path) -> tuple[str, ...]:
    """Warnings for an image file that `read_volume` reads: that names no direction, or two."""
    reader = open_image(path)
    if not _SAYS_IT[reader.GetImageIO()](path, reader):
        return (NOT_SAID,)
    if reader.GetImageIO() == "NiftiImageIO":
        apart_mm = _forms_apart_mm(path, reader)
        if apart_mm > min(reader.GetSpacing()) / 2:
            return (TWO_PLACES.format(apart_mm),)
    return ()


def _forms_apart_mm(path: Path, reader: sitk.ImageFileReader) -> float:
    """How far a NIfTI's sform and qform put the same voxel apart at most; 0 where one is unset."""
    if "0" in (_value(reader, "qform_code"), _value(reader, "sform_code")):
        return 0.0
    sform = np.array([_numbers(reader, f"srow_{axis}") for axis in "xyz"])
    between = sform - _qform(path, reader)
    if not np.isfinite(between).all():
        return np.inf
    ends = itertools.product(*((0, size - 1) for size in reader.GetSize()))
    return max(float(np.linalg.norm(between @ (*corner, 1))) for corner in ends)


def _qform(path: Path, reader: sitk.ImageFileReader) -> np.ndarray:
    """(3, 4), from indices x, y, z to mm, RAS: method 2 of nifti1.h, with a quaternion."""
    b, c, d = (_numbers(reader, f"quatern_{letter}")[0] for letter in "bcd")
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    sizes_mm = np.array([_numbers(reader, f"pixdim[{n}]")[0] for n in (1, 2, 3)])
    sizes_mm[2] *= _handedness(path)
    offset_mm = [_numbers(reader, f"qoffset_{axis}") for axis in "xyz"]
    return np.hstack([turn * sizes_mm, offset_mm])


def _handedness(path: Path) -> int:
    """Sign of pixdim[0], which ITK does not tell: -1 turns the qform's third axis round."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        header = file.read(80)
    order = "<" if header[:4] == struct.pack("<i", 348) else ">"
    return -1 if struct.unpack_from(f"{order}f", header, 76)[0] < 0 else 1


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


def _numbers(reader: sitk.ImageFileReader, key: str) -> list[float]:
    return [float(word) for word in _value(reader, key).split()]
