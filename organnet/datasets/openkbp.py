"""OpenKBP: radiotherapy patients on a coarse grid of 128 x 128 x 128, as CSV files.

ROOT/{train-pats,validation-pats}/pt_N/{ct, voxel_dimensions, Brainstem, Mandible, LeftParotid,
RightParotid, ...}.csv. Four of the nine organs are drawn, each missing in some patients; the spinal
cord, larynx and oesophagus are not read.

Source: Babier et al., Medical Physics 2021, doi 10.1002/mp.14845; github.com/ababier/open-kbp.

Patients of OpenKBP are patients of PDDCA too: pt_3, 29, 36, 47, 50, 150, 165, 185, 206, 212 and 233
are known to be scans that others drew again. Do not score a network that was trained here on those.

Known faults that stay as they are: the drawings of pt_221 are displaced (the brain stem on
a vertebra, a parotid half outside the skin); pt_27 and others end within an organ; pt_38, 131 and
143 have none of the four organs; many patients lack the mandible.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int16, Int64

from organnet.datasets.case import (
    Case,
    Dataset,
    Mask,
    compose_labels,
)
from organnet.errors import OrganNetError, shortened
from organnet.files import subfolders
from organnet.organs import BACKGROUND, UNKNOWN
from organnet.volume import Volume

SIDE = 128
NO_DATA_HU = -1000
HU_OFFSET = 1000
"""ct.csv stores HU + 1000, so that 0 is no data."""
LARGEST_STORED = 4095
"""13 patients hold larger values, which a 12-bit scanner never gave."""

BODY_MM2 = 8000.0
"""A slice with less CT than this shows no body, and is read as no data.

OpenKBP keeps CT where dose was possible and inside all structures its planners had. Beyond the last
whole slice of many patients an organ goes on alone, cut out along its own outline; a network would
learn that outline, and be scored on it. Of the slices with drawn organs 6,507 have more CT
and 695, in 76 patients, less; pictures of these show cut-out organs and no outline of a
body. Just above it a few patients show the brain alone, which gives no organ away.
"""
KNOWN_FRACTION = 0.5
"""An organ of which less than this lies on the CT counts as not drawn: a sliver is no organ."""

STRUCTURES = {
    "BrainStem": "Brainstem",
    "Mandible": "Mandible",
    "Parotid_L": "LeftParotid",
    "Parotid_R": "RightParotid",
}
"""Our name of an organ and OpenKBP's."""

TRAINING_FOLDER = "train-pats"
TEST_FOLDER = "validation-pats"
VALIDATION_EVERY = 12
"""Training is watched by the patients whose number is a multiple of this: 16 of the 166."""


def open_openkbp(root: Path) -> Dataset:
    """List the patients; `root` is provided-data or the folder it lies in.

    training: train-pats without those whose number 12 divides, which are `validation`.
    test: validation-pats, as OpenKBP calls them; its own test-pats are not read.
    Raises OrganNetError where the folders hold no patient, or one patient twice.
    """
    for folder in (root, root / "provided-data"):
        if (folder / TRAINING_FOLDER).is_dir() or (folder / TEST_FOLDER).is_dir():
            root = folder
    folders: dict[str, Path] = {}
    patients: dict[str, list[str]] = {TRAINING_FOLDER: [], TEST_FOLDER: []}
    subfolders(root)  # says plainly where root is missing or a file
    for split in patients:
        if (root / split).is_dir():
            listed = sorted(
                (p for p in subfolders(root / split) if _number(p) is not None),
                key=lambda p: _number(p) or 0,
            )
            patients[split] = [p.name for p in listed]
            folders |= {p.name: p for p in listed}
    if not folders:
        raise OrganNetError(
            f"{root} holds no OpenKBP patient: get provided-data from github.com/ababier/open-kbp "
            f"so that {TRAINING_FOLDER}/pt_1/ct.csv lies in it (see data/README.md)"
        )
    both = sorted(set(patients[TRAINING_FOLDER]) & set(patients[TEST_FOLDER]))
    if both:
        raise OrganNetError(
            f"{root} holds {shortened(both)} in {TRAINING_FOLDER} and {TEST_FOLDER}: "
            "unpack OpenKBP again, so that no patient is trained on and scored"
        )
    validation = [name for name in patients[TRAINING_FOLDER] if _chooses_epoch(folders[name])]
    splits = {
        "training": tuple(n for n in patients[TRAINING_FOLDER] if n not in validation),
        "validation": tuple(validation),
        "test": tuple(patients[TEST_FOLDER]),
    }
    return Dataset("openkbp", root, splits, folders, read_case)


def read_case(folder: Path) -> Case:
    """Read one patient, turned to z, y, x in LPS; the origin is not known and set to 0.

    CT is HU, -1000 where there is none (see BODY_MM2). Voxels that are drawn where there is no CT
    are 255: the CT often ends at the skull base while the drawing goes on. An organ that lies
    mostly there counts as not drawn. Raises OrganNetError where a file is missing or faulty.
    """
    if not folder.is_dir():
        raise OrganNetError(f"{folder} is no folder: give a patient's folder, with ct.csv in it")
    spacing_mm = _read_spacing(folder / "voxel_dimensions.csv")
    ct = _read_ct(folder / "ct.csv", spacing_mm)
    masks: dict[str, Mask] = {}
    unknown = []
    for name, file_name in STRUCTURES.items():
        voxels = _read_structure(folder / f"{file_name}.csv")
        on_ct = part_on_ct(ct.ravel()[voxels] > NO_DATA_HU)
        unknown.append(voxels[~on_ct])
        if on_ct.any():
            masks[name] = _mask(voxels[on_ct])
    labels = compose_labels(masks, ct.shape)
    beside = np.concatenate(unknown)
    labels.ravel()[beside[labels.ravel()[beside] == BACKGROUND]] = UNKNOWN
    volume = Volume(ct, spacing_mm)
    return Case(folder.name, volume, volume.with_array(labels), frozenset(masks))


def part_on_ct(there: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which of an organ's voxels are known, from where there is CT at them.

    None where that is at less than KNOWN_FRACTION of them.
    """
    enough = np.count_nonzero(there) >= KNOWN_FRACTION * len(there)
    return there if enough else np.zeros_like(there)


def _mask(voxels: Int64[np.ndarray, " n"]) -> Mask:
    places = np.unravel_index(voxels, (SIDE, SIDE, SIDE))
    first = [int(line.min()) for line in places]
    ends = [int(line.max()) + 1 for line in places]
    inside = np.zeros([end - start for start, end in zip(first, ends, strict=True)], bool)
    inside[tuple(line - start for line, start in zip(places, first, strict=True))] = True
    z, y, x = (slice(start, end) for start, end in zip(first, ends, strict=True))
    return Mask((z, y, x), inside)


def _to_lps(indices: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Flat indices of (z, y, x) for OpenKBP's: its axes run to the back, the left and the feet."""
    columns, z = np.divmod(indices, SIDE)
    return (SIDE - 1 - z) * SIDE**2 + columns


def _read_ct(path: Path, spacing_mm: tuple[float, float, float]) -> Int16[np.ndarray, "z y x"]:
    """HU, -1000 where there is no CT of the body."""
    if not path.exists():
        raise OrganNetError(f"{path} is missing: unpack the patient again")
    indices, values = _read_table(path, values=True)
    if not len(indices):
        raise OrganNetError(f"{path} holds no voxel: unpack the patient again")
    hu = np.rint(np.clip(values, 0, LARGEST_STORED)) - HU_OFFSET
    ct = np.full((SIDE, SIDE, SIDE), NO_DATA_HU, np.int16)
    ct.ravel()[_to_lps(indices)] = hu
    area_mm2 = np.count_nonzero(ct > NO_DATA_HU, axis=(1, 2)) * spacing_mm[1] * spacing_mm[2]
    if area_mm2.max() < BODY_MM2:
        raise OrganNetError(f"{path} holds no whole slice of a body: unpack the patient again")
    ct[area_mm2 < BODY_MM2] = NO_DATA_HU
    return ct


def _read_structure(path: Path) -> Int64[np.ndarray, " n"]:
    """Flat indices of (z, y, x) where an organ is drawn, each once; none, if it has no file."""
    if not path.exists():
        return np.empty(0, np.int64)
    return _to_lps(np.unique(_read_table(path, values=False)[0]))


def _read_table(
    path: Path, values: bool
) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Flat indices and their values; a structure's file has no values, and they read as 1."""
    try:
        table = pd.read_csv(path, usecols=[0, 1] if values else [0])
        indices = table.iloc[:, 0].to_numpy()
        if indices.dtype != np.int64:  # one of them is missing, huge or none
            indices = indices.astype(np.float64)
        data = table.iloc[:, 1].to_numpy(np.float64) if values else np.ones(len(indices))
    except (OSError, ValueError, IndexError, OverflowError) as error:
        raise _malformed(path, str(error)) from error
    if not np.isfinite(indices).all() or (indices % 1).any():
        raise _malformed(path, "an index is no whole number")
    if len(indices) and not (indices.min() >= 0 and indices.max() < SIDE**3):
        raise _malformed(path, f"an index is outside 0..{SIDE**3 - 1}")
    if not np.isfinite(data).all():
        raise _malformed(path, "a value is missing")
    return indices.astype(np.int64), data


def _read_spacing(path: Path) -> tuple[float, float, float]:
    """Spacing z, y, x in mm; the file lists the array's axes y, x, z."""
    if not path.exists():
        raise OrganNetError(f"{path} is missing: unpack the patient again")
    try:
        y, x, z = (float(line) for line in path.read_text(encoding="utf-8").split())
    except (OSError, ValueError) as error:
        raise _malformed(path, "not three numbers") from error
    if not all(0.1 <= side <= 20 for side in (z, y, x)):
        raise _malformed(path, f"{y:g}, {x:g}, {z:g} are no voxel sides in mm")
    return z, y, x


def _malformed(path: Path, reason: str) -> OrganNetError:
    first = " ".join(reason.split())
    return OrganNetError(f"{path} is not OpenKBP's table ({first}): unpack the patient again")


def _number(folder: Path) -> int | None:
    """N of pt_N; None for any other folder."""
    prefix, _, number = folder.name.partition("_")
    return int(number) if prefix == "pt" and number.isdecimal() else None


def _chooses_epoch(folder: Path) -> bool:
    return (_number(folder) or 0) % VALIDATION_EVERY == 0
