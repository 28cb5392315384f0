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

    def part(self, box: tuple[slice, slice, slice]) -> "Grid":
        """The grid of a box of voxels of this one."""
        return Grid(
            shape=tuple(s.stop - s.start for s in box),
            spacing_mm=self.spacing_mm,
            origin_mm=tuple(
                o + d * s.start
                for o, d, s in zip(self.origin_mm, self.spacing_mm, box, strict=True)
            ),
        )

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
        return voxel_box(self.grid, self.pose, solid)

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


_CUBE = np.stack(np.meshgrid(*[(0.0, 0.5, 1.0)] * 3, indexing="ij"), -1).reshape(-1, 3)


def voxel_box(grid: Grid, pose: Pose, solid: Shape) -> tuple[slice, slice, slice] | None:
    """Voxels of a grid that can hold a solid given in canonical mm; None where there are none."""
    low, high = solid.bounds
    if (low >= high).any():
        return None
    where = pose.to_scanner(low + _CUBE * (high - low))[:, ::-1]
    lowest, highest = where.min(0), where.max(0)
    slices = []
    for k, (spacing, origin) in enumerate(zip(grid.spacing_mm, grid.origin_mm, strict=True)):
        margin = 3.0 / spacing + 1
        first = max(int(np.floor((lowest[k] - origin) / spacing - margin)), 0)
        last = int(np.ceil((highest[k] - origin) / spacing + margin)) + 1
        last = min(last, grid.shape[k])
        if first >= last:
            return None
        slices.append(slice(first, last))
    return tuple(slices)


def _anatomy_coordinates(grid: Grid, pose: Pose, coarse_mm: float) -> list:
    """Canonical x, y and z of every voxel, as three volumes."""
    nodes, places = [], []
    for k in range(3):
        axis = grid.axis(k)
        count = max(2, int(np.ceil((axis[-1] - axis[0]) / coarse_mm)) + 1)
        nodes.append(np.linspace(axis[0], axis[-1], count))
        places.append(np.linspace(0, count - 1, len(axis), dtype=np.float32))
    mesh = np.stack(np.meshgrid(*nodes, indexing="ij"), -1)[..., ::-1].reshape(-1, 3)
    coarse = pose.to_anatomy(mesh).astype(np.float32).reshape(*map(len, nodes), 3)
    fine = []
    for k in range(3):
        volume = np.ascontiguousarray(coarse[..., k])
        for axis in (2, 1, 0):
            volume = _interpolate(volume, axis, places[axis])
        fine.append(volume)
    return fine


def _interpolate(
    volume: Float32[np.ndarray, "..."], axis: int, places: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, "..."]:
    """Linear interpolation along one axis, at fractional indices."""
    low = np.minimum(places.astype(np.int64), volume.shape[axis] - 2)
    share = (places - low).reshape([-1 if k == axis else 1 for k in range(volume.ndim)])
    below = np.take(volume, low, axis)
    out = np.take(volume, low + 1, axis)
    out -= below
    out *= share.astype(np.float32)
    out += below
    return out


def _texture(grid: Grid, size_mm: float, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """Smooth noise of mean 0 and SD 1, made on as coarse a grid as its grain allows."""
    step = [max(1, int(size_mm / s)) for s in grid.spacing_mm]
    shape = [-(-n // s) + 1 for n, s in zip(grid.shape, step, strict=True)]
    noise = rng.standard_normal(shape, np.float32)
    sigma = [size_mm / (s * d) for s, d in zip(step, grid.spacing_mm, strict=True)]
    noise = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=2.5)
    noise /= noise.std()
    for k, (n, factor) in enumerate(zip(grid.shape, step, strict=True)):
        if factor > 1:
            noise = _interpolate(noise, k, np.arange(n, dtype=np.float32) / factor)
    return np.ascontiguousarray(noise[tuple(slice(n) for n in grid.shape)])
