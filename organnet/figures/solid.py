"""Organs as solid bodies behind translucent bone: a still of what the 3D view shows."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from organnet.figures.panel import MARKS, bare, draw_marks
from organnet.organs import organ
from organnet.surfaces import Surface

PIXEL_MM = 0.6
BONE_RGB = (0.93, 0.90, 0.82)
BONE_SHARE = 0.28
"""How much of the picture bone takes where it lies before an organ."""
BONE_GAP_MM = 3.0
"""Bone nearer to an organ's surface than this is the organ's own: the mandible stays one colour."""
AMBIENT, AMBIENT_PAINTED = 0.35, 0.65
"""Light in full shadow; more of it where colours are read against a colour bar."""
MOST_SAMPLES = 30
"""A triangle is filled with points, one a pixel or more, but no more than this along a side."""

Image = Float[np.ndarray, "rows columns 3"]
Colours = Float[np.ndarray, "n 3"]


def draw_solid(
    axes: Axes,
    organs: Mapping[str, Surface],
    bone: Surface | None,
    azimuth_degrees: float,
    title: str,
    paint: Mapping[str, Colours] | None = None,
) -> None:
    """Draw surfaces as seen from the front, the eye gone `azimuth_degrees` to the patient's left.

    Parallel projection, head up. The marks R and L say on which side the patient's right and left
    lie, which holds for an eye that is less than 90 degrees from the front. `paint`: see `render`.
    """
    picture, (wide, high) = render(organs, bone, azimuth_degrees, paint)
    axes.imshow(picture, extent=(0, wide, high, 0), interpolation="bilinear")
    axes.set_aspect("equal")
    bare(axes)
    draw_marks(axes, MARKS["coronal"])
    axes.set_title(title)


def render(
    organs: Mapping[str, Surface],
    bone: Surface | None,
    azimuth_degrees: float,
    paint: Mapping[str, Colours] | None = None,
) -> tuple[Image, tuple[float, float]]:
    """Picture in sRGB, 0 to 1, on black, and its width and height in mm.

    The nearest organ hides those behind it, and shines through the bone before it. `paint` gives
    sRGB, 0 to 1, by name for each point of a surface; an organ without has its own colour.
    """
    paint = paint or {}
    everything = [*organs.values(), *([bone] if bone is not None else [])]
    if not everything:
        return np.zeros((2, 2, 3)), (2 * PIXEL_MM, 2 * PIXEL_MM)
    axes = _eye(azimuth_degrees)
    points = np.concatenate([surface.points_mm @ axes.T for surface in everything])
    low, high = points[:, 1:].min(0) - 4, points[:, 1:].max(0) + 4
    shape = tuple(int(n) for n in np.ceil((high - low) / PIXEL_MM)[::-1])

    picture = np.zeros((*shape, 3))
    depth = np.full(shape, np.inf)
    for name, surface in organs.items():
        colours = paint[name] if name in paint else np.array([to_rgb(organ(name).colour)])
        lit, mine = _shade(surface, axes, low, shape, colours)
        nearer = mine < depth
        picture[nearer] = lit[nearer]
        depth[nearer] = mine[nearer]
    if bone is not None:
        lit, mine = _shade(bone, axes, low, shape, np.array([BONE_RGB]))
        before = mine < depth - BONE_GAP_MM
        share = np.where(np.isfinite(depth), BONE_SHARE, 0.75)[before, None]
        picture[before] = (1 - share) * picture[before] + share * lit[before]
    wide, tall = np.multiply(shape[::-1], PIXEL_MM)
    return picture.clip(0, 1)[::-1], (float(wide), float(tall))


def _eye(azimuth_degrees: float) -> Float[np.ndarray, "3 3"]:
    """Rows: away from the eye, to the picture's right, up; columns: the patient's z, y, x."""
    turn = np.deg2rad(azimuth_degrees)
    away = (0.0, np.cos(turn), -np.sin(turn))
    right = (0.0, np.sin(turn), np.cos(turn))
    return np.array([away, right, (1.0, 0.0, 0.0)])


def _shade(
    surface: Surface,
    axes: Float[np.ndarray, "3 3"],
    low: Float[np.ndarray, " 2"],
    shape: tuple[int, ...],
    colours: Colours,
) -> tuple[Image, Float[np.ndarray, "rows columns"]]:
    """Colour in its light and depth (mm, infinite where there is nothing) of a surface by pixel.

    There is one colour for each of the surface's points, or one for all.
    """
    corners = np.column_stack([surface.points_mm @ axes.T, surface.normals @ axes.T])
    painted = len(colours) > 1
    if painted:
        corners = np.column_stack([corners, colours])
    corners = corners[surface.triangles].astype(np.float32)
    facing = corners[..., 3].mean(1) < 0.1  # the far side of a closed surface is never seen
    sides = corners[facing, :, :3] - np.roll(corners[facing, :, :3], 1, axis=1)
    longest_mm = np.linalg.norm(sides, axis=2).max(initial=0)
    weights = _lattice(min(MOST_SAMPLES, int(np.ceil(longest_mm / PIXEL_MM)) + 1))
    samples = np.einsum("sk,tkc->tsc", weights, corners[facing])
    samples = samples.reshape(-1, corners.shape[-1])
    column, row = ((samples[:, 1:3] - low) / PIXEL_MM).astype(np.int64).T
    normal = samples[:, 3:6]
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    light = np.array((-0.80, -0.35, 0.48))  # from the eye's upper left
    ambient = AMBIENT_PAINTED if painted else AMBIENT
    shade = ambient + (1 - ambient) * np.clip(normal @ light, 0, 1)

    far_first = np.argsort(-samples[:, 0], kind="stable")
    at = (row[far_first], column[far_first])
    brightness, depth = np.zeros(shape), np.full(shape, np.inf)
    brightness[at] = shade[far_first]
    depth[at] = samples[far_first, 0]
    colour = np.zeros((*shape, 3))
    colour[at] = samples[far_first, 6:] if painted else colours
    return brightness[..., None] * colour, depth


def _lattice(n: int) -> Float[np.ndarray, "s 3"]:
    """Weights of a triangle's corners at points spread evenly over it, n + 1 along a side."""
    pairs = [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]
    return np.array([(i, j, n - i - j) for i, j in pairs], np.float32) / n
