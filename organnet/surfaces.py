"""Surfaces of organs and bone as triangles, in the patient's millimetres."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from organnet.organs import ORGANS
from organnet.volume import Volume

SMOOTHING_VOXELS = 0.8
"""Takes the steps between slices off a mask; see `mask_surface` for what it does not take."""
MARGIN = 4
"""Voxels around a mask, which its blur reaches."""
CANDIDATES = 16
"""Triangles tried for the one nearest to a point: those whose middles are nearest."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles around one thing.

    Attributes:
        points_mm: LPS positions as z, y, x, in mm.
        triangles: indices of three points each.
        normals: unit vectors z, y, x at the points, outwards.
    """

    points_mm: Float[np.ndarray, "n 3"]
    triangles: Int[np.ndarray, "t 3"]
    normals: Float[np.ndarray, "n 3"]


def organ_surfaces(labels: Volume) -> dict[str, Surface]:
    """Surface by name of every organ in a label map; background and unknown voxels have none."""
    boxes = ndimage.find_objects(labels.array, max_label=len(ORGANS))
    return {
        organ.name: mask_surface(labels, labels.array[box] == organ.label, box)
        for organ, box in zip(ORGANS, boxes, strict=True)
        if box is not None
    }


def mask_surface(
    grid: Volume, mask: Bool[np.ndarray, "z y x"], box: tuple[slice, slice, slice]
) -> Surface:
    """Smooth surface of a mask that lies in `box` of a grid; the mask holds a voxel or more.

    A blurred mask is cut at the value that keeps its number of voxels, so that smoothing neither
    thins an optic nerve nor loses an organ of one voxel.
    """
    return _surface(grid, *_blurred(mask), _first(box))


def signed_distances(
    points_mm: Float[np.ndarray, "n 3"],
    grid: Volume,
    mask: Bool[np.ndarray, "z y x"],
    box: tuple[slice, slice, slice],
) -> Float[np.ndarray, " n"]:
    """Distance in mm from LPS points to a mask's surface: positive within it, else negative.

    The surface and the other arguments are those of `mask_surface`. Distances are to its triangles,
    so a mask's own points are at 0 mm; a transform between voxel centres would not give that.
    """
    blurred, level = _blurred(mask)
    surface = _surface(grid, blurred, level, _first(box))
    corners = surface.points_mm[surface.triangles]
    tree = KDTree(corners.mean(1))
    nearest = tree.query(points_mm, k=min(CANDIDATES, len(corners)))[1]
    along_axes = (points_mm - np.asarray(grid.origin_mm)) @ grid.direction
    voxel = along_axes / np.asarray(grid.spacing_mm) - _first(box)
    within = ndimage.map_coordinates(blurred, voxel.T, order=1) > level
    return np.where(within, 1.0, -1.0) * _to_nearest(points_mm, corners[nearest])


def _to_nearest(
    points: Float[np.ndarray, "n 3"], corners: Float[np.ndarray, "n k 3 3"]
) -> Float[np.ndarray, " n"]:
    """Distance of each point to the nearest of its k triangles, given by their corners."""
    sides = np.roll(corners, -1, axis=2) - corners
    to_point = points[:, None, None] - corners
    length2 = np.maximum((sides**2).sum(-1), 1e-12)  # a triangle may have no area
    along = np.clip((to_point * sides).sum(-1) / length2, 0, 1)
    to_rim = np.linalg.norm(to_point - along[..., None] * sides, axis=-1).min(-1)
    normal = np.cross(sides[:, :, 0], sides[:, :, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    height = np.abs((to_point[:, :, 0] * normal).sum(-1))
    above = ((np.cross(normal[:, :, None], sides) * to_point).sum(-1) > 0).all(-1)
    return np.where(above, height, to_rim).min(-1)


def _blurred(mask: Bool[np.ndarray, "z y x"]) -> tuple[Float[np.ndarray, "p q r"], float]:
    """A mask blurred, MARGIN larger on every side, and the value at which to cut it."""
    blurred = ndimage.gaussian_filter(
        np.pad(mask, MARGIN).astype(np.float32), SMOOTHING_VOXELS, truncate=MARGIN
    )
    inside = np.count_nonzero(mask)
    descending = np.sort(blurred, axis=None)[::-1]
    return blurred, float(descending[inside - 1] + descending[inside]) / 2


def _first(box: tuple[slice, slice, slice]) -> list[int]:
    """Index of a blurred mask's first voxel in the grid."""
    return [s.start - MARGIN for s in box]


def bone_surface(ct: Volume, threshold_hu: float = 250.0, step_mm: float = 2.0) -> Surface | None:
    """Surface of bone on a grid of about `step_mm`, None where there is none."""
    step = [max(1, round(step_mm / mm)) for mm in ct.spacing_mm]
    centred = [n | 1 for n in step]  # an even filter would move bone by half a voxel
    coarse = ndimage.uniform_filter(ct.array.astype(np.float32), centred)
    coarse = np.pad(coarse[:: step[0], :: step[1], :: step[2]], 1, constant_values=-1000)
    if not coarse.min() < threshold_hu < coarse.max():
        return None
    return _surface(ct, coarse, threshold_hu, [-n for n in step], step)


def _surface(
    grid: Volume,
    values: Float[np.ndarray, "z y x"],
    level: float,
    first: list[int],
    step: list[int] | None = None,
) -> Surface:
    """Where `values`, whose voxels are every step-th of the grid from `first`, pass a level."""
    step = step or [1, 1, 1]
    spacing = np.multiply(grid.spacing_mm, step)
    points, triangles, normals, _ = marching_cubes(
        values, level, spacing=tuple(spacing), gradient_direction="ascent"
    )
    along_axes = points + np.multiply(first, grid.spacing_mm)
    return Surface(
        np.asarray(grid.origin_mm) + along_axes @ grid.direction.T,
        triangles.astype(np.int64),
        (normals @ grid.direction.T).astype(np.float64),
    )
