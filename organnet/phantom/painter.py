"""The canvas: a CT volume that solids are painted on, one over the other, with soft edges."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

from organnet.organs import BACKGROUND
from organnet.phantom.person import Pose, Tissue
from organnet.phantom.shapes import Shape

Layer = tuple[float, Tissue]
"""From this depth in mm below the surface on, this tissue."""


@dataclass(frozen=True)
class Grid:
    """The scanner's voxels: LPS-aligned, scanner mm.

    Attributes:
        shape: voxels along z, y, x.
        spacing_mm: along z, y, x.
        origin_mm: centre of the first voxel, as z, y, x.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    def axis(self, k: int) -> Float32[np.ndarray, " n"]:
        """Positions in mm along array axis k."""
        return (self.origin_mm[k] + self.spacing_mm[k] * np.arange(self.shape[k])).astype(
            np.float32
        )


class Canvas:
    """HU and labels on a grid; solids are given in canonical mm and painted where they fall.

    What is painted later hides what was painted before, its label too.
    """

    COARSE_MM = 9.0  # the pose is evaluated this far apart and interpolated between

    def __init__(self, grid: Grid, pose: Pose, rng: np.random.Generator) -> None:
        self.grid = grid
        self.pose = pose
        self.hu: Float32[np.ndarray, "z y x"] = np.full(grid.shape, -1000, np.float32)
        self.labels: UInt8[np.ndarray, "z y x"] = np.zeros(grid.shape, np.uint8)
        self.x, self.y, self.z = _anatomy_coordinates(grid, pose, self.COARSE_MM)
        self.grain = _texture(grid, 1.3, rng)
        self.patches = _texture(grid, 5.0, rng)

    def paint(self, solid: Shape, *layers: Tissue | Layer, label: int = BACKGROUND) -> None:
        """Fill a solid with tissue; several layers go from the surface inwards.

        Partial volume: a voxel whose centre lies within half a pixel of the surface is a mixture.
        The label is set where more than half the voxel is inside.
        """
        box = self.box(solid)
        if box is None:
            return
        distance = solid.distance(self.x[box], self.y[box], self.z[box])
        value = None
        for layer in layers:
            depth, tissue = layer if isinstance(layer, tuple) else (0.0, layer)
            here = self._tissue(tissue, box)
            if value is None:
                value = here
            else:
                value = value + self._fraction(distance + np.float32(depth)) * (here - value)
        self.hu[box] += self._fraction(distance) * (value - self.hu[box])
        self.labels[box][distance < 0] = label

    def box(self, solid: Shape) -> tuple[slice, slice, slice] | None:
        """Voxels that can hold the solid, or None where it is outside the scan."""
        low, high = solid.bounds
        if (low >= high).any():
            return None
        corners = np.stack(
            np.meshgrid(*(np.linspace(low[k], high[k], 3) for k in range(3)), indexing="ij"), -1
        ).reshape(-1, 3)
        where = self.pose.to_scanner(corners)[:, ::-1]
        slices = []
        for k in range(3):
            spacing, origin = self.grid.spacing_mm[k], self.grid.origin_mm[k]
            margin = 3.0 / spacing + 1
            first = int(np.floor((where[:, k].min() - origin) / spacing - margin))
            last = int(np.ceil((where[:, k].max() - origin) / spacing + margin)) + 1
            first, last = max(first, 0), min(last, self.grid.shape[k])
            if first >= last:
                return None
            slices.append(slice(first, last))
        return tuple(slices)

    def _fraction(self, distance: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"]:
        """Share of a voxel that is inside, by the distance of its centre to the surface."""
        return np.clip(0.5 - distance / np.float32(self.grid.spacing_mm[2]), 0, 1)

    def _tissue(self, tissue: Tissue, box: tuple[slice, slice, slice]):
        value = np.float32(tissue.hu)
        if tissue.grain:
            value = value + np.float32(tissue.grain) * self.grain[box]
        if tissue.patches:
            value = value + np.float32(tissue.patches) * self.patches[box]
        return value


def _anatomy_coordinates(grid: Grid, pose: Pose, coarse_mm: float) -> list:
    """Canonical x, y and z of every voxel, as three volumes."""
    nodes, weights = [], []
    for k in range(3):
        axis = grid.axis(k)
        count = max(2, int(np.ceil((axis[-1] - axis[0]) / coarse_mm)) + 1)
        node = np.linspace(axis[0], axis[-1], count)
        at = (axis - axis[0]) / (node[1] - node[0])
        low = np.minimum(at.astype(int), count - 2)
        weight = np.zeros((len(axis), count), np.float32)
        weight[np.arange(len(axis)), low] = 1 - (at - low)
        weight[np.arange(len(axis)), low + 1] = at - low
        nodes.append(node)
        weights.append(weight)
    mesh = np.stack(np.meshgrid(*nodes, indexing="ij"), -1)[..., ::-1].reshape(-1, 3)
    coarse = pose.to_anatomy(mesh).astype(np.float32).reshape(*map(len, nodes), 3)
    fine = []
    for k in range(3):
        rows = np.tensordot(weights[0], coarse[..., k], 1)
        planes = weights[1] @ rows
        fine.append(planes @ weights[2].T)
    return fine


def _texture(grid: Grid, size_mm: float, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """Smooth noise of mean 0 and SD 1, made on as coarse a grid as its grain allows."""
    step = [max(1, int(size_mm / s)) for s in grid.spacing_mm]
    shape = [-(-n // s) + 1 for n, s in zip(grid.shape, step, strict=True)]
    noise = rng.standard_normal(shape, np.float32)
    sigma = [size_mm / (s * d) for s, d in zip(step, grid.spacing_mm, strict=True)]
    noise = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=2.5)
    noise /= noise.std()
    for k, s in enumerate(step):
        noise = _stretch(noise, k, s)
    return noise[tuple(slice(n) for n in grid.shape)]


def _stretch(volume: Float32[np.ndarray, "z y x"], axis: int, factor: int):
    """Linear interpolation to `factor` times as many samples along an axis."""
    if factor == 1:
        return volume
    volume = np.moveaxis(volume, axis, 0)
    parts = [
        volume[:-1] + np.float32(f / factor) * (volume[1:] - volume[:-1]) for f in range(factor)
    ]
    longer = np.stack(parts, 1).reshape(-1, *volume.shape[1:])
    return np.ascontiguousarray(np.moveaxis(longer, 0, axis))
