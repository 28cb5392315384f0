"""Scans drawn again: OpenKBP's CT with what an oncologist of `observers` drew on the same scan.

OpenKBP took every fourth pixel of every slice of a scan and moved its box by whole voxels: `PAIRS`
says of which scan, and how far. A case is SCAN__pt_N in PDDCA's layout, with OpenKBP's voxels; its
place and spacing are the scan's own. OpenKBP's files round them (3.906 mm for 3.92), and in pt_206
and pt_328 say 2.7 mm between slices for the scan's 2.5; slice for slice they are the same.

The CT is what openkbp.read_case gives, so that a patient looks the same in both data sets: at most
3095 HU, and nothing in slices without a body, which nine cases have. An organ that lies mostly
where there is no CT counts as not drawn, as there: both optic nerves of pt_36, 50, 165, 185, 295
and 316, and six brain stems. Of others the part that lies there is left out.

The oncologist drew no chiasm. One that `atlas` places is there to teach, and never to score by.

pt_36 and pt_293 are one scan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from organnet.datasets import observers, openkbp
from organnet.datasets.atlas import Member, place_chiasm, read_atlas
from organnet.datasets.case import Case
from organnet.datasets.pddca import write_case
from organnet.errors import OrganNetError
from organnet.files import make_folder, subfolders
from organnet.layout import STRUCTURES
from organnet.organs import BACKGROUND, ORGAN_NAMES, organ
from organnet.volume import Volume

STEP = (1, 4, 4)
"""Voxels of the scan from one of OpenKBP's to the next, z, y, x."""


@dataclass(frozen=True)
class Pair:
    """A scan, OpenKBP's patient, and the voxel of the scan where OpenKBP begins, z, y, x."""

    scan: str
    patient: str
    first: tuple[int, int, int]

    @property
    def name(self) -> str:
        """Folder name of the case."""
        return f"{self.scan}__{self.patient}"


PAIRS = (
    Pair("0522c0226", "pt_212", (21, -44, 4)),
    Pair("0522c0248", "pt_293", (40, -36, -4)),
    Pair("0522c0248", "pt_36", (40, -40, 0)),
    Pair("0522c0251", "pt_165", (15, -28, 4)),
    Pair("0522c0331", "pt_316", (34, -36, 0)),
    Pair("0522c0479", "pt_29", (43, -32, 0)),
    Pair("0522c0667", "pt_328", (-13, 4, 0)),
    Pair("0522c0669", "pt_206", (-22, 36, 4)),
    Pair("0522c0708", "pt_3", (-3, -12, 0)),
    Pair("0522c0768", "pt_150", (-4, -8, 4)),
    Pair("0522c0773", "pt_233", (0, -4, 4)),
    Pair("TCGA-CV-5977", "pt_295", (26, -28, 4)),
    Pair("TCGA-CV-7245", "pt_185", (4, -40, 8)),
    Pair("TCGA-CV-A6JO", "pt_50", (-2, -24, 0)),
    Pair("TCGA-CV-A6JY", "pt_47", (13, -68, 16)),
)


def write_matched(
    openkbp_root: Path, observers_root: Path, out: Path, pddca_root: Path | None = None
) -> list[str]:
    """Write OUT/SCAN__pt_N of each pair whose two folders are there; name the pairs that lack one.

    With PDDCA's folder a chiasm is placed where brain stem and optic nerves are drawn. Each case is
    whole or absent, and one that is there is left alone. The roots are as cloned, or their folders
    provided-data and nrrds. Raises OrganNetError where a root is missing, a file is faulty, `out`
    cannot be written to, or `out` holds none of the cases in the end.
    """
    missing = [pair for pair in PAIRS if not (out / pair.name).is_dir()]
    if pddca_root is not None:
        _refuse_without_chiasm([out / pair.name for pair in PAIRS if pair not in missing])
    if not missing:
        return []
    there = folders_of_pairs(openkbp_root, observers_root)
    can_be_made = {pair: folders for pair, folders in there.items() if pair in missing}
    if not can_be_made and len(missing) == len(PAIRS):
        raise nothing_shared(openkbp_root, observers_root)
    make_folder(out)
    members = read_atlas(pddca_root) if pddca_root is not None else []
    for pair, (patient, scan) in tqdm(can_be_made.items(), "match", unit="case", disable=None):
        write_case(out, match(pair, patient, scan, members))
    return [pair.name for pair in missing if pair not in can_be_made]


def folders_of_pairs(openkbp_root: Path, observers_root: Path) -> dict[Pair, tuple[Path, Path]]:
    """The pairs whose patient and whose scan, drawn by the oncologist, are there, and both folders.

    The roots are as cloned, or their folders provided-data and nrrds, or one split of the latter.
    Raises OrganNetError where one is missing.
    """
    patients = _found(openkbp_root, "provided-data", "*-pats/pt_*")
    scans = _found(observers_root, "nrrds", f"**/{observers.ONCOLOGIST}/*")
    return {
        pair: (patients[pair.patient], scans[pair.scan])
        for pair in PAIRS
        if pair.patient in patients and pair.scan in scans
    }


def nothing_shared(openkbp_root: Path, observers_root: Path) -> OrganNetError:
    """What to say where no pair is there."""
    return OrganNetError(
        f"OpenKBP in {openkbp_root} and the scans drawn again in {observers_root} share none "
        f"of the {len(PAIRS)} scans: get both data sets whole (see data/README.md)"
    )


def _refuse_without_chiasm(made: list[Path]) -> None:
    for folder in made:
        drawn = {path.stem for path in (folder / STRUCTURES).glob("*.nrrd")}
        if {"BrainStem", "OpticNerve_L", "OpticNerve_R"} <= drawn and "Chiasm" not in drawn:
            raise OrganNetError(
                f"{folder} was made without an atlas: remove it, or choose another --out"
            )


def match(pair: Pair, patient: Path, scan: Path, atlas: Sequence[Member] = ()) -> Case:
    """The patient's CT at its place in the scan, with the scan's organs at its voxels.

    An organ of which no voxel is met is not drawn. Raises OrganNetError as the two readers do.
    """
    return draw_again(pair, openkbp.read_case(patient).ct, scan, atlas)


def draw_again(pair: Pair, ct: Volume, scan: Path, atlas: Sequence[Member] = ()) -> Case:
    """As `match`, with the patient's CT (HU, LPS) already read."""
    drawing, _ = observers.read_labels(scan)
    chiasm = place_chiasm(drawing, atlas) if atlas else None
    if chiasm is not None:
        drawing.array[chiasm & (drawing.array == BACKGROUND)] = organ("Chiasm").label
    z, y, x = (side * step for side, step in zip(drawing.spacing_mm, STEP, strict=True))
    oz, oy, ox = (float(mm) for mm in drawing.position_mm(pair.first))
    placed = Volume(ct.array, (z, y, x), (oz, oy, ox), drawing.direction)
    sampled = _sampled(drawing.array, pair.first, ct.shape)
    labels = np.zeros_like(sampled)
    for name in ORGAN_NAMES:
        label = organ(name).label
        inside = sampled == label
        labels[inside] = openkbp.part_on_ct(ct.array[inside] > openkbp.NO_DATA_HU) * label
    present = np.unique(labels)
    drawn = frozenset(name for name in ORGAN_NAMES if organ(name).label in present)
    return Case(pair.name, placed, placed.with_array(labels), drawn)


def _sampled(
    labels: UInt8[np.ndarray, "z y x"], first: tuple[int, int, int], shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "128 128 128"]:
    """The scan's labels at the voxels first + STEP * k, and 0 beyond the scan."""
    at = [f + step * np.arange(n) for f, step, n in zip(first, STEP, shape, strict=True)]
    inside = [(k >= 0) & (k < n) for k, n in zip(at, labels.shape, strict=True)]
    sampled = np.zeros(shape, dtype=np.uint8)
    sampled[np.ix_(*inside)] = labels[np.ix_(*(k[i] for k, i in zip(at, inside, strict=True)))]
    return sampled


def _found(root: Path, inner: str, pattern: str) -> dict[str, Path]:
    """Folders below `root`, or below its folder `inner`, by their names."""
    subfolders(root)  # says plainly where root is missing or a file
    base = root / inner if (root / inner).is_dir() else root
    return {folder.name: folder for folder in sorted(base.glob(pattern)) if folder.is_dir()}
