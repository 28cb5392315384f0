"""A DICOM file's header: read without a word from pydicom, and its numbers made sure of."""

import contextlib
import io
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from pydicom import Dataset, config, dcmread
from pydicom.valuerep import VR

from organnet.errors import OrganNetError, one_line

HEAD = 132
"""Bytes by which a DICOM file is known."""
MOST_INFLATED_BYTES = 200_000_000
"""Largest content of a deflated file, hundreds of times a CT image: more is a trap."""


@dataclass(frozen=True)
class DicomFile:
    """A file that begins like DICOM.

    Attributes:
        path: where it lies, perhaps only for a while.
        name: what a message calls it.
    """

    path: Path
    name: str


class OnlyWhatIsThere(io.BufferedReader):
    """A file of which no more memory is asked for than it has bytes, up to the end.

    pydicom asks for as many as an element says it has, which in a damaged file are up to 4 GB.
    All that is left it asks for in one case alone, to inflate it, however large that becomes:
    ValueError for more than MOST_INFLATED_BYTES.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = max(0, min(size, os.fstat(self.fileno()).st_size - self.tell()))
        content = super().read(size)
        if size is None or size < 0:
            inflating = zlib.decompressobj(-zlib.MAX_WBITS)
            inflating.decompress(content, MOST_INFLATED_BYTES)
            if inflating.unconsumed_tail:
                raise ValueError(f"it inflates to more than {MOST_INFLATED_BYTES / 1e6:.0f} MB")
        return content


@contextlib.contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence: pydicom warns of values against the standard, and reads them all the same.

    What matters of them is checked here; the rest is nobody's business.
    """
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def is_dicom(path: Path) -> bool:
    """Whether a file begins like DICOM; OSError where it cannot be read."""
    if not path.is_file():  # a pipe, or a link to nowhere
        return False
    with path.open("rb") as file:
        return begins_like_dicom(file.read(HEAD))


def begins_like_dicom(head: bytes) -> bool:
    """Whether a file's first 132 bytes are DICOM's: the preamble, or at once a first element.

    Without a preamble, a file begins with an element of group 0002 or 0008: its tag, then its
    type (explicit, in either byte order) or its length of a few bytes (implicit).
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    value_type = head[4:6].decode("latin-1")
    explicit = value_type in VR.__members__
    little, big = (int.from_bytes(head[:2], order) for order in ("little", "big"))
    element = int.from_bytes(head[2:4], "little" if little in (2, 8) else "big")
    if element > 0x20:
        return False
    if little in (2, 8):
        return explicit or int.from_bytes(head[4:8], "little") <= 256
    return big == 8 and explicit


def read_header(file: DicomFile, tags: Sequence[str] | None = None) -> Dataset:
    """A file's data set, or these elements of it, without the pixel data.

    Every element in it can be used: those that cannot be read are left out. Raises OrganNetError
    where the file is not readable.
    """
    header = _read(file, stop_before_pixels=True, specific_tags=tags)
    with quiet_pydicom():
        for part in (header, header.file_meta):
            for tag in list(part.keys()):
                try:
                    _ = part[tag]
                except Exception:  # whatever pydicom raises on bytes that are no such value
                    del part[tag]
    return header


def read_with_pixels(file: DicomFile) -> Dataset:
    """A file's whole data set; raises OrganNetError where it is damaged or has no pixel data."""
    image = _read(file)
    if "PixelData" not in image:
        raise unreadable(file, "it has no pixel data")
    return image


def _read(file: DicomFile, **options: object) -> Dataset:
    try:
        with quiet_pydicom(), OnlyWhatIsThere(io.FileIO(file.path)) as content:
            return dcmread(content, force=True, **options)
    except Exception as error:  # whatever pydicom raises on bytes that are no DICOM
        raise unreadable(file, error) from error


def unreadable(file: DicomFile, error: BaseException | str) -> OrganNetError:
    """The error for a DICOM file that is damaged; `error` says how."""
    says = error.strerror if isinstance(error, OSError) else None  # the rest of it is a path
    reason = one_line(says or str(error)) or type(error).__name__
    return OrganNetError(
        f"{file.name} is truncated or damaged ({reason}): copy or export the series again"
    )


def numbers(
    header: Dataset, keyword: str, count: int, file: DicomFile
) -> Float64[np.ndarray, " n"]:
    """The `count` finite numbers of an element.

    Raises OrganNetError where the element is missing, has another count, or is no such numbers.
    """
    value = header.get(keyword)
    values = [value] if isinstance(value, str | int | float) else value
    try:
        array = np.array([float(number) for number in values], np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (count,) or not np.isfinite(array).all():
        what = "no" if value is None else "no valid"
        raise OrganNetError(f"{file.name} has {what} {keyword}: export the series again")
    return array


def whole_number(header: Dataset, keyword: str, file: DicomFile) -> int:
    """The one whole number of an element; raises OrganNetError as `numbers`."""
    return int(numbers(header, keyword, 1, file)[0])


def text(header: Dataset, keyword: str) -> str:
    """An element as one short line of text; empty where it is missing."""
    value = header.get(keyword)
    return "" if value is None else one_line(str(value))
