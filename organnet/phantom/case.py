"""One phantom case from (seed, index)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from organnet.datasets.case import Case
from organnet.organs import ORGAN_NAMES, organ
from organnet.phantom import body, face, head, neck, scanner
from organnet.phantom.painter import Canvas, Grid, voxel_box
from organnet.phantom.person import Person, Tissue, draw_person, draw_pose
from organnet.phantom.shapes import HalfSpace, Point
from organnet.volume import Volume

NOT_DRAWN = {"Mandible": 0.17, "Submandibular_L": 0.15, "Submandibular_R": 0.25}
"""How often PDDCA's 48 cases lack each organ; the others are always drawn."""
SLICES_MM = (2.0, 2.5, 3.0)


@dataclass(frozen=True)
class PhantomSize:
    """How finely a phantom is sampled.

    Attributes:
        matrix: pixels along x and along y.
        fov_mm: width of the slice.
        slice_mm: distance of slices; drawn per case from 2, 2.5 and 3 mm where None.
    """

    matrix: int = 512
    fov_mm: float = 520.0
    slice_mm: float | None = None


SIZES = {
    "smoke": PhantomSize(matrix=80, fov_mm=280.0, slice_mm=3.5),
    "demo": PhantomSize(matrix=256, fov_mm=480.0),
    "paper": PhantomSize(),
}


def make_case(seed: int, index: int, size: PhantomSize, complete: bool = True) -> Case:
    """Paint the case of that index: the same bytes each time, whatever was made before.

    Args:
        seed: of the whole data set.
        index: of the case in it.
        size: how finely to sample it.
        complete: whether all nine organs are drawn. Where not, some are left out of the label map
            and of `drawn` as often as in PDDCA; the CT is the same.

    Returns:
        A case on an LPS-aligned axial grid: int16 HU and uint8 labels, both [z y x].
    """
    rng, noise_rng, drawn_rng = (np.random.default_rng((seed, index, k)) for k in range(3))
    pose = draw_pose(rng)
    grid = _draw_grid(rng, size)
    person = draw_person(rng, pose)
    box = voxel_box(grid, pose, body.skin(person).grown(5))
    canvas = Canvas(grid.part(box), pose, noise_rng)
    metal = paint_person(canvas, person)
    hu = np.full(grid.shape, -1000, np.float32)
    labels = np.zeros(grid.shape, np.uint8)
    hu[box], labels[box] = canvas.hu, canvas.labels
    del canvas
    hu = scan(hu, grid, person, metal, noise_rng)
    origin = (grid.origin_mm[0] + float(np.round(rng.uniform(-600, 200))), *grid.origin_mm[1:])
    drawn = frozenset(
        name
        for name, chance in zip(ORGAN_NAMES, drawn_rng.random(len(ORGAN_NAMES)), strict=True)
        if complete or chance >= NOT_DRAWN.get(name, 0.0)
    )
    for name in set(ORGAN_NAMES) - drawn:
        labels[labels == organ(name).label] = 0
    ct = Volume(scanner.to_int16(hu), grid.spacing_mm, origin)
    return Case(f"phantom{index:04d}", ct, ct.with_array(labels), drawn)


def paint_person(canvas: Canvas, person: Person) -> list[Point]:
    """Paint a whole person from the skin inwards; returns canonical mm of metal fillings."""
    if "mask" in person.traits:
        sheet = body.skin(person, -150).grown(3.5) & HalfSpace((0, 20, 0), (0, 1, 0))
        canvas.paint(sheet, Tissue(-350, 120), (2.2, Tissue(-1000)))
    body.paint_body(canvas, person)
    neck.paint_muscles(canvas, person)
    neck.paint_shoulders(canvas, person)
    head.paint_skull(canvas, person)
    head.paint_brain(canvas, person)
    neck.paint_spine(canvas, person)
    neck.paint_airways(canvas, person)
    face.paint_face(canvas, person)
    head.paint_orbits(canvas, person)
    face.paint_glands(canvas, person)
    neck.paint_vessels(canvas, person)
    face.paint_chewing_muscles(canvas, person)
    return face.paint_lower_jaw(canvas, person)


def _draw_grid(rng: np.random.Generator, size: PhantomSize) -> Grid:
    drawn = float(rng.choice(SLICES_MM))
    top, bottom = rng.uniform(85, 132), rng.uniform(-205, -150)
    aside, behind = rng.normal(0, 5, 2)
    spacing = size.slice_mm or drawn
    pixel = size.fov_mm / size.matrix
    corner = -size.fov_mm / 2 + pixel / 2
    return Grid(
        shape=(int((top - bottom) / spacing), size.matrix, size.matrix),
        spacing_mm=(spacing, pixel, pixel),
        origin_mm=(bottom, corner + float(behind), corner + float(aside)),
    )


def scan(
    hu: Float32[np.ndarray, "z y x"],
    grid: Grid,
    person: Person,
    metal: list[Point],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "z y x"]:
    """Put the painted person on the couch and take the picture."""
    pose = person.pose
    occiput = pose.to_scanner(np.array([[0.0, 92.0, 30.0]]))[0, 1]
    scanner.add_couch(hu, grid, float(occiput) + person.fat_mm, "headrest" in person.traits)
    hu = scanner.blur(hu, grid)
    where = [tuple(p) for p in pose.to_scanner(np.array(metal).reshape(-1, 3)).tolist()]
    scanner.add_metal(hu, grid, where, rng)
    scanner.add_noise(hu, grid, float(rng.uniform(7, 15)), rng)
    return hu
