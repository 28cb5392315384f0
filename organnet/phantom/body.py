"""The outline of the body: skin, fat under it, ears, the bulk of muscle in nape and shoulders."""

import numpy as np

from organnet.phantom import anatomy
from organnet.phantom.painter import Canvas
from organnet.phantom.person import Person
from organnet.phantom.places import SIDES, jaw
from organnet.phantom.shapes import Blob, HalfSpace, Loft, Shape, Tube, Union, on_side

NOSE = ((0.0, -104.0, 22.0), (0.0, -116.0, 0.0), (0.0, -128.0, -14.0))


def trunk(person: Person, bottom: float = -1e3, top: float = 1e3) -> Shape:
    """The outline of the body with its fat, without nose, chin and ears, between two levels."""
    rows = []
    for z, y, half, front, back, *powers in anatomy.SKIN_LEVELS:
        fat = person.fat_mm * float(np.interp(z, (-130, -60, 10, 40), (1.6, 1.2, 0.7, 0.3)))
        fat = fat if z < 115 else 0.0
        if bottom <= z <= top:
            rows.append((z, y, half + fat, front + fat, back + fat, *powers))
    return Loft(tuple(rows))


def skin(person: Person, bottom: float = -1e3) -> Shape:
    """The outline of the body above a level, with nose and chin."""
    nose = Tube(NOSE, (6, 8, 9))
    base = Tube(((-10, -116, -16), (10, -116, -16)), 8)
    chin = Blob(jaw([(0, -108, -70)], person)[0], (22, 13, 15))
    brow = Blob((0, -101, 34), (34, 10, 9))
    shape = Union(trunk(person, bottom), Union(nose, base, 8), 6.0)
    shape = Union(Union(shape, chin, 6.0), brow, 6.0)
    for side, _ in SIDES:
        shape = shape - Blob((33 * side, -105, 25), (19, 11, 12))  # eye sockets
    return shape


def ear(person: Person, side: int) -> Shape:
    """Flap, rim and lobe of one ear, standing off the head."""
    at = 79 + person.fat_mm * 0.6
    flap = Blob((side * (at + 5), 9, -5), (1.4, 13, 23), turn=(0, 0, -30 * side))
    rim = ((at, -2, -24), (at + 7, 14, -16), (at + 11, 20, 2), (at + 8, 10, 16), (at + 2, 0, 10))
    return Union(flap, Tube(on_side(rim, side), (3.4, 2.2, 2.4, 2.4, 2.0)), 2.0)


def paint_body(canvas: Canvas, person: Person) -> None:
    """Skin over fat, with the thin sheet of the platysma in it; ears; the shoulders' bulk."""
    t = person.tissue
    sheet = ((2.0, t["fat"]), (4.6, t["septum"]), (5.4, t["fat"]))
    canvas.paint(skin(person), t["skin"], *sheet)
    canvas.paint(Tube(NOSE, (4, 6, 7)), t["cartilage"], (1.5, t["mucosa"]))
    for side, _ in SIDES:
        canvas.paint(ear(person, side), t["skin"])
    depth = 6.0 + max(person.fat_mm, -1) * 1.3
    neck, low = trunk(person, -190, 0), trunk(person, -1e3, -130)
    visceral = HalfSpace((0, 0, -12), (0, 0, 1)) & HalfSpace((0, 45, 0), (0, 1, 0))
    canvas.paint(neck.grown(-depth - 3) & visceral, t["areolar"])
    nape = HalfSpace((0, 2, -60), (0.4, -1, 0.1)) & HalfSpace((0, 2, -60), (-0.4, -1, 0.1))
    nape = nape & HalfSpace((0, 0, -12), (0, 0, 1))
    canvas.paint(neck.grown(-depth) & nape, t["muscle"])
    root = low.grown(-depth) & HalfSpace((0, 0, -152), (0, 0.25, 1))
    canvas.paint(root - Blob((0, -32, -155), (60, 48, 34)), t["muscle"])
    for side, _ in SIDES:
        temporal = Blob((66 * side, -34, 20), (10, 34, 38))
        canvas.paint(temporal & trunk(person).grown(-4.0), t["muscle"])
