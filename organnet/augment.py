"""Random variation of a patch: where it is sampled (mm) and what the scanner shows (HU)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from organnet.grids import Size
from organnet.settings import PatchSettings


def sampling_knots_mm(
    settings: PatchSettings, flip: bool, rng: np.random.Generator
) -> Float[Tensor, "a b c 3"]:
    """Where a patch's knots are sampled, as (z, y, x) mm from its centre.

    A coarse grid between the patch's outermost voxels, elastically displaced, then scaled and
    rotated, then mirrored along x if `flip`. The voxels lie `between_knots`.
    """
    axes = [
        torch.linspace(-(n - 1) / 2 * mm, (n - 1) / 2 * mm, _knots(n * mm, settings))
        for n, mm in zip(settings.size, settings.spacing_mm, strict=True)
    ]
    knots = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    moved = rng.uniform(-settings.elastic_mm, settings.elastic_mm, knots.shape)
    scale = 1 + rng.uniform(-settings.scale_share, settings.scale_share)
    matrix = _rotation(settings.rotation_degrees, rng) * scale
    knots = (knots + torch.from_numpy(moved).float()) @ torch.from_numpy(matrix.T).float()
    if flip:
        knots[..., 2] *= -1
    return knots


def between_knots(knots: Float[Tensor, "a b c n"], size: Size) -> Float[Tensor, "z y x n"]:
    """A grid of that size with the knots evenly spread in it, linear between them.

    Axis after axis as products with small matrices, in a fifth of the time of torch's interpolate.
    """
    values = knots.movedim(-1, 0)
    for n in size:  # each turn takes the first of the three axes, and puts it last
        count = values.shape[1]
        along = torch.linspace(0, count - 1, n, device=values.device)
        place = along[None] - torch.arange(count, device=values.device)[:, None]
        values = values.movedim(1, -1) @ (1 - place.abs()).clamp(min=0)
    return values.movedim(0, -1)


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
    generator = torch.Generator(hu.device).manual_seed(int(rng.integers(2**63)))
    noise = torch.randn(hu.shape, generator=generator, device=hu.device)
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


def _knots(extent_mm: float, settings: PatchSettings) -> int:
    return max(2, round(extent_mm / settings.elastic_knots_mm) + 1)


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
