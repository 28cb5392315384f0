"""What every data set hands out: a case, and the list of cases in their splits."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from organnet.boxes import box_of
from organnet.errors import OrganNetError, shortened
from organnet.files import sha256, visible
from organnet.organs import ORGANS
from organnet.volume import Volume

SPLITS = ("training", "validation", "test")


@dataclass(frozen=True, eq=False)
class Case:
    """One patient's CT with what was drawn on it.

    Attributes:
        name: the case's folder name.
        ct: int16 HU, (z, y, x).
        labels: label map uint8 on the CT's grid: 0 background, 1 to 9 organs, 255 unknown.
        drawn: names of the organs that were drawn; any other organ is unknown, not absent.
    """

    name: str
    ct: Volume
    labels: Volume
    drawn: frozenset[str]


@dataclass(frozen=True)
class Dataset:
    """Cases on disk, listed by split and read one at a time.

    Attributes:
        name: one of DATASETS.
        root: folder the cases lie in.
        splits: case names by split: training, validation, test. A split may be empty.
        folders: each case's folder, or its file.
        read_case: reads one such folder; raises OrganNetError where a file is faulty.
        repeat: how many times as often as others a case is shown in training; 1 where not named.
    """

    name: str
    root: Path
    splits: dict[str, tuple[str, ...]]
    folders: dict[str, Path]
    read_case: Callable[[Path], Case]
    repeat: dict[str, int] = field(default_factory=dict)

    def load(self, case_name: str) -> Case:
        """Read one case; raises OrganNetError where it is not listed or its files are faulty."""
        if case_name not in self.folders:
            raise OrganNetError(
                f"{self.root} has no case {case_name}: it has {shortened(sorted(self.folders))}"
            )
        return self.read_case(self.folders[case_name])

    def sha256(self, names: Sequence[str] | None = None) -> str:
        """Of the names and contents of every file of these cases, hidden ones left out.

        Without `names` of all of them, and of the list where the data set is one. Raises
        OrganNetError where a case's folder is missing.
        """
        cases = sorted(self.folders if names is None else names)
        missing = [str(self.folders[case]) for case in cases if not self.folders[case].exists()]
        if missing:
            raise OrganNetError(
                f"{self.root} lists folders that are not there ({shortened(missing, 2)}): "
                "get the data (see data/README.md)"
            )
        digest = hashlib.sha256()
        if names is None and self.root.is_file():
            digest.update(f"{sha256(self.root)}\n".encode())
        for case in cases:
            folder = self.folders[case]
            for path in [folder] if folder.is_file() else sorted(_files_below(folder)):
                digest.update(f"{case}/{path.relative_to(folder)} {sha256(path)}\n".encode())
        return digest.hexdigest()


def _files_below(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All that is not hidden in a folder, and in linked ones that do not lead back to it."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for path in visible(folder):
        if os.path.isdir(path):
            yield from _files_below(path, (*above, here))
        elif os.path.isfile(path):
            yield path


@dataclass(frozen=True, eq=False)
class Mask:
    """One drawn organ, kept as the box around it.

    Attributes:
        box: where `inside` lies in the whole array.
        inside: True in the organ, (z, y, x) of the box.
    """

    box: tuple[slice, slice, slice]
    inside: Bool[np.ndarray, "z y x"]


def crop_mask(mask: Bool[np.ndarray, "z y x"]) -> Mask | None:
    """Keep of a mask only its box; None where it is empty."""
    box = box_of(mask)
    return None if box is None else Mask(box, mask[box].copy())


def compose_labels(
    masks: dict[str, Mask], shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "z y x"]:
    """One label map of the organs' masks; where two overlap, the smaller organ wins.

    Drawings overlap by a few voxels; a small organ would lose more by them than a large one.
    """
    labels = np.zeros(shape, dtype=np.uint8)
    listed = [(masks[organ.name], organ.label) for organ in ORGANS if organ.name in masks]
    for mask, label in sorted(listed, key=lambda pair: -np.count_nonzero(pair[0].inside)):
        labels[mask.box][mask.inside] = label
    return labels
