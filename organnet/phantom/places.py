"""Places that several parts of the body share: the two sides, and where the jaw has moved to."""

import numpy as np

from organnet.phantom import anatomy
from organnet.phantom.person import Person
from organnet.phantom.shapes import Point, rotation

SIDES = ((1, "L"), (-1, "R"))


def moved(points, by: Point) -> tuple[Point, ...]:
    """Points shifted by a vector."""
    return tuple(tuple(float(p + b) for p, b in zip(point, by, strict=True)) for point in points)


def jaw(points, person: Person) -> tuple[Point, ...]:
    """Points of the lower jaw after it has been opened and shifted."""
    hinge = np.array((0.0, *anatomy.MANDIBLE_CONDYLE[1:]))
    turn = rotation((person.jaw_turn, 0, 0))
    moved_points = (np.asarray(points, float) - hinge) @ turn.T + hinge + person.jaw_shift
    return tuple(map(tuple, moved_points.tolist()))
