"""Two grids over one physical box: resizing CT and label maps between them.

Grids share the box's faces, not the centres of their outermost voxels, so a box of any size maps
onto a grid of any size without a shift.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from torch import Tensor

from organnet.organs import CLASSES, UNKNOWN

Size = tuple[int, int, int]


def grid_size(
    shape: tuple[int, ...], spacing_mm: tuple[float, ...], target_mm: tuple[float, ...]
) -> Size:
    """Voxels (z, y, x) of the grid nearest to `target_mm` over the same box."""
    z, y, x = (
        max(1, round(n * old / new))
        for n, old, new in zip(shape, spacing_mm, target_mm, strict=True)
    )
    return z, y, x


def resize(volume: Shaped[np.ndarray, "z y x"], size: Size) -> Float[np.ndarray, "p q r"]:
    """Linear interpolation; a triangle filter as wide as the new voxel where the grid coarsens.

    Averaging while shrinking keeps noise down and lets no thin structure fall between samples.
    """
    if volume.shape == size:
        return volume.astype(np.float32)
    planes = torch.from_numpy(np.ascontiguousarray(volume, dtype=np.float32))[None]
    planes = _resize_plane(planes, size[1:])
    columns = _resize_plane(planes.transpose(1, 2), (size[0], size[2]))
    return columns.transpose(1, 2)[0].contiguous().numpy()


@dataclass(frozen=True, eq=False)
class Between:
    """Where the voxels of one axis lie between those of another that ends at the same faces.

    Attributes:
        below: the voxel of the other axis before it.
        above: the one behind it; the same at the end.
        share: how far it lies from below to above.
    """

    below: Int64[Tensor, " n"]
    above: Int64[Tensor, " n"]
    share: Float[Tensor, " n"]

    def touching(self, marked: Bool[Tensor, " m"]) -> slice:
        """The stretch of this axis beyond which it lies between no voxels that are marked.

        It may be empty: a coarse axis passes voxels of a fine one by.
        """
        where = (marked[self.below] | marked[self.above]).nonzero()[:, 0].tolist()
        return slice(where[0], where[-1] + 1) if where else slice(0, 0)


def between(size: int, other: int) -> Between:
    """`size` voxels between `other` ones, as linear interpolation has them."""
    position = ((torch.arange(size) + 0.5) * (other / size) - 0.5).clamp(0, other - 1)
    below = position.long()
    return Between(below, (below + 1).clamp(max=other - 1), position - below)


def resize_labels(labels: UInt8[np.ndarray, "z y x"], size: Size) -> UInt8[np.ndarray, "p q r"]:
    """Each voxel takes the label that fills most of it, if that is half of it or more.

    Works organ by organ on fractions, so that an optic nerve is not lost between samples as
    nearest-neighbour interpolation would lose it.
    """
    if labels.shape == size:
        return labels
    result = np.zeros(size, np.uint8)
    largest_share = np.full(size, 0.5, np.float32)
    for label in [*range(1, CLASSES), UNKNOWN]:
        mask: Bool[np.ndarray, "z y x"] = labels == label
        if mask.any():
            share = resize(mask, size)
            wins = share >= largest_share
            result[wins] = label
            largest_share[wins] = share[wins]
    return result


def _resize_plane(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        planes, size=size, mode="bilinear", align_corners=False, antialias=True
    )
