"""The outline of the body: skin, fat under it, ears, the bulk of muscle in nape and shoulders."""

import numpy as np

from organnet.phantom import anatomy
from organnet.phantom.painter import Canvas
from organnet.phantom.person import Person
from organnet.phantom.places import SIDES, jaw
from organnet.phantom.shapes import Blob, HalfSpace, Loft, Shape, Tube, Union, on_side


def skin(person: Person) -> Shape:
    """The outline of the body with its fat, nose and ears."""
    rows = []
    for z, y, half, front, back, *powers in anatomy.SKIN_LEVELS:
        fat = person.fat_mm * float(np.interp(z, (-130, -60, 10, 40), (1.6, 1.2, 0.7, 0.3)))
        fat = fat if z < 115 else 0.0
        rows.append((z, y, half + fat, front + fat, back + fat, *powers))
    nose = Tube(((0, -104, 22), (0, -116, 0), (0, -128, -14)), (6, 8, 9))
    base = Tube(((-10, -116, -16), (10, -116, -16)), 8)
    chin = Blob(jaw([(0, -108, -70)], person)[0], (22, 13, 15))
    brow = Blob((0, -101, 34), (34, 10, 9))
    shape = Union(Loft(tuple(rows)), Union(Union(nose, base, 8), chin, 1), 6.0)
    return Union(shape, brow, 6.0)


def ear(person: Person, side: int) -> Shape:
    """Flap, rim and lobe of one ear, standing off the head."""
    at = 79 + person.fat_mm * 0.6
    flap = Blob((side * (at + 5), 9, -5), (1.4, 13, 23), turn=(0, 0, -30 * side))
    rim = ((at, -2, -24), (at + 7, 14, -16), (at + 11, 20, 2), (at + 8, 10, 16), (at + 2, 0, 10))
    return Union(flap, Tube(on_side(rim, side), (3.4, 2.2, 2.4, 2.4, 2.0)), 2.0)


def paint_body(canvas: Canvas, person: Person) -> None:
    """Skin over fat, with the thin sheet of the platysma in it; ears; the shoulders' bulk."""
    t = person.tissue
    outline = skin(person)
    canvas.paint(outline, t["skin"], (2.0, t["fat"]))
    for side, _ in SIDES:
        canvas.paint(ear(person, side), t["skin"])
    depth = 6.0 + max(person.fat_mm, -1) * 1.3
    shoulders = HalfSpace((0, 0, -158), (0, 0.25, 1))
    nape = (
        HalfSpace((0, 2, -60), (0.4, -1, 0.1))
        & HalfSpace((0, 2, -60), (-0.4, -1, 0.1))
        & HalfSpace((0, 0, -12), (0, 0, 1))
    )
    canvas.paint(outline.grown(-depth) & Union(shoulders, nape), t["muscle"])
    for side, _ in SIDES:
        temporal = Blob((66 * side, -34, 20), (10, 34, 38))
        canvas.paint(temporal & outline.grown(-4.0), t["muscle"])
