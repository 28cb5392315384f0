"""Random variation of a patch: where it is sampled (mm) and what the scanner shows (HU)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from organnet.settings import PatchSettings


def sampling_offsets_mm(
    settings: PatchSettings, flip: bool, rng: np.random.Generator
) -> Float[Tensor, "z y x 3"]:
    """Where each voxel of the patch is sampled, as (z, y, x) mm from the patch's centre.

    A regular grid, elastically displaced, then scaled and rotated, then mirrored along x if `flip`.
    """
    axes = [
        (torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * mm
        for n, mm in zip(settings.size, settings.spacing_mm, strict=True)
    ]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    offsets = offsets + _elastic_mm(settings, rng)
    scale = 1 + rng.uniform(-settings.scale_share, settings.scale_share)
    matrix = torch.from_numpy(_rotation(settings.rotation_degrees, rng) * scale).float()
    offsets = offsets @ matrix.T
    if flip:
        offsets[..., 2] *= -1
    return offsets


def vary_intensity(
    hu: Float[Tensor, "z y x"], settings: PatchSettings, rng: np.random.Generator
) -> Float[Tensor, "z y x"]:
    """Another scanner's HU: contrast about water, brightness, and noise.

    Air outside the patient would turn grey with the brightness, so it is left to the window to
    clip: the lowest HU of the window lies well above air.
    """
    contrast = 1 + rng.uniform(-settings.contrast_share, settings.contrast_share)
    brightness = rng.uniform(-settings.brightness_hu, settings.brightness_hu)
    noise_hu = rng.uniform(0, settings.noise_hu)
    noise = torch.from_numpy(rng.standard_normal(hu.shape, np.float32))
    return hu * contrast + brightness + noise * noise_hu


def vary_resolution(
    hu: Float[Tensor, "z y x"], settings: PatchSettings, rng: np.random.Generator
) -> Float[Tensor, "z y x"]:
    """What a coarser scan would show, mixed in; or up to half of it taken away, which sharpens.

    The coarse grid is sampled, not averaged, as OpenKBP was.
    """
    coarse_mm = [
        rng.uniform(mm, max(mm, coarsest))
        for mm, coarsest in zip(settings.spacing_mm, settings.coarse_mm, strict=True)
    ]
    size = [
        max(1, round(n * mm / coarse))
        for n, mm, coarse in zip(hu.shape, settings.spacing_mm, coarse_mm, strict=True)
    ]
    mix = rng.uniform(-0.5, 1.0)
    if rng.random() >= settings.coarse_share:
        return hu
    resized = torch.nn.functional.interpolate(hu[None, None], size, mode="trilinear")
    coarse = torch.nn.functional.interpolate(resized, hu.shape, mode="trilinear")[0, 0]
    return hu + mix * (coarse - hu)


def _elastic_mm(settings: PatchSettings, rng: np.random.Generator) -> Float[Tensor, "#z #y #x 3"]:
    """A smooth displacement: random at knots, interpolated between them."""
    extent = [n * mm for n, mm in zip(settings.size, settings.spacing_mm, strict=True)]
    knots = [max(2, round(mm / settings.elastic_knots_mm) + 1) for mm in extent]
    at_knots = rng.uniform(-1, 1, (1, 3, *knots)).astype(np.float32) * settings.elastic_mm
    field = torch.nn.functional.interpolate(
        torch.from_numpy(at_knots), size=settings.size, mode="trilinear", align_corners=True
    )
    return field[0].permute(1, 2, 3, 0)


def _rotation(degrees: float, rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Rotations about the three axes in turn, each by up to `degrees` either way."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-degrees, degrees, 3))):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix
