"""What a user may give to be segmented, and how each kind of it is read.

A new kind is a row of KINDS. Nothing heavy is imported before an image is read.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from organnet.errors import OrganNetError
from organnet.files import sha256
from organnet.integrity import is_apart
from organnet.layout import IMAGE, IMAGE_FORMATS

if TYPE_CHECKING:
    from organnet.dicom.images import DicomCT
    from organnet.volume import Volume

ZIP = ".zip"
CASE_FOLDER = "case folder"


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT as it was read.

    Attributes:
        ct: int16 HU, (z, y, x).
        series: the DICOM series it came in, for the formats that refer to its images; else None.
        warnings: what was found odd and handled, one line each.
    """

    ct: "Volume"
    series: "DicomCT | None" = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        claims: whether a path is one case of this kind; the first kind that claims a path has it.
        files: what belongs to the case and is hashed.
        read: a path, and whether messages are to name nothing below it; raises OrganNetError where
            it is faulty.
        is_dicom: whether the scan will have its series.
    """

    claims: Callable[[Path], bool]
    files: Callable[[Path], list[Path]]
    read: Callable[[Path, bool], Scan]
    is_dicom: bool = False


def _read_image(path: Path, _anonymise: bool) -> Scan:
    from organnet.orientation import orientation_warnings
    from organnet.volume import read_ct

    return Scan(read_ct(path), warnings=orientation_warnings(path))


def is_zip(path: Path) -> bool:
    """Whether a path is called like an archive."""
    return path.suffix.lower() == ZIP and not os.path.isdir(path)


def is_image(path: Path) -> bool:
    """Whether a path is called like an image file."""
    return path.name.lower().endswith(tuple(IMAGE_FORMATS)) and not os.path.isdir(path)


def _is_dicom(path: Path) -> bool:
    """A .zip, or a folder below which there are DICOM files of one study, and no other scans."""
    if is_zip(path):
        return True
    if not path.is_dir():
        return False
    from organnet.dicom.header import is_dicom
    from organnet.dicom.studies import holds_one_study

    if not holds_one_study(path):
        return False
    # What lies beside a study's images is of that study; what lies beside its folder is not
    if any(map(is_dicom, filter(os.path.isfile, path.iterdir()))):
        return True
    try:
        return not any(is_image(file) or is_zip(file) for file in _files_below(path))
    except OSError:  # a closed folder below: looked for one by one, the others are found
        return False


def is_without_ct(path: Path) -> bool:
    """Whether a folder of DICOM files holds other modalities alone."""
    from organnet.dicom.studies import may_hold_ct

    return os.path.isdir(path) and not may_hold_ct(path)


def has_loose_ct(folder: Path) -> bool:
    """Whether images of a CT lie in a folder itself, not below it; raises OSError."""
    from organnet.dicom.studies import may_be_ct

    files = (path for path in folder.iterdir() if path.name[0] != "." and path.is_file())
    return any(may_be_ct(path) for path in files if not is_image(path) and not is_zip(path))


def is_lone_dicom(path: Path) -> bool:
    """Whether a file that is called like no image is one of a DICOM series; raises OSError."""
    from organnet.dicom.header import is_dicom

    return not is_image(path) and not is_zip(path) and is_dicom(path)


def _files_below(folder: Path) -> list[Path]:
    """Raises OSError where a folder there may not be read: what is missing would not be hashed."""
    paths = (
        Path(place) / name
        for place, _, names in os.walk(folder, onerror=_refuse_folder)
        for name in names
    )
    return [path for path in paths if os.path.isfile(path)]


def _dicom_files_below(folder: Path) -> list[Path]:
    """All but what a Mac hides beside other files, as soon as a folder is looked at."""
    from organnet.dicom.header import is_dicom

    return [path for path in _files_below(folder) if path.name[0] != "." or is_dicom(path)]


def _refuse_folder(error: OSError) -> None:
    raise error


def _read_dicom(path: Path, anonymise: bool) -> Scan:
    from organnet.dicom.ct import read_dicom_ct

    series = read_dicom_ct(path, anonymise=anonymise)
    return Scan(series.ct, series, series.warnings)


KINDS = {
    CASE_FOLDER: Kind(  # in PDDCA's layout
        claims=lambda path: (path / IMAGE).exists(),
        files=lambda path: [path / IMAGE],
        read=lambda path, anonymise: _read_image(path / IMAGE, anonymise),
    ),
    "DICOM": Kind(  # a series, perhaps with others beside it
        claims=_is_dicom,
        files=lambda path: [path] if is_zip(path) else _dicom_files_below(path),
        read=_read_dicom,
        is_dicom=True,
    ),
    "image": Kind(  # whether it is one, reading will tell
        claims=lambda path: not path.is_dir(),
        files=lambda path: [path],
        read=_read_image,
    ),
}


@dataclass(frozen=True)
class Input:
    """One scan to be segmented.

    Attributes:
        name: what its case is called.
        path: as the user gave it.
        kind: which of KINDS it is.
        fault: why it cannot be segmented, where that is known beforehand: what follows its path in
            a message.
        names_path: whether messages may name its path.
    """

    name: str
    path: Path
    kind: str = "image"
    fault: str = ""
    names_path: bool = True

    @property
    def title(self) -> str:
        """What it is called in a message."""
        return str(self.path) if self.names_path else self.name

    @property
    def is_dicom(self) -> bool:
        """Whether its scan will have a series."""
        return KINDS[self.kind].is_dicom

    def files(self) -> list[Path]:
        """The files that belong to it; raises OSError where they cannot be listed."""
        return KINDS[self.kind].files(self.path)

    def read(self) -> Scan:
        """Its CT; raises OrganNetError where it is faulty."""
        return KINDS[self.kind].read(self.path, not self.names_path)

    def sha256(self) -> str:
        """SHA-256 of its file, or of its files' SHA-256s in order of their names.

        Raises OrganNetError where one is not there or cannot be read, and for an image whose values
        lie in another file: they are not in this hash, so one scan would pass for another.
        """
        if self.fault:
            raise OrganNetError(f"{self.title} {self.fault}")
        try:
            if not self.path.exists():
                raise OrganNetError(f"{self.title} does not exist: check the path")
            files = sorted(self.files())
            if not all(path.is_file() for path in files):  # reading a pipe would not end
                raise OrganNetError(f"{self.title} is no regular file: give one on a disk")
        except OSError as error:
            place = (error.filename or self.path) if self.names_path else self.name
            raise OrganNetError(
                f"{place} cannot be read ({error.strerror}): check its permissions"
            ) from error
        try:
            hashes = [sha256(path) for path in files]
        except OrganNetError:
            if self.names_path:
                raise
            raise OrganNetError(f"{self.name} cannot be read: check its permissions") from None
        if not self.is_dicom and any(map(is_apart, files)):
            raise OrganNetError(f"{self.title} has its values in another file: save it as one file")
        if len(hashes) == 1:
            return hashes[0]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()


def kind_of(path: Path) -> str | None:
    """Which of KINDS a path is; None where it is no case. Raises OSError where it is not to see."""
    return next((name for name, kind in KINDS.items() if kind.claims(path)), None)
