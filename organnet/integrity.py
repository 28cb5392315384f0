"""Whether an image file is whole: ITK reads many that end early, or are corrupt, in silence."""

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO


def unpacked_bytes(path: Path) -> int:
    """Bytes of a .nii or .nii.gz, or those behind the header of a .nrrd or .mha, unpacked.

    Raises OSError, EOFError or zlib.error where the compressed data end early or are corrupt.
    """
    name = path.name.lower()
    if name.endswith(".nrrd"):
        return _nrrd_bytes(path)
    if name.endswith(".mha"):
        return _mha_bytes(path)
    with path.open("rb") as file:
        return _gunzipped_bytes(file) if name.endswith(".gz") else path.stat().st_size


def _nrrd_bytes(path: Path) -> int:
    with path.open("rb") as file:
        header = b"".join(iter(file.readline, b"\n"))
        packed = b"encoding: gz" in header and b"data file:" not in header
        return _gunzipped_bytes(file) if packed else len(file.read())


def _mha_bytes(path: Path) -> int:
    header, _, values = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    return len(zlib.decompress(values) if b"CompressedData = True" in header else values)


def _gunzipped_bytes(file: BinaryIO) -> int:
    with gzip.GzipFile(fileobj=file) as unpacked:
        return sum(len(part) for part in iter(lambda: unpacked.read(1 << 20), b""))
