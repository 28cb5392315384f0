"""Whether an image file is whole: ITK reads many that end early, or are corrupt, in silence."""

import gzip
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Shaped


def check_gzip_nrrd(path: Path, array: Shaped[np.ndarray, "z y x"]) -> None:
    """Raise OSError, EOFError or zlib.error where a .nrrd's compressed data are corrupt.

    `array` is what was read from it: its checksum is compared with the one the file ends in, which
    is some times faster than unpacking again. That is done only where they differ, as they also do
    for big-endian data; other encodings pass, since ITK refuses them when they end early.
    """
    with path.open("rb") as file:
        header = b"".join(iter(file.readline, b"\n"))
        if b"encoding: gz" not in header or b"data file:" in header:
            return
        start = file.tell()
        file.seek(-8, os.SEEK_END)
        checksum, size = struct.unpack("<2I", file.read(8))
        if size == array.nbytes % 2**32 and checksum == zlib.crc32(np.ascontiguousarray(array)):
            return
        file.seek(start)
        _gunzipped_bytes(file)


def nifti_bytes(path: Path) -> int:
    """Bytes of a .nii or .nii.gz, unpacked; raises as above where the file is corrupt."""
    with path.open("rb") as file:
        return _gunzipped_bytes(file) if path.name.lower().endswith(".gz") else path.stat().st_size


def check_mha(path: Path) -> None:
    """Raise zlib.error where a .mha's compressed data end early or are corrupt."""
    header, _, values = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    if b"CompressedData = True" in header:
        zlib.decompress(values)


def _gunzipped_bytes(file: BinaryIO) -> int:
    with gzip.GzipFile(fileobj=file) as unpacked:
        return sum(len(part) for part in iter(lambda: unpacked.read(1 << 20), b""))
