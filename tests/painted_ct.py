"""A CT painted around organs that somebody drew: for label maps whose image is not at hand.

PDDCA's drawings travel more freely than its CT do. With these CT the whole experiment runs on the
drawings alone; its scores say nothing of patients, as the phantom's do not.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from scipy import ndimage
from scipy.spatial.transform import Rotation

from organnet.errors import OrganNetError
from organnet.organs import CLASSES, organ
from organnet.phantom import body, scanner
from organnet.phantom.anatomy import MEASURED
from organnet.phantom.case import paint_person, scan
from organnet.phantom.painter import Canvas, Grid, voxel_box
from organnet.phantom.person import Person, Pose, Tissue, draw_person
from organnet.volume import Volume, on_grid_of, to_lps

TISSUES = {
    "BrainStem": ("stem", "white"),
    "Chiasm": ("chiasm", "fluid"),
    "Mandible": ("jaw", "muscle"),
    "OpticNerve": ("nerve", "fat"),
    "Parotid": ("parotid", "areolar"),
    "Submandibular": ("submandibular", "areolar"),
}
"""What an organ is filled with, and what fills its place where the phantom had it and nobody drew
it. The mandible has a cortex besides."""
CORTEX_MM = 2.1
UNDER_SKIN_MM = 4.0
"""Skin and fat over the shallowest organ."""

Box = tuple[slice, slice, slice]
Centres = dict[str, Float[np.ndarray, "3"]]
"""Centroid (x, y, z) in mm by organ."""


def ct_around(labels: Volume, drawn: frozenset[str], seed: int) -> Volume:
    """Paint a person whose organs are those of a label map, and take the picture.

    The phantom is turned, scaled and shifted until the centroids of its organs fit those drawn best
    (least squares over the organs). Then each organ drawn takes the place of the phantom's own; one
    that was not drawn is painted as the phantom has it.

    Args:
        labels: label map (z, y, x) on any grid; the person lies along its axes.
        drawn: the organs drawn in it.
        seed: of the person's build and tissue, and of the noise.

    Returns:
        int16 HU on the very grid of `labels`. The body ends some 240 mm below the brain stem.

    Raises OrganNetError where fewer than three organs are there: nothing tells how the head lies.
    """
    rng = np.random.default_rng(seed)
    lps = to_lps(labels)
    corner = [-(n - 1) / 2 * mm for n, mm in zip(lps.shape, lps.spacing_mm, strict=True)]
    pose = fitted_pose(_centres(lps, drawn, corner))
    corner[0] -= pose.shift[2]  # couch and head rest want their zero at the brain stem's height
    pose = replace(pose, shift=(*pose.shift[:2], 0.0))
    grid = Grid(lps.shape, lps.spacing_mm, tuple(corner))
    person = _fitted_person(draw_person(rng, pose), _centres(lps, drawn, corner))
    person = _fat_enough(person, lps.array, grid)

    box = voxel_box(grid, pose, body.skin(person).grown(5))
    canvas = Canvas(grid.part(box), pose, rng)
    metal = paint_person(canvas, person)
    _exchange_organs(canvas, person.tissue, lps.array[box], drawn)
    hu = np.full(grid.shape, -1000, np.float32)
    hu[box] = canvas.hu
    del canvas
    hu = scan(hu, grid, person, metal, rng)
    return on_grid_of(lps.with_array(scanner.to_int16(hu)), labels)


def fitted_pose(centres: Centres) -> Pose:
    """The turn, size and place that bring the mean anatomy's centroids nearest to these.

    Raises OrganNetError where they are fewer than three.
    """
    if len(centres) < 3:
        raise OrganNetError(
            f"{len(centres)} organs do not tell how the head lies: give a label map with three"
        )
    at = np.array(list(centres.values()))
    mean = np.array([MEASURED[name].centroid_mm for name in centres], float)
    spread, mean_spread = at - at.mean(0), mean - mean.mean(0)
    turn = Rotation.align_vectors(spread, mean_spread)[0]
    scale = float((spread * turn.apply(mean_spread)).sum() / (mean_spread**2).sum())
    x, y, z = turn.as_matrix()[2].tolist()  # the couch's upright, as the head sees it
    return Pose(
        turn=tuple(turn.as_euler("xyz", degrees=True).tolist()),
        scale=(scale,) * 3,
        shift=tuple((at.mean(0) - scale * turn.apply(mean.mean(0))).tolist()),
        bend=(-x / z, -y / z),  # the head is turned, the shoulders lie flat
        waves=np.zeros((0, 7)),
    )


def _centres(lps: Volume, drawn: frozenset[str], corner: list[float]) -> Centres:
    """Centroids of the organs there are; `corner` is the first voxel's centre, as z, y, x."""
    boxes, centres = _boxes(lps.array), {}
    for name in sorted(drawn):
        label = organ(name).label
        if label in boxes:
            first = [s.start for s in boxes[label]]
            index = np.argwhere(lps.array[boxes[label]] == label).mean(0) + first
            centres[name] = (index * lps.spacing_mm + corner)[::-1]
    return centres


def _fitted_person(person: Person, centres: Centres) -> Person:
    """The person with each organ moved by what the pose leaves it off its centre."""
    off = {
        name: person.pose.to_anatomy(at[None])[0] - MEASURED[name].centroid_mm
        for name, at in centres.items()
    }
    jaw = off.get("Mandible", np.array(person.jaw_shift))
    place = {
        name: tuple((by - jaw if name.startswith("Submandibular") else by).tolist())
        for name, by in off.items()  # the submandibulars hang on the jaw
    }
    return replace(person, jaw_shift=tuple(jaw.tolist()), place=person.place | place)


def _fat_enough(person: Person, labels: UInt8[np.ndarray, "z y x"], grid: Grid) -> Person:
    """The person with as much fat as it takes to cover every organ drawn."""
    index = np.argwhere((labels > 0) & (labels < CLASSES))
    at = person.pose.to_anatomy((index * grid.spacing_mm + grid.origin_mm)[:, ::-1])
    outside = body.skin(person).distance(*at.astype(np.float32).T).max() + UNDER_SKIN_MM
    return replace(person, fat_mm=person.fat_mm + max(0.0, float(outside)))


def _exchange_organs(
    canvas: Canvas,
    tissue: dict[str, Tissue],
    labels: UInt8[np.ndarray, "z y x"],
    drawn: frozenset[str],
) -> None:
    """Paint over the organs the person has, then paint those drawn, in place."""
    kinds = {organ(name).label: name.split("_")[0] for name in sorted(drawn)}
    for label, box in _boxes(canvas.labels).items():
        if label in kinds:
            with_rim = ndimage.binary_dilation(canvas.labels[box] == label)
            _fill(canvas, box, with_rim, tissue[TISSUES[kinds[label]][1]])
    pixel_mm = canvas.grid.spacing_mm[2]
    for label, box in _boxes(labels).items():
        if label in kinds:
            mask = labels[box] == label
            _fill(canvas, box, mask, tissue[TISSUES[kinds[label]][0]])
            if kinds[label] == "Mandible":
                depth = ndimage.distance_transform_edt(mask, canvas.grid.spacing_mm) - pixel_mm / 2
                rim = np.clip(0.5 - (depth - CORTEX_MM) / pixel_mm, 0, 1)
                _fill(canvas, box, mask * rim.astype(np.float32), tissue["cortex"])


def _fill(canvas: Canvas, box: Box, share: Shaped[np.ndarray, "z y x"], tissue: Tissue) -> None:
    """Mix tissue into the voxels of a box, into each by its share: True and False, or 0 to 1."""
    hu = tissue.hu + tissue.grain * canvas.grain[box] + tissue.patches * canvas.patches[box]
    canvas.hu[box] += share * (hu - canvas.hu[box])


def _boxes(labels: UInt8[np.ndarray, "z y x"]) -> dict[int, Box]:
    """The box around each organ there is, a voxel wider, by its label."""
    found = enumerate(ndimage.find_objects(labels, CLASSES - 1), start=1)
    wider = {k: [slice(max(0, s.start - 1), s.stop + 1) for s in box] for k, box in found if box}
    return {k: (z, y, x) for k, (z, y, x) in wider.items()}
