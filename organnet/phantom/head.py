"""The skull and what lies in it: brain and its spaces, eyes, optic nerves, brain stem, chiasm."""

import numpy as np

from organnet.organs import organ
from organnet.phantom import anatomy
from organnet.phantom.body import skin
from organnet.phantom.painter import Canvas
from organnet.phantom.person import Person
from organnet.phantom.places import SIDES, moved
from organnet.phantom.shapes import Blob, HalfSpace, Loft, Point, Shape, Tube, Union, on_side


def vault() -> Shape:
    """The inside of the skull's dome."""
    return Blob((0, -3, 30), (67, 85, 74.5), lower=(67, 84, 40), power=2.25)


def cavity() -> Shape:
    """The inside of the skull: three fossae."""
    floor = HalfSpace((0, -70, 30), (0, -0.33, -1.0))
    shape = vault() & floor
    for side, _ in SIDES:
        shape = Union(shape, Blob((37 * side, -26, 9), (27, 29, 16), power=2.5), 4.0)
    return Union(shape, Blob((0, 36, 3), (58, 42, 32), power=2.2), 4.0)


def brain_stem(person: Person) -> Shape:
    """The brain stem, as wide and deep as the person's factor says."""
    k = person.size["BrainStem"]
    shift = person.place["BrainStem"]
    rows = tuple(
        (z * (1 + 0.5 * (k - 1)) + shift[2], y + shift[1], w * k, f * k, b * k, *powers)
        for z, y, w, f, b, *powers in anatomy.BRAIN_STEM_LEVELS
    )
    return Loft(rows, centre_x=shift[0])


def paint_skull(canvas: Canvas, person: Person) -> None:
    """Dome with diploe, base, petrous bones, mastoid cells, clivus; the inside filled with CSF."""
    t = person.tissue
    inside, dome = cavity(), vault()
    middle = Blob((0, -34, -1), (40, 16, 12), power=3)
    canvas.paint(middle, t["cortex"], (2.0, t["marrow"]))
    above = HalfSpace((0, 0, 6), (0, -0.33, -1.0))
    bone = Union(inside.grown(2.8), dome.grown(7.5) & above, 4.0)
    canvas.paint(bone, t["cortex"], (2.0, t["diploe"]))
    canvas.paint(Tube(((0, 81, -2), (0, 78, 12)), (4.5, 4)), t["cortex"])
    for side, _ in SIDES:
        canvas.paint(Blob((58 * side, 12, -19), (11, 15, 18)), t["cortex"], (2.5, t["cells"]))
        canvas.paint(Tube(on_side(((88, 1, -11), (56, -2, -9)), side), 3.2), t["air"])
        canvas.paint(Blob((50 * side, -4, -7), (8, 5, 5)), t["air"], (1, t["cells"]))
        canvas.paint(
            Blob((44 * side, -24, -6), (24, 9, 4), turn=(0, 0, 8 * side)), t["cortex"]
        )  # the roof of the jaw joint
        styloid = on_side(((45, -14, -20), (40, -22, -46)), side)
        canvas.paint(Tube(styloid, (2.2, 1.2)), t["cortex"])
    canvas.paint(inside.grown(2.0), t["cortex"], (2.6, t["fluid"]))
    for side, _ in SIDES:
        petrous = on_side(((57, 5, -10), (36, -7, -7), (14, -17, -4)), side)
        canvas.paint(Tube(petrous, (13, 10, 5)), t["cortex"], (3, t["marrow"]))
        canvas.paint(Blob((44 * side, -2, -9), (5, 3, 3)), t["cells"])
        beside = on_side(((40, 8, -22), (24, 4, -24), (17, 2, -26)), side)
        canvas.paint(Tube(beside, (6, 6, 5)), t["cortex"], (2, t["diploe"]))
        canvas.paint(
            Tube(on_side(((32, -46, 19), (14, -31, 17)), side), (2.5, 2)), t["cortex"]
        )  # lesser wing and clinoid process
    clivus = Tube(((0, -25, 12), (0, -19, -8), (0, -13, -28)), (6, 5, 4), stretch=(2.2, 1, 1))
    canvas.paint(clivus, t["cortex"], (1.5, t["diploe"]))
    canvas.paint(Tube(((0, 78, 6), (0, 72, -14), (0, 56, -27)), (4, 5, 5)), t["cortex"])
    canvas.paint(Tube(((0, 4, -18), (0, 3, -44)), (18, 13.5), stretch=(1, 0.85, 1)), t["fluid"])


def paint_brain(canvas: Canvas, person: Person) -> None:
    """Cerebrum, cerebellum, ventricles, cisterns; then brain stem and chiasm in their cisterns."""
    t = person.tissue
    base = HalfSpace((0, -70, 31), (0, -0.33, -1.0))
    cerebrum = (vault().grown(-2.2) & base) - (
        HalfSpace((0, 15, 22), (0, 0.3, 1.0)) & HalfSpace((0, 12, 0), (0, -1, 0))
    )
    cerebellum = Blob((0, 37, 2), (52, 36, 27), power=2.2)
    for side, _ in SIDES:
        lobe = Blob((37 * side, -26, 9), (25.3, 27.3, 14.5), power=2.5)
        canvas.paint(lobe, t["grey"], (4, t["white"]))
    canvas.paint(cerebrum, t["grey"], (5, t["white"]))
    canvas.paint(cerebellum, t["grey"], (8, t["white"]))
    canvas.paint(Blob((0, -6, 46), (26, 26, 14)), t["grey"])
    canvas.paint(Blob((0, -24, 25), (15, 12, 8), power=2.5), t["fluid"])
    canvas.paint(Blob((0, -19, 4), (16, 6, 22)), t["fluid"])
    canvas.paint(Blob((0, 18, 23), (19, 8, 6)), t["fluid"])
    canvas.paint(Blob((0, 36, 88), (0.9, 45, 20)), t["mucosa"])
    canvas.paint(Blob((0, -10, 78), (1.3, 75, 26)), t["fluid"])
    width = tuple(person.size["ventricle"] * r for r in (5, 5, 4.5, 6, 2.5))
    for side, _ in SIDES:
        fissure = on_side(((28, -34, 30), (46, -30, 32), (58, -8, 42)), side)
        canvas.paint(Tube(fissure, (2.2, 1.8, 1.4), stretch=(1, 2, 1)), t["fluid"])
        ventricle = on_side(
            ((6, -44, 50), (8, -20, 58), (11, 10, 57), (21, 30, 46), (29, 18, 31)), side
        )
        canvas.paint(Tube(ventricle, width, stretch=(1, 1, 1.4)), t["fluid"])
    canvas.paint(Blob((0, -8, 40), (2.4, 14, 10)), t["fluid"])
    if "calcified" in person.traits:
        for spot in ((0, 22, 33), (20, 32, 44), (-20, 32, 44)):
            canvas.paint(Blob(spot, (2, 2, 2)), t["diploe"])
    for side, _ in SIDES:
        canvas.paint(Tube(on_side(((8, 2, 0), (22, 16, -2)), side), (11, 9)), t["white"])
    stem = brain_stem(person)
    canvas.paint(
        stem.grown(2.8) - HalfSpace((0, 0, -9), (0, 0.5, 1)) - HalfSpace((0, 0, 24), (0, 0, -1)),
        t["fluid"],
    )
    canvas.paint(Blob((0, 4, 34), (22, 18, 17)), t["grey"])  # thalami, on top of the brain stem
    canvas.paint(Tube(((0, 2, -36), (0, 3, -60)), (6.3, 5.8), stretch=(1.1, 0.95, 1)), t["cord"])
    canvas.paint(stem, t["stem"], label=organ("BrainStem").label)
    canvas.paint(Tube(((0, 15.5, -8), (0, 14.5, 8)), (3, 2.4), stretch=(1.8, 1, 1)), t["fluid"])
    canvas.paint(Tube(((0, 13, 12), (0, 11, 22)), 1.3), t["fluid"])
    canvas.paint(Tube(((0, -15.5, -22), (0, -16.5, 16)), 1.7), t["vessel"])
    _paint_chiasm(canvas, person)


def _paint_chiasm(canvas: Canvas, person: Person) -> None:
    t, k = person.tissue, person.size["Chiasm"]
    stalk = Tube(((0, -27, 24), (0, -32, 16)), 1.3)
    canvas.paint(stalk, t["chiasm"])
    canvas.paint(Blob((0, -33, 14), (6.5, 5, 4)), t["vessel"])  # pituitary gland
    shape = None
    for side, _ in SIDES:
        arm = moved(on_side(anatomy.CHIASM_ARM, side), person.place["Chiasm"])
        canvas.paint(
            Tube(on_side(((14, -30, 18), (14, -29, 26), (24, -30, 30)), side), 2.1),
            t["blood" if "contrast" in person.traits else "vessel"],
        )  # carotid siphon
        tract = (arm[-1], *on_side(((13.5, -11, 27.5),), side))
        canvas.paint(Tube(tract, (2.2, 1.8)), t["chiasm"])
        half = Tube(arm, tuple(k * r for r in (2.0, 2.5, 1.9)))
        shape = half if shape is None else Union(shape, half, 1.5)
    canvas.paint(shape, t["chiasm"], label=organ("Chiasm").label)


def paint_orbits(canvas: Canvas, person: Person) -> None:
    """Bony cone and rim, fat, globe with lens, four straight muscles, optic nerve."""
    t = person.tissue
    outline = skin(person, -150)
    for side, letter in SIDES:
        cone = on_side(((32, -84, 26), (25, -62, 26), (15, -43, 24.5)), side)
        canvas.paint(Tube(cone, (19.4, 14.4, 6.0)), t["cortex"])
        strut = on_side(((51, -79, 24), (47, -62, 20), (44, -50, 12)), side)
        canvas.paint(Tube(strut, (3.5, 3, 4), stretch=(1, 1, 2)), t["cortex"], (2, t["diploe"]))
        angles = np.linspace(0, 2 * np.pi, 13)
        rim = tuple(
            (32 + 20.5 * np.cos(a), -88 + 13 * np.cos(a) - 1.5 * np.sin(a), 26 + 19.5 * np.sin(a))
            for a in angles
        )
        canvas.paint(Tube(on_side(rim, side), 2.7), t["cortex"], (1.6, t["diploe"]))
        fat = moved(cone, (0, -1, 0))
        fat = ((fat[0][0], fat[0][1] - 10, fat[0][2]), *fat)
        canvas.paint(Tube(fat, (16, 18, 13, 4.6)) & outline, t["fat"])
        globe = tuple(
            float(c + p)
            for c, p in zip((30.5 * side, -79.5, 28), person.place["globe"], strict=True)
        )
        radius = 12.3 * person.size["globe"]
        apex = (16 * side, -45, 25)
        for dx, dz in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            belly = (globe[0] + dx * 11 - side * 3, globe[1] + 14, globe[2] + dz * 10)
            end = (globe[0] + dx * 11.5, globe[1] + 2, globe[2] + dz * 11.5)
            flat = (0.7, 1, 1.3) if dx else (1.3, 1, 0.7)
            canvas.paint(Tube((apex, belly, end), (1.2, 2.3, 1.4), stretch=flat), t["muscle"])
        lid = Blob((globe[0], globe[1] - 11, globe[2]), (19, 5, 13))
        canvas.paint(lid & outline, t["skin"])
        _paint_nerve(canvas, person, globe, side, letter)
        canvas.paint(Blob(globe, (radius,) * 3), t["sclera"], (1.6, t["vitreous"]))
        lens = (globe[0], globe[1] - 0.72 * radius, globe[2])
        canvas.paint(Blob(lens, (4.6, 2.1, 4.6)), t["lens"])
        gland = (globe[0] + 11 * side, globe[1] + 1, globe[2] + 9)
        canvas.paint(Blob(gland, (3, 6, 6)), t["lymphoid"])


def _paint_nerve(canvas: Canvas, person: Person, globe: Point, side: int, letter: str) -> None:
    """From the back of the globe, through the canal, to the front of the chiasm."""
    name = f"OpticNerve_{letter}"
    course = np.array(moved(on_side(anatomy.OPTIC_NERVE, side), person.place[name]))
    start = np.array(globe) + np.array([-3 * side, 11.0 * person.size["globe"], 0])
    end = np.array(on_side(anatomy.CHIASM_ARM, side)[0]) + np.array(person.place["Chiasm"])
    back = np.linspace(0, 1, len(course))[:, None]
    course += (1 - back) ** 2 * (start - course[0]) + back**2 * (end - course[-1])
    radii = tuple(r * person.size[name] for r in anatomy.OPTIC_NERVE_RADII)
    canal = Tube(tuple(map(tuple, course[4:7].tolist())), 4.6)
    canvas.paint(canal, person.tissue["cortex"], (1.0, person.tissue["fluid"]))
    nerve = Tube(tuple(map(tuple, course.tolist())), radii)
    cut = HalfSpace(tuple((end + np.array([0, -1.0, 0])).tolist()), (0, 1, 0))
    canvas.paint(nerve & cut, person.tissue["nerve"], label=organ(name).label)
