"""What a label map says in numbers: volumes in ml, places in mm, and what the scan cuts off."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from organnet.boxes import organ_boxes
from organnet.organs import ORGANS
from organnet.volume import Volume, to_lps

PAROTIDS = ("Parotid_L", "Parotid_R")


@dataclass(frozen=True, eq=False)
class Measured:
    """One organ of a label map.

    Attributes:
        volume_ml: of its voxels.
        centre_mm: their mean place along z, y, x of the scan, in mm; differences alone mean
            something.
        is_cut: whether it reaches a face of the scan.
    """

    volume_ml: float
    centre_mm: Float64[np.ndarray, " 3"]
    is_cut: bool


def measure(labels: Volume) -> dict[str, Measured]:
    """Measure every organ of a label map of any orientation; an organ without a voxel is left out.

    Places are along the scan's own axes, turned to LPS: z to the head, y to the back, x to the
    patient's left.
    """
    labels = to_lps(labels)
    measured = {}
    for organ, box in zip(ORGANS, organ_boxes(labels.array), strict=True):
        if box is None:
            continue
        inside = np.nonzero(labels.array[box] == organ.label)
        corner = np.array([side.start for side in box])
        centre = np.array([index.mean() for index in inside]) + corner
        measured[organ.name] = Measured(
            volume_ml=len(inside[0]) * labels.voxel_ml,
            centre_mm=centre * np.array(labels.spacing_mm),
            is_cut=any(
                side.start == 0 or side.stop == size
                for side, size in zip(box, labels.shape, strict=True)
            ),
        )
    return measured


def origin_of(name: str) -> tuple[str, ...]:
    """The organs from whose middle an organ's place is told."""
    return ("BrainStem",) if name in PAROTIDS else PAROTIDS


def offset_mm(measured: dict[str, Measured], name: str) -> Float64[np.ndarray, " 3"] | None:
    """Where an organ lies, z, y, x in mm from the middle between the parotids.

    A parotid's place is told from the brain stem instead. None where one of them was not found, or
    where one that it is told from is cut off by the scan.
    """
    origin = origin_of(name)
    if not all(organ in measured for organ in (name, *origin)):
        return None
    if any(measured[organ].is_cut for organ in origin):
        return None
    return measured[name].centre_mm - np.mean(
        [measured[organ].centre_mm for organ in origin], axis=0
    )
