"""Implicit shapes: each knows its box and, for any point, its signed distance in mm (inside < 0).

Points are (x, y, z) in mm, as an anatomist writes them: x to the patient's left, y to the back,
z to the head. Distances are exact for tubes of one radius and first-order elsewhere: good within
a few mm of the surface, which is where partial volume is decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32
from scipy.interpolate import PchipInterpolator

from organnet.boxes import box_of

Point = tuple[float, float, float]
Field = Float32[np.ndarray, "*grid"]
"""One number per point of some grid."""


class Shape:
    """A solid. `a | b` joins, `a & b` intersects, `a - b` cuts b out, `a.grown(mm)` offsets."""

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Corners (lowest, highest) of a box around the solid, in mm."""
        raise NotImplementedError

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance in mm at the points, negative inside."""
        raise NotImplementedError

    def __or__(self, other: "Shape") -> "Shape":
        return Union(self, other)

    def __and__(self, other: "Shape") -> "Shape":
        return Intersection(self, other)

    def __sub__(self, other: "Shape") -> "Shape":
        return Difference(self, other)

    def grown(self, mm: float) -> "Shape":
        """The solid with its surface moved outwards by `mm` (inwards where negative)."""
        return Grown(self, mm)


@dataclass(frozen=True)
class Blob(Shape):
    """Super-ellipsoid; each half-axis may differ between its two sides, like an egg's.

    Attributes:
        centre: where the six half-axes meet.
        radii: half-axes towards +x, +y, +z.
        lower: half-axes towards -x, -y, -z; as `radii` where not given.
        power: 2 is an ellipsoid, more is boxier.
        turn: degrees about the x, y and z axes, applied in that order.
    """

    centre: Point
    radii: Point
    lower: Point | None = None
    power: float = 2.0
    turn: Point = (0.0, 0.0, 0.0)

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        centre, high = np.array(self.centre, float), np.array(self.radii, float)
        low = high if self.lower is None else np.array(self.lower, float)
        if any(self.turn):
            low = high = np.full(3, np.maximum(low, high).max())
        return np.stack([centre - low, centre + high])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        offsets = [x - self.centre[0], y - self.centre[1], z - self.centre[2]]
        if any(self.turn):
            back = rotation(self.turn).T.astype(np.float32)
            offsets = [sum(back[i, j] * offsets[j] for j in range(3)) for i in range(3)]
        level, slope = np.float32(0), np.float32(0)
        for axis, offset in enumerate(offsets):
            radius = np.float32(self.radii[axis])
            if self.lower is not None and self.lower[axis] != self.radii[axis]:
                radius = np.where(offset < 0, np.float32(self.lower[axis]), radius)
            scaled = np.abs(offset) / radius
            if self.power == 2:
                level = level + scaled**2
                slope = slope + (scaled / radius) ** 2
            else:
                grade = scaled ** np.float32(self.power - 1)
                level = level + grade * scaled
                slope = slope + (grade / radius) ** 2
        level = np.maximum(level, np.float32(1e-6)) ** np.float32(1 / self.power)
        slope = np.sqrt(slope) * level ** np.float32(1 - self.power)
        return (level - 1) / np.maximum(slope, np.float32(1e-4))


@dataclass(frozen=True)
class Tube(Shape):
    """Capsules strung along a polyline; the radius runs linearly from point to point.

    Attributes:
        points: the centre line.
        radii: one per point, or one for all.
        stretch: the cross-section is this much larger along x, y, z (plates, ribbons).
    """

    points: Sequence[Point]
    radii: float | Sequence[float]
    stretch: Point = (1.0, 1.0, 1.0)

    @cached_property
    def _radii(self) -> Float[np.ndarray, " points"]:
        return np.broadcast_to(np.asarray(self.radii, float), (len(self.points),))

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        points = np.asarray(self.points, float)
        reach = self._radii[:, None] * np.array(self.stretch)
        return np.stack([(points - reach).min(0), (points + reach).max(0)])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        stretch = np.asarray(self.stretch, np.float32)
        points = (np.asarray(self.points, np.float32) / stretch).tolist()
        x, y, z = (c / s if s != 1 else c for c, s in zip((x, y, z), stretch, strict=True))
        nearest = None
        for k in range(len(points) - 1):
            along = _segment(points[k], points[k + 1], self._radii[k : k + 2], x, y, z)
            nearest = along if nearest is None else np.minimum(nearest, along)
        return nearest


def _segment(
    start: list[float],
    end: list[float],
    radii: Float[np.ndarray, " 2"],
    x: Field,
    y: Field,
    z: Field,
) -> Field:
    """Distance to one tapered capsule."""
    step = [b - a for a, b in zip(start, end, strict=True)]
    first, last = radii.astype(np.float32)
    length2 = max(sum(s * s for s in step), 1e-9)
    dx, dy, dz = x - start[0], y - start[1], z - start[2]
    t = dx * (step[0] / length2) + dy * (step[1] / length2) + dz * (step[2] / length2)
    np.clip(t, 0, 1, out=t)
    dx, dy, dz = dx - t * step[0], dy - t * step[1], dz - t * step[2]
    return np.sqrt(dx * dx + dy * dy + dz * dz) - (first + t * (last - first))


@dataclass(frozen=True)
class Loft(Shape):
    """A stack of egg-shaped outlines, one per level in z, smoothly joined, flat at both ends.

    Attributes:
        levels: rows of (z, centre y, half-width in x, reach to the front, reach to the back,
            power of the front half, power of the back half), z ascending. The power is that of
            a super-ellipse: 1 is a diamond, 2 an ellipse, 4 nearly a rectangle.
        centre_x: shift of all outlines in x.
    """

    levels: tuple[tuple[float, ...], ...]
    centre_x: float = 0.0

    STEP = 0.5  # mm between rows of the table that is looked up

    @cached_property
    def _table(self) -> Float32[np.ndarray, "rows 6"]:
        levels = np.asarray(self.levels, float)
        z = np.arange(levels[0, 0], levels[-1, 0] + self.STEP, self.STEP)
        z = np.minimum(z, levels[-1, 0])
        return PchipInterpolator(levels[:, 0], levels[:, 1:])(z).astype(np.float32)

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        y, half, front, back = self._table[:, :4].T.astype(float)
        low = [self.centre_x - half.max(), (y - front).min(), self.levels[0][0]]
        high = [self.centre_x + half.max(), (y + back).max(), self.levels[-1][0]]
        return np.array([low, high])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        bottom, top = self.levels[0][0], self.levels[-1][0]
        row = np.clip((z - bottom) / self.STEP, 0, len(self._table) - 1).astype(np.intp)
        centre, half, front, back, power_front, power_back = (
            np.take(np.ascontiguousarray(column), row) for column in self._table.T
        )
        dx, dy = x - np.float32(self.centre_x), y - centre
        ahead = dy < 0
        power = np.where(ahead, power_front, power_back)
        level = np.abs(dx / half) ** power
        level += np.abs(dy / np.where(ahead, front, back)) ** power
        np.maximum(level, np.float32(1e-6), out=level)
        sideways = np.maximum(np.hypot(dx, dy), np.float32(0.01)) * (1 - level ** (-1 / power))
        return np.maximum(sideways, np.maximum(z - top, bottom - z))


@dataclass(frozen=True)
class HalfSpace(Shape):
    """All points p with normal . (p - point) < 0; only to cut other shapes with."""

    point: Point
    normal: Point

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        box = np.array([[-1e4] * 3, [1e4] * 3])
        for axis in np.flatnonzero(self.normal):
            if np.count_nonzero(self.normal) == 1:
                box[int(self.normal[axis] > 0), axis] = self.point[axis]
        return box

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        a, b, c = np.asarray(self.normal) / np.linalg.norm(self.normal)
        px, py, pz = self.point
        return (a * (x - px) + b * (y - py) + c * (z - pz)).astype(np.float32)


@dataclass(frozen=True)
class Union(Shape):
    """Points in either solid, with the crease between them rounded by `blend` mm.

    The other is looked at only where it is near: further than NEAR mm outside of its box, the
    distance is that to the one. So put the larger solid first.
    """

    one: Shape
    other: Shape
    blend: float = 0.0

    NEAR = 12.0

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        a, b = self.one.bounds, self.other.bounds
        return np.stack([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        joined = self.one.distance(x, y, z)
        low, high = self.other.bounds + np.array([[-1], [1]]) * (self.NEAR + self.blend)
        box = _where_inside((x, y, z), low, high)
        if box is None:
            return joined
        a, b = joined[box], self.other.distance(x[box], y[box], z[box])
        nearer = np.minimum(a, b)
        if self.blend:
            overlap = np.maximum(np.float32(self.blend) - np.abs(a - b), 0)
            nearer -= overlap * overlap * np.float32(0.25 / self.blend)
        joined[box] = nearer
        return joined


def _where_inside(
    points: Sequence[Field], low: Float[np.ndarray, " 3"], high: Float[np.ndarray, " 3"]
) -> tuple[slice, ...] | None:
    """Slices around the points that lie in a box; None where none does."""
    inside = np.ones(points[0].shape, bool)
    for coordinate, lowest, highest in zip(points, low, high, strict=True):
        inside &= coordinate > lowest
        inside &= coordinate < highest
    return box_of(inside)


@dataclass(frozen=True)
class Intersection(Shape):
    """Points in both solids."""

    one: Shape
    other: Shape

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        a, b = self.one.bounds, self.other.bounds
        return np.stack([np.maximum(a[0], b[0]), np.minimum(a[1], b[1])])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        return np.maximum(self.one.distance(x, y, z), self.other.distance(x, y, z))


@dataclass(frozen=True)
class Difference(Shape):
    """Points in the one and not in the other."""

    one: Shape
    other: Shape

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        return self.one.bounds

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        return np.maximum(self.one.distance(x, y, z), -self.other.distance(x, y, z))


@dataclass(frozen=True)
class Grown(Shape):
    """A solid with its surface moved outwards by `mm`."""

    solid: Shape
    mm: float

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        return self.solid.bounds + np.array([[-self.mm], [self.mm]])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        return self.solid.distance(x, y, z) - np.float32(self.mm)


def rotation(degrees: Point) -> Float[np.ndarray, "3 3"]:
    """Rotation about x, then y, then z, for column vectors (x, y, z)."""
    (a, b, c), (d, e, f) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    about_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    about_z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def on_side(points: Sequence[Point], side: int) -> tuple[Point, ...]:
    """Points given for the patient's left (side = 1), mirrored for the right (side = -1)."""
    return tuple((side * x, y, z) for x, y, z in points)
