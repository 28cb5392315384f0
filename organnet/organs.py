"""The nine organs at risk in PDDCA's order: names, labels, colours, loss weights, pairs."""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

BACKGROUND = 0
UNKNOWN = 255
"""Label of a voxel whose truth nobody knows: left out of the loss and of the scores."""


@dataclass(frozen=True)
class Organ:
    """One organ at risk.

    Attributes:
        name: PDDCA's name, also its file's name.
        label: its value in a label map, 1 to 9.
        colour: sRGB hex, bright enough for a dark CT. Left and right share a hue and differ in
            lightness; no two of the nine are alike to a colour-blind reader.
        alpha: its weight in the focal loss (paper, loss section).
        partner: the organ it becomes under a left-right flip; itself where it lies on the midline.
    """

    name: str
    label: int
    colour: str
    alpha: float
    partner: str


ORGANS = (
    Organ("BrainStem", 1, "#1cb6fa", 1.0, "BrainStem"),
    Organ("Chiasm", 2, "#fff04d", 4.0, "Chiasm"),
    Organ("Mandible", 3, "#e18f09", 1.0, "Mandible"),
    Organ("OpticNerve_L", 4, "#7dffb8", 4.0, "OpticNerve_R"),
    Organ("OpticNerve_R", 5, "#49a85c", 4.0, "OpticNerve_L"),
    Organ("Parotid_L", 6, "#ff9db8", 1.0, "Parotid_R"),
    Organ("Parotid_R", 7, "#d4346f", 1.0, "Parotid_L"),
    Organ("Submandibular_L", 8, "#e1c6ff", 3.0, "Submandibular_R"),
    Organ("Submandibular_R", 9, "#8a4fff", 3.0, "Submandibular_L"),
)
ORGAN_NAMES = tuple(organ.name for organ in ORGANS)
CLASSES = len(ORGANS) + 1
BACKGROUND_ALPHA = 0.5
"""Weight of background in the focal loss (paper, loss section)."""

_BY_NAME = {organ.name: organ for organ in ORGANS}


def organ(name: str) -> Organ:
    """The organ of that name; raises KeyError for a name that is none of the nine."""
    return _BY_NAME[name]


def spoken(name: str) -> str:
    """An organ's name as prose has it: Brain stem, Optic nerve L."""
    return re.sub("(?<=[a-z])[A-Z]", lambda letter: f" {letter[0].lower()}", name).replace("_", " ")


FLIPPED_LABELS = tuple([BACKGROUND, *(_BY_NAME[o.partner].label for o in ORGANS)])
"""FLIPPED_LABELS[label] is what the label becomes when left and right change places."""

_FLIP_TABLE = np.arange(256, dtype=np.uint8)
_FLIP_TABLE[:CLASSES] = FLIPPED_LABELS


def swap_left_right(labels: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Rename left organs to right and right to left; background and unknown stay.

    It renames only: whoever mirrors the array along x calls this too.
    """
    return _FLIP_TABLE[labels]
