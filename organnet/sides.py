"""Left and right: do they agree with the anatomy, and what does a prediction call paired organs."""

from collections.abc import Iterable
from itertools import starmap

import numpy as np
import pandas as pd
from jaxtyping import Float64, UInt8

from organnet.boxes import box_of
from organnet.datasets.case import Case
from organnet.organs import BACKGROUND, CLASSES, ORGAN_NAMES, ORGANS, organ
from organnet.volume import Volume, to_lps

CALLED = ("left", "right", "another organ", "background")
"""What a prediction can call a voxel of a paired organ."""
PAIRED = tuple(organ.name for organ in ORGANS if organ.partner != organ.name)

LEVELS = (("Mandible",), ("Parotid_L", "Parotid_R"), ("BrainStem",))
"""From the jaw to the brain stem one goes up and back; so do these, and pairs by their middle."""
APART_MM = 10.0
"""Levels nearer than this along an axis do not tell a direction: the head may be thrown back."""


def left_right_agrees(labels: Volume) -> bool | None:
    """Whether every organ called left lies on the patient's left of its partner.

    Jaw, parotids and brain stem, by their centres, tell where up and front are, whatever the header
    says; in a right-handed space, left is up x front. So exchanged names and a mirrored axis are
    found. None where it cannot be told: no pair, or no two levels APART_MM above and behind.
    """
    lps = to_lps(labels)
    organs = box_of(lps.array > 0) or ()  # a tenth of the volume; centres keep their order
    labels = Volume(lps.array[organs], lps.spacing_mm)
    centres = {name: c for name in ORGAN_NAMES if (c := _centre_mm(labels, name)) is not None}
    levels = [
        np.mean([centres[name] for name in level], axis=0)
        for level in LEVELS
        if all(name in centres for name in level)
    ]
    pairs = [(o.name, o.partner) for o in ORGANS if o.name.endswith("_L")]
    sides = [
        centres[left][2] - centres[right][2]
        for left, right in pairs
        if left in centres and right in centres
    ]
    if len(levels) < 2 or not sides:
        return None
    up_mm, back_mm, _ = levels[-1] - levels[0]
    if min(abs(up_mm), abs(back_mm)) < APART_MM:
        return None
    return all(np.sign(side) == np.sign(up_mm * back_mm) for side in sides)


def count_sides(pairs: Iterable[tuple[Case, UInt8[np.ndarray, "z y x"]]]) -> pd.DataFrame:
    """Voxels of every paired organ that is drawn, by what the prediction calls them.

    Args:
        pairs: case, and label map predicted on its grid. Each pair is let go before the next is
            taken, so a generator that loads them keeps one in memory.

    Returns a row per case and organ: case, organ, and the voxels called left, right (of the same
    pair), another organ and background. A voxel of unknown truth (255) is of no organ: left out.
    """
    rows = [row for of_case in starmap(_count_case, pairs) for row in of_case]
    return pd.DataFrame(rows, columns=["case", "organ", *CALLED])


def _count_case(case: Case, prediction: UInt8[np.ndarray, "z y x"]) -> list[dict[str, str | int]]:
    rows = []
    for name in PAIRED:
        if name in case.drawn:
            inside = case.labels.array == organ(name).label
            voxels = np.bincount(prediction[inside], minlength=CLASSES).tolist()
            left, right = (voxels[organ(side).label] for side in _left_and_right(name))
            another = sum(voxels[:CLASSES]) - left - right - voxels[BACKGROUND]
            counts = zip(CALLED, (left, right, another, voxels[BACKGROUND]), strict=True)
            rows.append({"case": case.name, "organ": name, **dict(counts)})
    return rows


def _left_and_right(name: str) -> tuple[str, str]:
    """The two organs of this organ's pair."""
    partner = organ(name).partner
    return (partner, name) if name.endswith("_R") else (name, partner)


def _centre_mm(labels: Volume, name: str) -> Float64[np.ndarray, " 3"] | None:
    index = np.nonzero(labels.array == organ(name).label)
    if not len(index[0]):
        return None
    return np.array([i.mean() for i in index]) * labels.spacing_mm
