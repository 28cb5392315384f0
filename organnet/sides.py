"""Left and right of what was found: what a prediction calls the voxels of each paired organ."""

from collections.abc import Iterable
from itertools import starmap

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from organnet.datasets.case import Case
from organnet.organs import BACKGROUND, CLASSES, ORGANS, organ

CALLED = ("left", "right", "another organ", "background")
"""What a prediction can call a voxel of a paired organ."""
PAIRED = tuple(organ.name for organ in ORGANS if organ.partner != organ.name)


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
