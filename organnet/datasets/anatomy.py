"""Left and right checked against the anatomy, not against file names or headers."""

import numpy as np
from jaxtyping import Float64

from organnet.organs import ORGAN_NAMES, ORGANS, organ
from organnet.volume import Volume, to_lps

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
    labels = _organs_alone(to_lps(labels))
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


def _organs_alone(labels: Volume) -> Volume:
    """The box around the organs: a tenth of the volume or less, and centres keep their order."""
    array = labels.array
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        at = np.flatnonzero(array.any(axis=others))
        array = array.take(range(at[0], at[-1] + 1), axis) if len(at) else array
    return Volume(array, labels.spacing_mm)


def _centre_mm(labels: Volume, name: str) -> Float64[np.ndarray, " 3"] | None:
    index = np.nonzero(labels.array == organ(name).label)
    if not len(index[0]):
        return None
    return np.array([i.mean() for i in index]) * labels.spacing_mm
