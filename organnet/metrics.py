"""How well two drawings of an organ agree: Dice, HD95 and surface Dice, definitions stated.

Tools differ in what they call HD95: on one pair of real mandibles MedPy gives 2.02 mm, MONAI
2.50 mm and DeepMind's surface-distance 1.01 mm. A table is worth reading only beside DEFINITIONS.
"""

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.spatial import KDTree

from organnet.boxes import organ_boxes
from organnet.errors import OrganNetError
from organnet.organs import ORGAN_NAMES, ORGANS, UNKNOWN

TOLERANCE_MM = 2.0
"""Distance within which a surface voxel counts as right in the surface Dice."""

_ROUNDING_MM = 1e-6  # 20 slices of 0.1 mm are 2.0000000000000004 mm apart in float64

DEFINITIONS = {
    "dsc": "DSC, Dice similarity coefficient: twice the voxels in both masks over the sum of "
    "the voxels of each; 1 is perfect, 0 is no overlap.",
    "hd95_mm": "HD95, 95 % Hausdorff distance in mm: the larger of both directed 95th percentiles "
    "(linear interpolation) of the distance from each surface voxel's centre to the nearest "
    "surface voxel's centre of the other mask; a surface voxel has a face neighbour outside its "
    "mask, and beyond the volume's border is outside.",
    "surface_dice": f"Surface DSC at {TOLERANCE_MM:g} mm: the share of both masks' surface voxels "
    f"whose centre lies within {TOLERANCE_MM:g} mm of a surface voxel's centre of the other mask.",
    "missing": "An organ not drawn in the reference has no score. If both masks are empty the "
    "scores are 1, 0 mm and 1; if one is, they are 0, the volume's diagonal in mm and 0, and they "
    "stay in every mean. Voxels of unknown truth are cut out of both masks.",
}
"""One sentence or two per metric, printed beside every table."""


@dataclass(frozen=True)
class OrganScore:
    """Agreement on one organ of one case.

    Attributes:
        organ: PDDCA's name of it.
        dsc: Dice similarity coefficient, 0 to 1; NaN where the organ is not drawn, as the next two.
        hd95_mm: 95 % Hausdorff distance in mm.
        surface_dice: surface Dice at TOLERANCE_MM, 0 to 1.
        reference_voxels: size of the reference, unknown voxels left out; 0 where not drawn.
        predicted_voxels: size of the prediction, unknown voxels left out.
        status: scored, not drawn, both empty, reference empty, or prediction empty.
    """

    organ: str
    dsc: float
    hd95_mm: float
    surface_dice: float
    reference_voxels: int
    predicted_voxels: int
    status: str


def score_case(
    reference: UInt8[np.ndarray, "z y x"],
    prediction: UInt8[np.ndarray, "z y x"],
    spacing_mm: tuple[float, float, float],
    drawn: Set[str],
) -> list[OrganScore]:
    """Score a predicted label map against the reference, organ by organ, in PDDCA's order.

    Args:
        reference: label map; voxels labelled 255 (unknown) count in neither mask.
        prediction: label map on the same grid.
        spacing_mm: distance of neighbouring voxel centres along z, y, x.
        drawn: the organs that the reference has; the others get NaN and "not drawn".

    Raises OrganNetError where the two arrays differ in shape, or `drawn` names what is no organ.
    """
    unknown = sorted(set(drawn) - set(ORGAN_NAMES))
    if unknown:
        raise OrganNetError(
            f"{', '.join(unknown)} is none of the organs: choose of {', '.join(ORGAN_NAMES)}"
        )
    if reference.shape != prediction.shape:
        raise OrganNetError(
            f"prediction of shape {prediction.shape} and reference of shape {reference.shape} "
            "cannot be compared: resample the prediction to the reference's grid"
        )
    diagonal_mm = float(np.linalg.norm(np.multiply(reference.shape, spacing_mm)))
    boxes = _organ_boxes(reference, prediction)
    scores = []
    for organ in ORGANS:
        box = boxes[organ.label]
        known = reference[box] != UNKNOWN
        truth = reference[box] == organ.label
        found = (prediction[box] == organ.label) & known
        is_drawn = organ.name in drawn
        scores.append(_score_organ(organ.name, truth, found, spacing_mm, diagonal_mm, is_drawn))
    return scores


def _score_organ(
    organ: str,
    truth: Bool[np.ndarray, "z y x"],
    found: Bool[np.ndarray, "z y x"],
    spacing_mm: tuple[float, float, float],
    diagonal_mm: float,
    drawn: bool,
) -> OrganScore:
    sizes = int(truth.sum()), int(found.sum())
    if not drawn:
        nan = float("nan")
        return OrganScore(organ, nan, nan, nan, 0, sizes[1], "not drawn")
    if not any(sizes):
        return OrganScore(organ, 1.0, 0.0, 1.0, *sizes, "both empty")
    if not all(sizes):
        status = "prediction empty" if sizes[0] else "reference empty"
        return OrganScore(organ, 0.0, diagonal_mm, 0.0, *sizes, status)
    distances = surface_distances(truth, found, spacing_mm)
    return OrganScore(
        organ, dice(truth, found), hd95(*distances), surface_dice(*distances), *sizes, "scored"
    )


def dice(a: Bool[np.ndarray, "z y x"], b: Bool[np.ndarray, "z y x"]) -> float:
    """Dice similarity coefficient of two masks that are not both empty."""
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def hd95(a_to_b: Float[np.ndarray, " a"], b_to_a: Float[np.ndarray, " b"]) -> float:
    """Larger of the two directed 95th percentiles, in the distances' unit."""
    return float(max(np.percentile(a_to_b, 95), np.percentile(b_to_a, 95)))


def surface_dice(a_to_b: Float[np.ndarray, " a"], b_to_a: Float[np.ndarray, " b"]) -> float:
    """Share of both surfaces' voxels within TOLERANCE_MM of the other surface (distances in mm)."""
    near = [np.count_nonzero(d <= TOLERANCE_MM + _ROUNDING_MM) for d in (a_to_b, b_to_a)]
    return float(sum(near) / (len(a_to_b) + len(b_to_a)))


def surface_voxels(mask: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """Voxels of the mask with a face neighbour outside it; beyond the array is outside."""
    m = np.pad(mask, 1)
    inner = m[:-2, 1:-1, 1:-1] & m[2:, 1:-1, 1:-1]
    inner &= m[1:-1, :-2, 1:-1]
    inner &= m[1:-1, 2:, 1:-1]
    inner &= m[1:-1, 1:-1, :-2]
    inner &= m[1:-1, 1:-1, 2:]
    return mask & ~inner


def surface_distances(
    a: Bool[np.ndarray, "z y x"],
    b: Bool[np.ndarray, "z y x"],
    spacing_mm: tuple[float, float, float],
) -> tuple[Float[np.ndarray, " a"], Float[np.ndarray, " b"]]:
    """Distances in mm from each surface voxel of `a` to the nearest of `b`, and the other way.

    Neither mask may be empty. Exact: a k-d tree over the surface voxels' centres, which is faster
    here than two distance transforms; voxels on both surfaces are 0 mm apart without a search.
    """
    surface_a, surface_b = surface_voxels(a), surface_voxels(b)
    return (
        _distances(surface_a, surface_b, spacing_mm),
        _distances(surface_b, surface_a, spacing_mm),
    )


def _distances(
    start: Bool[np.ndarray, "z y x"],
    goal: Bool[np.ndarray, "z y x"],
    spacing_mm: tuple[float, float, float],
) -> Float[np.ndarray, " n"]:
    apart = ~goal[start]
    distances = np.zeros(len(apart))
    if apart.any():
        tree = KDTree(np.argwhere(goal) * spacing_mm)
        distances[apart] = tree.query(np.argwhere(start & ~goal) * spacing_mm)[0]
    return distances


def _organ_boxes(
    reference: UInt8[np.ndarray, "z y x"], prediction: UInt8[np.ndarray, "z y x"]
) -> list[tuple[slice, ...]]:
    """By label, the smallest box that holds the organ in both label maps; empty where in neither.

    Surfaces are the same in the box as in the whole volume, since all beyond it is outside.
    """
    found = [organ_boxes(labels) for labels in (reference, prediction)]
    boxes = [tuple(slice(0, 0) for _ in reference.shape)]
    for of_organ in zip(*found, strict=True):
        present = [box for box in of_organ if box is not None]
        boxes.append(_union(present) if present else boxes[0])
    return boxes


def _union(boxes: list[tuple[slice, ...]]) -> tuple[slice, ...]:
    return tuple(
        slice(min(s.start for s in axis), max(s.stop for s in axis))
        for axis in zip(*boxes, strict=True)
    )
