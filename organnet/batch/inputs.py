"""What a user may give to be segmented, and how each kind of it is read.

A new kind is a row of KINDS. Nothing heavy is imported before an image is read.
"""

import glob
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from organnet.errors import OrganNetError
from organnet.files import sha256, subfolders
from organnet.layout import IMAGE, image_stem

if TYPE_CHECKING:
    from organnet.dicom.images import DicomCT
    from organnet.volume import Volume

WILDCARDS = "*?["
ZIP = ".zip"


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
        read: raises OrganNetError where it is faulty.
        is_dicom: whether the scan will have its series.
    """

    claims: Callable[[Path], bool]
    files: Callable[[Path], list[Path]]
    read: Callable[[Path], Scan]
    is_dicom: bool = False


def _read_image(path: Path) -> Scan:
    from organnet.orientation import orientation_warnings
    from organnet.volume import read_ct

    return Scan(read_ct(path), warnings=orientation_warnings(path))


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ZIP and not path.is_dir()


def _is_dicom(path: Path) -> bool:
    """A .zip, or a folder below which there are DICOM files of one study."""
    if _is_zip(path):
        return True
    if not path.is_dir():
        return False
    from organnet.dicom.studies import holds_one_study

    return holds_one_study(path)


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _read_dicom(path: Path) -> Scan:
    from organnet.dicom.ct import read_dicom_ct

    series = read_dicom_ct(path)
    return Scan(series.ct, series, series.warnings)


KINDS = (
    Kind(  # a case folder in PDDCA's layout
        claims=lambda path: (path / IMAGE).exists(),
        files=lambda path: [path / IMAGE],
        read=lambda path: _read_image(path / IMAGE),
    ),
    Kind(  # a DICOM series, perhaps with others beside it
        claims=_is_dicom,
        files=lambda path: [path] if _is_zip(path) else _files_below(path),
        read=_read_dicom,
        is_dicom=True,
    ),
    Kind(  # an image file; whether it is one, reading will tell
        claims=lambda path: not path.is_dir(),
        files=lambda path: [path],
        read=_read_image,
    ),
)


@dataclass(frozen=True)
class Input:
    """One scan to be segmented: what its case is called, and its path as the user gave it."""

    name: str
    path: Path

    @property
    def kind(self) -> Kind:
        """The kind of input it is; raises OrganNetError where it is none any more."""
        kind = _kind_of(self.path)
        if kind is None:
            raise OrganNetError(f"{self.path} holds no CT, as {IMAGE} or DICOM: name one")
        return kind

    def sha256(self) -> str:
        """SHA-256 of its file, or of its files' SHA-256s in order of their names.

        Raises OrganNetError where one is not there or cannot be read.
        """
        if not self.path.exists():
            raise OrganNetError(f"{self.path} does not exist: check the path")
        hashes = [sha256(path) for path in sorted(self.kind.files(self.path))]
        if len(hashes) == 1:
            return hashes[0]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()


def find_inputs(given: list[Path], anonymise: bool = False) -> list[Input]:
    """Every scan that the paths stand for: files, case folders, folders of cases, glob patterns.

    Cases are called as their file or folder, or with `anonymise` case-001 and so on. Raises
    OrganNetError where a path stands for none, or two would have one name.
    """
    paths = [scan for path in given for match in _matches(path) for scan in _scans_of(match)]
    if anonymise:
        return [Input(f"case-{n:03}", path) for n, path in enumerate(paths, start=1)]
    inputs: dict[str, Input] = {}
    for path in paths:
        name = case_name(path)
        if name in inputs:
            raise OrganNetError(
                f"{inputs[name].path} and {path} are both called {name}: segment them one at a time"
            )
        inputs[name] = Input(name, path)
    return list(inputs.values())


def _matches(path: Path) -> list[Path]:
    if path.exists() or not any(letter in str(path) for letter in WILDCARDS):
        return [path]
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        raise OrganNetError(f"{path} matches no file or folder: check the pattern")
    return [Path(name) for name in found]


def _scans_of(path: Path) -> list[Path]:
    if _kind_of(path) is not None:
        return [path]
    scans = [folder for folder in subfolders(path) if _kind_of(folder) is not None]
    if not scans:
        raise OrganNetError(f"{path} holds no CT, as {IMAGE} or DICOM, and no cases: name one")
    return scans


def _kind_of(path: Path) -> Kind | None:
    return next((kind for kind in KINDS if kind.claims(path)), None)


def case_name(path: Path) -> str:
    """A folder's name, or a file's without suffix; img.nrrd is called as its folder."""
    whole = Path(os.path.abspath(path))  # not resolved: a link may lead to a patient's name
    name = whole.parent.name if whole.name == IMAGE else whole.name
    if not whole.is_dir():
        name = whole.stem if _is_zip(whole) else image_stem(name)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise OrganNetError(f"the name of {path!r} is not UTF-8: rename it") from None
    if not name or name.startswith("."):
        raise OrganNetError(f"{path} would make a hidden case: rename it without the dot in front")
    return name
