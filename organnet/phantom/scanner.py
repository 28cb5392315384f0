"""What the scanner adds to a painted anatomy: couch, blur, noise, metal streaks, whole HU."""

import numpy as np
from jaxtyping import Float32, Int16
from scipy import ndimage

from organnet.phantom.painter import Grid
from organnet.phantom.shapes import Point

LOWEST, HIGHEST = -1024, 3071  # what 12 bits hold


def add_couch(hu: Float32[np.ndarray, "z y x"], grid: Grid, back_mm: float, headrest: bool) -> None:
    """Paint the table (and a foam head rest) behind the patient, in place; only where there is air.

    Args:
        hu: the volume to paint on.
        grid: its geometry.
        back_mm: scanner y of the patient's back.
        headrest: whether a hollow cushion carries the head.
    """
    y, x = np.meshgrid(grid.axis(1), grid.axis(2), indexing="ij")
    pixel = np.float32(grid.spacing_mm[2])
    top = back_mm + 9 + (x / 260) ** 2 * -14
    board = np.abs(y - top - 11) - 11
    board = np.maximum(board, np.abs(x) - 235)
    plane = np.full_like(x, -1000)
    shell = np.clip(0.5 - (np.abs(board) - 0.9) / pixel, 0, 1)
    inside = np.clip(0.5 - board / pixel, 0, 1)
    plane += inside * 60 + shell * 780
    rails = np.hypot(np.abs(x) - 225, (y - back_mm - 20) * 1.2) - 7
    plane += np.clip(0.5 - rails / pixel, 0, 1) * 900
    lift = np.zeros(grid.shape[0], np.float32)
    if headrest:
        lift = np.clip((grid.axis(0) + 45) / 30, 0, 1)
    ring = np.abs(np.hypot(x / 1.25, y - (back_mm - 66)) - 75) - 1.2
    ring = np.where((y > back_mm - 40) & (y < top), ring, np.float32(9))
    rest = np.clip(0.5 - ring / pixel, 0, 1) * 480
    both = plane[None] + lift[:, None, None] * rest[None]
    np.copyto(hu, np.maximum(hu, both), where=hu < -900)


def blur(hu: Float32[np.ndarray, "z y x"], grid: Grid) -> Float32[np.ndarray, "z y x"]:
    """The scanner's finite sharpness: about 0.6 mm in the plane, a third of a slice across."""
    for axis, sigma in ((0, 0.45), (1, 0.6 / grid.spacing_mm[1]), (2, 0.6 / grid.spacing_mm[2])):
        side = np.exp(-0.5 / max(sigma, 0.3) ** 2)
        kernel = np.array([side, 1, side], np.float32) / np.float32(1 + 2 * side)
        hu = ndimage.correlate1d(hu, kernel, axis, mode="nearest")
    return hu


def add_noise(
    hu: Float32[np.ndarray, "z y x"],
    grid: Grid,
    level_hu: float,
    rng: np.random.Generator,
) -> None:
    """Add noise of a reconstruction's texture in place; stronger and streaky where x is thick."""
    noise = rng.standard_normal(hu.shape, np.float32)
    for axis in (1, 2):
        noise = ndimage.correlate1d(noise, np.array([0.3, 1, 0.3], np.float32), axis, mode="wrap")
    noise -= ndimage.uniform_filter1d(ndimage.uniform_filter1d(noise, 5, 1), 5, 2)
    noise *= np.float32(level_hu) / noise[::4].std()
    tissue = (hu[:, ::4, ::4] > -500).astype(np.float32)
    width = tissue.sum(2).max(1) * 4 * grid.spacing_mm[2]
    thick = np.clip((width - 190) / 200, 0, 1).astype(np.float32)
    for k in np.flatnonzero(thick):
        streaks = ndimage.uniform_filter1d(rng.standard_normal(hu.shape[1:], np.float32), 25, 1)
        noise[k] = noise[k] * (1 + 0.8 * thick[k]) + 80 * thick[k] * streaks
    hu += noise


def add_metal(
    hu: Float32[np.ndarray, "z y x"],
    grid: Grid,
    metal: list[Point],
    rng: np.random.Generator,
) -> None:
    """Metal fillings with the streaks they throw over their slices, in place.

    Each filling throws a star of fine bright and dark rays; dark bands join fillings to each other,
    as beam hardening and photon starvation do.
    """
    if not metal:
        return
    y, x = np.meshgrid(grid.axis(1), grid.axis(2), indexing="ij")
    reach = 3.0 + grid.spacing_mm[0] / 2
    heights = grid.axis(0)
    stars = []
    for at in metal:
        rays = ndimage.gaussian_filter1d(
            rng.standard_normal(720).astype(np.float32), 2.2, mode="wrap"
        )
        rays = rays / rays.std() + 0.5 * np.roll(rays, 360) / rays.std()
        angle = np.arctan2(y - at[1], x - at[0]) * (360 / np.pi)
        near = np.hypot(y - at[1], x - at[0])
        star = rays[angle.astype(np.int16) % 720] * 300 / (1 + near / 22) * np.exp(-near / 120)
        for other in metal:
            dx, dy = other[0] - at[0], other[1] - at[1]
            length = float(np.hypot(dx, dy))
            if length > 8:
                off = ((x - at[0]) * dy - (y - at[1]) * dx) / length
                along = ((x - at[0]) * dx + (y - at[1]) * dy) / length
                past = np.maximum(np.maximum(-along, along - length), 0)
                star = star - 260 * np.exp(-0.5 * (off / 5) ** 2 - past / 25)
                star = star + 90 * np.exp(-0.5 * ((np.abs(off) - 12) / 4) ** 2 - past / 30)
        core = np.clip(0.5 - (near - 3.4) / np.float32(grid.spacing_mm[2]), 0, 1) * 7000
        stars.append((at[2], star + core))
    for k, height in enumerate(heights):
        for z, star in stars:
            share = np.clip(1.3 - abs(height - z) / reach, 0, 1)
            if share > 0:
                hu[k] += share * star


def to_int16(hu: Float32[np.ndarray, "z y x"]) -> Int16[np.ndarray, "z y x"]:
    """Whole HU within what a scanner stores."""
    return np.clip(np.rint(hu), LOWEST, HIGHEST).astype(np.int16)
