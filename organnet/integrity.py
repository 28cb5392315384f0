"""Whether an image file is whole, and what its header asks for can be given.

ITK reads many files that end early, or are corrupt, in silence. It takes the memory that a header
asks for before it looks for the values, and some headers end its process.
"""

import gzip
import os
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Shaped

MOST_BYTES = 4_000_000_000
"""Largest image, unpacked: eight times a CT of 1,000 slices. Reading takes twice that at most."""
MOST_PACKED = 1032
"""Deflate, in .gz as in .mha, makes no byte out of more than these."""
_LONGEST_FIELD = 500
"""Of a .nrrd's header; ITK's reader has 1,025 bytes for a message that repeats a field."""
_MOST_DIMENSIONS = 9
"""Of a .mha; ITK's reader has room for 10 numbers, whatever the header says."""
_LARGEST_COSINE = 1e3
"""Of a .mha's directions; ITK's search for the nearest rotation has no end where one is 1e308."""
_HEADER_BYTES = 1 << 20
_NRRD_END = re.compile(rb"\r?\n\r?\n")
_MHA_END = re.compile(rb"ElementDataFile\s*[=:]\s*LOCAL\r?\n")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_MHA_DIRECTIONS = re.compile(
    rb"^(?:TransformMatrix|Rotation|Orientation)[ \t]*[=:]([^\r\n]*)", re.MULTILINE
)
_NRRD_APART = re.compile(rb"\ndata ?file:(?!=)", re.IGNORECASE)
_MHA_VALUES = re.compile(rb"^ElementDataFile[ \t]*[=:][ \t]*(\S*)", re.MULTILINE)


def check_header(path: Path) -> None:
    """Raise ValueError where a .nrrd's or .mha's header would end the process that reads it."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if path.name.lower().endswith(".nrrd"):
        fields = _NRRD_END.split(head, 1)[0].split(b"\n")
        # Comments and keys of the writer's own may be long: no message repeats them
        if any(len(f) > _LONGEST_FIELD and f[:1] != b"#" and b":=" not in f for f in fields):
            raise ValueError("its header is no text in short lines")
    elif path.name.lower().endswith(".mha"):
        head = _MHA_END.split(head, 1)[0]
        if _NO_TEXT.search(head):
            raise ValueError("its header is no text")
        for number in re.findall(rb"NDims\s*[=:]\s*(\S*)", head):
            if not (number.isdigit() and int(number) <= _MOST_DIMENSIONS):
                raise ValueError("it has no valid number of dimensions")
        for number in re.findall(rb"CompressedDataSize\s*[=:]\s*(\S*)", head):
            if not (number.isdigit() and int(number) <= path.stat().st_size):
                raise ValueError("it holds less than its header says")
        for number in b" ".join(_MHA_DIRECTIONS.findall(head)).split():
            if not abs(float(number)) <= _LARGEST_COSINE:
                raise ValueError("its axes have no valid directions")


def check_size(path: Path, voxel_bytes: int) -> None:
    """Raise ValueError where a header asks for more bytes of voxels than are read, or can be there.

    Values may lie in a file of their own beside the header, whose size is not looked at here.
    """
    if voxel_bytes > MOST_BYTES:
        raise ValueError(f"its header asks for more than {MOST_BYTES / 1e9:g} GB")
    if voxel_bytes > path.stat().st_size * MOST_PACKED and not is_apart(path):
        raise ValueError("it holds less than its header says")


def is_apart(path: Path) -> bool:
    """Whether an image's values lie in another file, which its header names.

    Raises OSError where it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if path.name.lower().endswith(".mha"):
        where = _MHA_VALUES.search(head)
        return where is not None and where[1].lower() not in (b"local", b"")
    if path.name.lower().endswith(".nrrd"):
        return _NRRD_APART.search(_NRRD_END.split(head, 1)[0]) is not None
    return False


def check_gzip_nrrd(path: Path, array: Shaped[np.ndarray, "z y x"]) -> None:
    """Raise OSError, EOFError or zlib.error where a .nrrd's compressed data are corrupt.

    `array` is what was read from it: its checksum is compared with the one the file ends in, which
    is some times faster than unpacking again. That is done only where they differ, as they also do
    for big-endian data; other encodings pass, since ITK refuses them when they end early.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        end = _NRRD_END.search(head)
        if end is None or b"encoding: gz" not in head[: end.start()] or is_apart(path):
            return
        file.seek(-8, os.SEEK_END)
        checksum, size = struct.unpack("<2I", file.read(8))
        if size == array.nbytes % 2**32 and checksum == zlib.crc32(np.ascontiguousarray(array)):
            return
        file.seek(end.end())
        _gunzipped_bytes(file)


def nifti_bytes(path: Path) -> int:
    """Bytes of a .nii or .nii.gz, unpacked; raises as above where the file is corrupt."""
    with path.open("rb") as file:
        return _gunzipped_bytes(file) if path.name.lower().endswith(".gz") else path.stat().st_size


def check_mha(path: Path) -> None:
    """Raise zlib.error where a .mha's compressed data end early or are corrupt."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        end = _MHA_END.search(head)
        if end is not None and b"CompressedData = True" in head[: end.start()]:
            file.seek(end.end())
            _inflate(file)


def _inflate(file: BinaryIO) -> None:
    """Unpack what is left of a file, in parts that are not kept."""
    unpacking, count = zlib.decompressobj(), 0
    for packed in iter(lambda: file.read(1 << 16), b""):
        while packed and not unpacking.eof:
            count += len(unpacking.decompress(packed, 1 << 20))
            packed = unpacking.unconsumed_tail
            _refuse_more(count)
    if not unpacking.eof:
        raise zlib.error("its values end early")


def _refuse_more(count: int) -> None:
    if count > MOST_BYTES:
        raise ValueError(f"it unpacks to more than {MOST_BYTES / 1e9:g} GB")


def _gunzipped_bytes(file: BinaryIO) -> int:
    count = 0
    with gzip.GzipFile(fileobj=file) as unpacked:
        for part in iter(lambda: unpacked.read(1 << 20), b""):
            count += len(part)
            _refuse_more(count)
    return count
