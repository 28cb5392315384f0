"""The face: nose, sinuses, both jaws with teeth, cheek bones, chewing muscles, glands."""

import numpy as np

from organnet.organs import organ
from organnet.phantom import anatomy
from organnet.phantom.painter import Canvas
from organnet.phantom.person import Person
from organnet.phantom.places import SIDES, jaw, moved
from organnet.phantom.shapes import Blob, HalfSpace, Point, Shape, Tube, Union, on_side

ARCH = ((27.0, -62.0), (25.0, -76.0), (21.0, -89.0), (12.0, -99.0), (0.0, -103.0))
"""(x, y) of the left half of a row of teeth, from the last molar to the middle."""


def mandible(person: Person) -> Shape:
    """Body, rami, condyles, coronoid processes."""
    k = person.size["Mandible"]
    shape = None
    for side, _ in SIDES:
        body = Tube(
            jaw(on_side(anatomy.MANDIBLE_BODY, side), person),
            tuple(k * r for r in (7.0, 6.8, 6.1, 5.9, 5.8, 5.2, 4.0)),
            stretch=(1, 1, 2.1),
        )
        plate = on_side(((44, -45, -57), (46.5, -45, -33)), side)
        ramus = Tube(jaw(plate, person), (4.0 * k, 3.7 * k), stretch=(1, 3.5, 1))
        neck = on_side(((46.8, -36, -38), (50, -25.5, -16)), side)
        neck = Tube(jaw(neck, person), (3.6 * k, 3.4 * k), stretch=(1, 1.7, 1))
        coronoid = on_side(((46.2, -51, -36), anatomy.MANDIBLE_CORONOID), side)
        coronoid = Tube(jaw(coronoid, person), (3.2 * k, 1.8 * k), stretch=(0.9, 2, 1))
        condyle = jaw(on_side((anatomy.MANDIBLE_CONDYLE,), side), person)[0]
        condyle = Blob(condyle, (8.5 * k, 4.6 * k, 5.0 * k), turn=(0, 0, 12 * side))
        half = Union(Union(body, ramus, 3.0), Union(neck, condyle, 2.0), 3.0)
        half = Union(half, coronoid, 2.0)
        shape = half if shape is None else Union(shape, half, 2.0)
    return shape


def paint_face(canvas: Canvas, person: Person) -> None:
    """Everything of the face but the eyes, from the deep to the shallow."""
    _paint_upper_jaw(canvas, person)
    _paint_nose(canvas, person)
    _paint_mouth(canvas, person)


def _paint_upper_jaw(canvas: Canvas, person: Person) -> None:
    t = person.tissue
    for side, _ in SIDES:
        cheek = on_side(((68, -22, -9), (69, -48, -8), (58, -72, -5), (46, -84, 0)), side)
        canvas.paint(Tube(cheek, (2.6, 2.6, 4, 6), stretch=(0.8, 1, 1.5)), t["cortex"])
        canvas.paint(Blob((47 * side, -80, -4), (7, 7, 9)), t["cortex"], (1.5, t["diploe"]))
        sinus = Blob((30 * side, -70, -6), (20, 23, 16), lower=(20, 23, 18), power=3)
        for point, normal in (
            ((14, 0, 0), (-1, 0, 0)), ((38, -86, 0), (0.75, -0.65, -0.2)),
            ((38, -58, 0), (0.8, 0.6, -0.35)),
        ):  # fmt: skip
            (point,), (normal,) = on_side((point,), side), on_side((normal,), side)
            sinus = sinus & HalfSpace(point, normal)
        canvas.paint(sinus.grown(1.1), t["cortex"])
        canvas.paint(sinus, t["air"])
        if "sinusitis" in person.traits:
            canvas.paint(sinus & HalfSpace((0, -62, -14), (0, -0.6, 1)), t["mucosa"])
        plate = on_side(((16, -46, -8), (18, -45, -32)), side)
        canvas.paint(Tube(plate, 1.8, stretch=(1, 3, 1)), t["cortex"])
        frontal = Blob((12 * side, -97, 46), (11, 5, 11), turn=(-12, 0, 0))
        canvas.paint(frontal.grown(2.2), t["cortex"])
        canvas.paint(frontal, t["air"])
        nasal = on_side(((4, -104, 26), (5, -113, 6)), side)
        canvas.paint(Tube(nasal, (1.8, 1.3), stretch=(1, 1.6, 1)), t["cortex"])
        canvas.paint(Tube(on_side(((17, -92, 14), (18, -88, -22)), side), 2.2), t["cortex"])
    arch = tuple((x, y, -33.0) for x, y in ARCH)
    for side, _ in SIDES:
        bone = Tube(on_side(arch, side), (5.5, 6, 6, 5.5, 5.5), stretch=(1, 1, 1.5))
        canvas.paint(bone, t["cortex"], (1.8, t["jaw"]))
    palate = Tube(((0, -100, -26), (0, -62, -25)), 1.1, stretch=(16, 1, 1))
    canvas.paint(palate, t["cortex"])


def _paint_nose(canvas: Canvas, person: Person) -> None:
    """Nasal cavity with septum and turbinates, ethmoid cells, sphenoid sinus, nostrils."""
    t = person.tissue
    cavity = Tube(((0, -104, -8), (0, -90, -4), (0, -56, -6)), (11, 15, 14), stretch=(0.9, 1, 1.2))
    canvas.paint(cavity & HalfSpace((0, 0, -23), (0, 0, -1)), t["mucosa"], (1.5, t["air"]))
    ethmoid = Blob((0, -70, 19), (12.5, 25, 10), power=3.5)
    canvas.paint(ethmoid.grown(1), t["cortex"])
    canvas.paint(ethmoid, t["air"])
    for y in (-86, -74, -62, -51):
        canvas.paint(
            Tube(((-12, y, 20), (12, y + 3, 20)), 0.5, stretch=(1, 1, 20)) & ethmoid, t["diploe"]
        )
    sphenoid = Blob((0, -38, 7), (13, 12, 11), power=2.6)
    canvas.paint(sphenoid.grown(2), t["cortex"])
    canvas.paint(sphenoid, t["air"])
    canvas.paint(Tube(((4, -50, 7), (1, -26, 7)), 0.5, stretch=(1, 1, 22)), t["diploe"])
    septum = Tube(((0, -108, 0), (1, -76, 2), (0, -50, 0)), (1.4, 1.2, 1.2), stretch=(1, 1, 20))
    canvas.paint(septum, t["mucosa"], (0.6, t["marrow"]))
    for side, _ in SIDES:
        for height, reach in ((-14, 8.5), (2, 6.5)):
            turbinate = on_side(
                ((reach, -98, height), (reach, -75, height), (reach - 1, -56, height)), side
            )
            canvas.paint(Tube(turbinate, (2.6, 3.6, 2.8), stretch=(1, 1, 2.1)), t["mucosa"])
        nostril = on_side(((6, -119, -21), (4, -117, -14), (4, -104, -10)), side)
        canvas.paint(Tube(nostril, (3.2, 3.4, 3.6)), t["air"])


def _paint_mouth(canvas: Canvas, person: Person) -> None:
    """Tongue, floor, soft palate, air over the tongue, lips."""
    t = person.tissue
    tongue = Blob(jaw([(0, -70, -60)], person)[0], (24, 34, 20), turn=(-12, 0, 0))
    floor = Blob(jaw([(0, -74, -78)], person)[0], (24, 32, 13), turn=(-8, 0, 0))
    root = Blob((0, -54, -84), (20, 16, 18))
    canvas.paint(Union(floor, root, 6.0), t["muscle"])
    for side, _ in SIDES:
        canvas.paint(
            Tube(jaw(on_side(((9, -94, -72), (12, -62, -82)), side), person), 1.6), t["fat"]
        )
    canvas.paint(tongue, t["tongue"])
    septum = Tube(jaw(((0, -94, -66), (0, -60, -62)), person), 0.8, stretch=(1, 1, 8))
    canvas.paint(septum, t["fat"], (0.4, t["tongue"]))
    if "open mouth" in person.traits:
        canvas.paint(Blob((0, -76, -35), (18, 26, 6.5)), t["air"])
    else:
        canvas.paint(Blob((0, -82, -34), (14, 15, 3.2)), t["air"])
    canvas.paint(
        Tube(((0, -62, -26), (0, -48, -30), (0, -41, -44)), (3.5, 4, 3), stretch=(3, 1, 1)),
        t["lymphoid"],
    )


def paint_chewing_muscles(canvas: Canvas, person: Person) -> None:
    """Masseter, pterygoids, the temporal muscle's tendon."""
    t = person.tissue
    for side, _ in SIDES:
        masseter = on_side(((62, -60, -13), (56.5, -51, -36), (51, -43, -64)), side)
        tendon = on_side(((66, -40, 12), (58, -50, -8), (50, -54, -24)), side)
        medial = on_side(((21, -47, -24), (29, -43, -42), (40, -41, -62)), side)
        lateral = on_side(((20, -52, -14), (33, -40, -16), (46, -28, -15)), side)
        for muscle in (
            Tube(tendon, (9, 8.5, 4.5), stretch=(0.9, 1.6, 1)),
            Tube(lateral, (8, 10, 5), stretch=(1, 1, 1.2)),
            Tube(medial, (6.5, 8.5, 5.5), stretch=(1, 1.7, 1)),
            Tube(masseter, (6, 7, 5), stretch=(1, 2.3, 1)),
        ):
            canvas.paint(muscle.grown(0.8), t["septum"], (0.9, t["muscle"]))
        cheek = on_side(((38, -62, -48), (34, -86, -48), (20, -104, -48)), side)
        canvas.paint(Tube(cheek, (1.5, 1.8, 2.5), stretch=(1, 1, 7)), t["muscle"])
    canvas.paint(
        Tube(((-17, -107, -48), (0, -112, -48), (17, -107, -48)), 3.2, stretch=(1, 1, 4.5)),
        t["muscle"],
    )


def paint_glands(canvas: Canvas, person: Person) -> None:
    """Parotids and submandibulars; jaw, muscles and mastoid, painted after, mould them."""
    t = person.tissue
    for side, letter in SIDES:
        name = f"Parotid_{letter}"
        k, shift = person.size[name], person.place[name]
        deep, over, tail = moved(
            on_side(((56.5, -22, -40), (64, -35, -34), (56, -25, -58)), side), shift
        )
        gland = Union(
            Blob(deep, (12 * k, 13.5 * k, 22 * k), turn=(0, 4 * side, 0)),
            Blob(over, (8 * k, 19 * k, 18.5 * k), turn=(0, 8 * side, -22 * side)),
            6.0,
        )
        gland = Union(gland, Blob(tail, (9 * k, 10 * k, 13 * k)), 5.0)
        deep_lobe = Blob((deep[0] - 10 * side, deep[1] + 1, deep[2] + 2), (9 * k, 6 * k, 12 * k))
        gland = Union(gland, deep_lobe, 4.0)
        canvas.paint(gland, t["parotid"], label=organ(name).label)
        _paint_submandibular(canvas, person, side, letter)


def _paint_submandibular(canvas: Canvas, person: Person, side: int, letter: str) -> None:
    name = f"Submandibular_{letter}"
    k, shift = person.size[name], person.place[name]
    low, high = moved(on_side(((30, -52.5, -84), (34, -50, -72)), side), shift)
    low, high = jaw((low, high), person)
    gland = Union(
        Blob(low, (7.6 * k, 11.6 * k, 13 * k), turn=(-8, -14 * side, 14 * side)),
        Blob(high, (5.6 * k, 8 * k, 11 * k), turn=(0, -12 * side, 10 * side)),
        5.0,
    )
    canvas.paint(gland, person.tissue["submandibular"], label=organ(name).label)


def paint_lower_jaw(canvas: Canvas, person: Person) -> list[Point]:
    """Mandible and both rows of teeth; returns where metal is, in canonical mm."""
    t, label = person.tissue, organ("Mandible").label
    canvas.paint(mandible(person), t["cortex"], (2.1, t["jaw"]), label=label)
    for side, _ in SIDES:
        canal = jaw(on_side(((28, -82, -67), (38, -62, -64), (45, -46, -50)), side), person)
        canvas.paint(Tube(canal, 1.4), t["fluid"], label=label)
    metal = []
    for row in (0, 1):
        for place in range(16):
            if min(place, 15 - place) < (16 - person.teeth) / 2:
                continue
            root, neck, crown, radius = _tooth(row, place)
            if row:
                root, neck, crown = jaw((root, neck, crown), person)
            filled = (row, place) in person.metal
            canvas.paint(Tube((root, neck), (1.4, radius * 0.8)), t["dentine"], label=label * row)
            canvas.paint(Tube((neck, crown), radius), t["enamel"])
            if filled:
                metal.append(crown)
    return metal


def _tooth(row: int, place: int) -> tuple[Point, Point, Point, float]:
    """Root, neck, crown and crown radius of one tooth: row 0 upper, 1 lower; place 0 to 15."""
    arch = np.array([*((x, y) for x, y in ARCH), *((-x, y) for x, y in ARCH[-2::-1])])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(arch, axis=0), axis=1))])
    at = (place + 0.5) / 16 * along[-1]
    x, y = (float(np.interp(at, along, arch[:, k])) for k in range(2))
    middle = abs(place - 7.5) / 7.5
    radius = 2.4 + 1.6 * middle
    if row == 0:
        return (x, y, -29.0), (x, y, -38.5), (x, y, -41.5), radius
    y = y + 2 * (1 - middle)
    return (x, y, -61.0), (x, y, -51.5), (x, y, -48.5), radius
