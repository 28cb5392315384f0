"""The muscles of the neck, spine, air ways, vessels, and the top of the shoulders."""

import numpy as np

from organnet.phantom import anatomy
from organnet.phantom.painter import Canvas
from organnet.phantom.person import Person
from organnet.phantom.places import SIDES
from organnet.phantom.shapes import Blob, Tube, Union, on_side


def spine_y(z: float) -> float:
    """Where the middle of a vertebral body is, front to back, at canonical height z."""
    heights, places = zip(*anatomy.SPINE, strict=True)
    return float(np.interp(z, heights, places))


def paint_muscles(canvas: Canvas, person: Person) -> None:
    """Back, side and front of the neck, each muscle in a thin sleeve of fat."""
    t = person.tissue
    for side, _ in SIDES:
        for points, radii, stretch in _MUSCLES:
            muscle = Tube(on_side(points, side), radii, stretch)
            canvas.paint(muscle.grown(0.8), t["septum"], (0.9, t["muscle"]))
    ligament = ((0, 46, -45), (0, 36, -90), (0, 50, -140))
    canvas.paint(Tube(ligament, 0.8, stretch=(1, 9, 1)), t["fat"])


_MUSCLES = (
    # multifidus and semispinalis cervicis, against the laminae
    (((10, 30, -60), (11, 27, -100), (13, 38, -150), (16, 50, -190)), (8, 9, 9, 10), (1.1, 1, 1)),
    # semispinalis capitis
    (((13, 50, -30), (15, 38, -70), (17, 38, -110), (24, 46, -160)), (9, 9, 9, 9), (1.3, 0.8, 1)),
    # small muscles under the skull
    (((14, 30, -34), (20, 20, -54)), (11, 9), (1.3, 1, 1)),
    # splenius
    (((38, 34, -34), (34, 36, -70), (28, 44, -110), (20, 52, -150)), (7, 7, 6, 5), (1.5, 0.7, 1)),
    # longissimus
    (((44, 16, -38), (34, 20, -80), (34, 24, -120), (36, 34, -170)), (6, 7, 7, 8), (1, 1, 1)),
    # levator scapulae
    (((36, 2, -52), (44, 10, -95), (52, 24, -140), (66, 46, -190)), (6, 8.5, 9, 10), (1, 1, 1)),
    # trapezius
    (
        ((10, 49, -50), (22, 38, -80), (25, 37, -97), (42, 42, -140), (70, 36, -180)),
        (3, 4, 4, 6, 9),
        (2.3, 0.9, 1),
    ),
    # scalenes
    (((27, -2, -75), (32, -2, -115), (48, -4, -180)), (6, 8.5, 11), (1, 1, 1)),
    # long muscle of the neck, in front of the vertebral bodies
    (
        ((9, -24, -12), (9, -25, -30), (8, -24, -70), (9, -23, -110), (9, -13, -150)),
        (6.5, 6, 4.5, 4.5, 4),
        (1.5, 1, 1),
    ),
    # digastric, back belly
    (((54, -4, -32), (45, -28, -64), (31, -53, -97)), (5, 5, 3.5), (1, 1, 1)),
    # sternocleidomastoid
    (
        ((60, 6, -26), (54, -3, -70), (45, -24, -115), (20, -48, -178)),
        (7, 8.5, 9, 6),
        (0.8, 1.7, 1),
    ),
    # digastric, front belly
    (((28, -56, -97), (13, -92, -86)), (3.5, 5), (1.3, 1, 1)),
    # mylohyoid, the floor the submandibular gland lies under
    (((24, -50, -92), (27, -72, -80), (12, -98, -79)), (3.5, 3, 3), (1, 1, 2.8)),
    # hyoglossus and the pharynx wall's side
    (((30, -32, -42), (22, -40, -70), (19, -46, -94)), (3, 4.5, 5), (1, 1.6, 1)),
    # strap muscles
    (((9, -60, -106), (15, -57, -135), (13, -49, -180)), (3, 4.5, 5), (2, 1, 1)),
)


def paint_spine(canvas: Canvas, person: Person) -> None:
    """Atlas, axis with its tooth, cervical and upper thoracic vertebrae, discs, cord, ribs."""
    t = person.tissue
    canvas.paint(Tube(((0, -14, -33), (0, -13, -66)), (4.8, 7)), t["cortex"], (1.6, t["marrow"]))
    canvas.paint(Tube(((0, spine_y(-60), -60), (0, -12, -95), (0, -8, -125), (0, 2, -160)),
                      7.4, stretch=(1.35, 1, 1)), t["disc"])  # fmt: skip
    canvas.paint(Tube(((0, 2, -160), (0, 15, -190), (0, 40, -245)), 11), t["disc"])
    for number, z in enumerate(anatomy.VERTEBRAE, start=1):
        _paint_vertebra(canvas, person, number, z)
    canal = tuple((0.0, spine_y(z) + 16.5, float(z)) for z in range(-54, -246, -15))
    canvas.paint(Tube(canal, 7.6, stretch=(1.5, 1, 1)), t["fluid"])
    canvas.paint(Tube(canal, 4.6, stretch=(1.35, 1, 1)), t["cord"])


def _paint_vertebra(canvas: Canvas, person: Person, number: int, z: float) -> None:
    t, y = person.tissue, spine_y(z)
    bone = (t["cortex"], (1.5, t["marrow"]))
    big = 1.0 + 0.05 * max(number - 3, 0)
    if number == 1:
        ring = [(0, -22, z), (13, -17, z), (22, -3, z), (17, 14, z), (0, 22, z - 3)]
        for side, _ in SIDES:
            canvas.paint(Tube(on_side(ring, side), (3, 3.5, 6, 3.4, 3.4)), *bone)
            canvas.paint(Tube(on_side([(20, -4, z), (39, -2, z)], side), (7.5, 4)), *bone)
            condyle = on_side([(19, -4, z + 4), (20, -2, z + 14)], side)
            canvas.paint(Tube(condyle, (5, 7)), *bone)
        return
    if number > 2:
        body = Blob((0, y, z), (11.5 * big, 9 * big, 6.6 * big), power=4)
        canvas.paint(body, *bone)
    for side, _ in SIDES:
        pedicle = on_side([(8 * big, y + 5, z), (17, y + 12, z - 1)], side)
        canvas.paint(Tube(pedicle, 3.2), *bone)
        pillar = on_side([(19.5, y + 11, z + 6), (20, y + 15, z - 6)], side)
        canvas.paint(Tube(pillar, 5.2), *bone)
        if number < 8:
            across = on_side([(15, y + 2, z - 1), (25, y + 1, z - 3)], side)
            canvas.paint(Tube(across, (3, 3.4)) - Blob((20 * side, y + 1, z), (2.5, 3, 9)), *bone)
        else:
            _paint_rib(canvas, person, side, number - 7, y, z)
        lamina = on_side([(19, y + 16, z - 2), (0, y + 30, z - 6)], side)
        canvas.paint(Tube(lamina, (3.2, 3), stretch=(1, 1, 1.9)), *bone)
    length = {2: 14, 7: 24}.get(number, 9 if number < 7 else 26)
    spinous = [(0, y + 29, z - 6), (0, y + 30 + length, z - 10 - 0.3 * max(number - 6, 0) * 10)]
    canvas.paint(Tube(spinous, (3, 3.5), stretch=(1, 1, 1.4)), *bone)


def _paint_rib(canvas: Canvas, person: Person, side: int, number: int, y: float, z: float) -> None:
    wide = 34 + 12 * min(number, 3)
    rib = [
        (18, y + 12, z),
        (wide, y + 22, z - 2),
        (wide + 18, y - 8, z - 14),
        (wide, y - 42, z - 26),
    ]
    canvas.paint(Tube(on_side(rib, side), (3.6, 4, 4, 4)), person.tissue["cortex"],
                 (1.4, person.tissue["marrow"]))  # fmt: skip


def paint_vessels(canvas: Canvas, person: Person) -> None:
    """Carotid arteries, jugular veins, vertebral arteries, and the nodes beside them."""
    t = person.tissue
    lumen = t["blood"] if "contrast" in person.traits else t["vessel"]
    for side, _ in SIDES:
        artery = ((24, -18, -14), (25, -22, -50), (25, -26, -84), (22, -27, -130), (20, -20, -190))
        external = ((26, -28, -86), (33, -30, -60), (46, -28, -30))
        vein = ((30, -10, -16), (33, -17, -60), (33, -20, -100), (30, -28, -140), (24, -28, -190))
        canvas.paint(Tube(on_side(artery, side), (2.6, 2.8, 3.6, 3.4, 3.8)), lumen)
        canvas.paint(Tube(on_side(external, side), (2.2, 2.0, 1.4)), lumen)
        canvas.paint(Tube(on_side(vein, side), (4, 4.4, 5.2, 5.8, 6.2)), lumen)
        canvas.paint(Tube(on_side(((21, -9, -60), (21, -5, -130)), side), 1.7), lumen)
        outer = ((58, -16, -62), (56, 2, -110), (50, -10, -165))
        canvas.paint(Tube(on_side(outer, side), 2.0), lumen)
        for at in ((40, -22, -76), (44, -10, -92), (41, -18, -118), (22, -62, -92)):
            canvas.paint(Blob(on_side((at,), side)[0], (3, 3.6, 5)), t["lymphoid"])


def paint_airways(canvas: Canvas, person: Person) -> None:
    """Naso-, oro- and hypopharynx, epiglottis, larynx with cartilage, hyoid, trachea, thyroid."""
    t = person.tissue
    wall = Tube(((0, -36, -22), (0, -34, -60), (0, -33, -100), (0, -32, -128)), 9.5, (1.9, 1, 1))
    canvas.paint(wall, t["lymphoid"])
    for side, _ in SIDES:
        canvas.paint(Blob((17 * side, -40, -52), (6, 7, 11)), t["lymphoid"])  # tonsil
    naso = Tube(((0, -48, -14), (0, -42, -20), (0, -36, -34)), (9, 9, 6.5), stretch=(1.4, 1, 1))
    oro = Tube(((0, -36, -34), (0, -36, -60), (0, -37, -88)), (6, 6.5, 7), stretch=(1.6, 1, 1))
    canvas.paint(Union(naso, oro, 2.0), t["air"])
    for side, _ in SIDES:
        canvas.paint(Blob((7 * side, -48, -94), (5, 4, 6)), t["air"])
        canvas.paint(Tube(on_side(((12, -35, -96), (14, -32, -118)), side), (3.5, 1.5)), t["air"])
        hyoid = on_side(((22, -40, -93), (15, -58, -98), (0, -65, -101)), side)
        canvas.paint(
            Tube(hyoid, (2, 2.6, 3.2), stretch=(1, 1, 1.3)), t["cortex"], (1.4, t["marrow"])
        )
        plate = on_side(((19, -38, -116), (13, -52, -118), (1, -64, -118)), side)
        canvas.paint(Tube(plate, 1.7, stretch=(1, 1, 7)), t["cartilage"])
        lobe = on_side(((17, -36, -132), (16, -34, -152)), side)
        canvas.paint(Tube(lobe, (6, 8), stretch=(1, 1.3, 1)), t["thyroid"])
    canvas.paint(Tube(((-10, -50, -156), (0, -54, -156), (10, -50, -156)), 3.5), t["thyroid"])
    epiglottis = ((0, -42, -80), (0, -48, -100))
    canvas.paint(Tube(epiglottis, 1.4, stretch=(6, 1, 1)), t["cartilage"])
    inlet = Tube(((0, -42, -96), (0, -47, -112), (0, -48, -122)), (6, 4, 2.2), stretch=(1, 1.8, 1))
    canvas.paint(inlet.grown(4), t["lymphoid"])
    canvas.paint(inlet, t["air"])
    windpipe = ((0, -47, -124), (0, -43, -140), (0, -33, -180), (0, -14, -245))
    tube = Tube(windpipe, (6, 8, 8.5, 8.5))
    canvas.paint(tube.grown(2.2), t["cartilage"])
    canvas.paint(tube, t["air"])
    gullet = ((2, -30, -132), (4, -22, -160), (5, 2, -245))
    canvas.paint(Tube(gullet, 5, stretch=(1.4, 1, 1)), t["muscle"], (3.5, t["mucosa"]))


_SHOULDER_MUSCLES = (
    # trapezius, supraspinatus, subscapularis, deltoid, pectoralis
    (((30, 62, -180), (90, 46, -186), (140, 20, -184)), (6, 8, 6), (1, 1.3, 1)),
    (((80, 48, -205), (140, 22, -198)), (11, 9), (1, 1, 1)),
    (((74, 30, -222), (130, 18, -214)), (10, 9), (1, 1.3, 1)),
    (((186, 10, -196), (192, 10, -245)), (11, 16), (0.8, 2.2, 1)),
    (((40, -52, -222), (110, -44, -220), (160, -20, -230)), (8, 10, 8), (1, 1, 2)),
)


def paint_shoulders(canvas: Canvas, person: Person) -> None:
    """Collar bones, shoulder blades, heads of the humerus, tops of the lungs."""
    t = person.tissue
    bone = (t["cortex"], (2.2, t["marrow"]))
    for side, _ in SIDES:
        collar = on_side(
            ((14, -46, -190), (60, -44, -184), (110, -14, -178), (150, -2, -180)), side
        )
        canvas.paint(Tube(collar, (8, 6, 5.5, 7)), *bone)
        canvas.paint(Blob((166 * side, 8, -212), (24, 24, 26)), *bone)
        blade = on_side(((150, 18, -192), (110, 50, -196), (78, 62, -225)), side)
        canvas.paint(Tube(blade, (6, 4, 3.5), stretch=(1, 1, 2)), *bone)
        fat = on_side(((80, -20, -196), (120, -6, -206)), side)
        canvas.paint(Tube(fat, (7, 9), stretch=(1.2, 1, 1)), t["fat"])
        for points, radii, stretch in _SHOULDER_MUSCLES:
            muscle = Tube(on_side(points, side), radii, stretch)
            canvas.paint(muscle.grown(1.2), t["septum"], (1.3, t["muscle"]))
        apex = on_side(((32, 8, -206), (46, 4, -250)), side)
        canvas.paint(Tube(apex, (20, 38)), t["lung"])
