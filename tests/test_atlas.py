"""A chiasm where the drawings of others say it lies: closed forms, then the real drawings."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from organnet.datasets import pddca
from organnet.datasets.atlas import ATLAS, Member, landmarks, place_chiasm, read_atlas
from organnet.errors import OrganNetError
from organnet.organs import organ
from organnet.volume import Volume, to_lps, write_volume

SPACING_MM = (2.0, 1.0, 1.0)
SHAPE = (40, 100, 100)
BOXES = {  # mm from the first voxel, (z, y, x): first corner and size
    "BrainStem": ((10, 70, 45), (30, 12, 12)),
    "Chiasm": ((50, 50, 44), (6, 8, 14)),
    "OpticNerve_L": ((50, 20, 62), (6, 30, 5)),
    "OpticNerve_R": ((50, 20, 34), (6, 30, 5)),
}


def drawn(turn: Rotation | None = None, move_mm: tuple[float, float, float] = (0, 0, 0)) -> Volume:
    """The boxes as a label map, turned about the grid's middle and then moved."""
    middle = np.multiply(SHAPE, SPACING_MM) / 2
    points = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING_MM - middle - move_mm
    points = (turn or Rotation.identity()).inv().apply(points.reshape(-1, 3)) + middle
    labels = np.zeros(len(points), np.uint8)
    for name, (corner, size) in BOXES.items():
        inside = ((points >= corner) & (points < np.add(corner, size))).all(1)
        labels[inside] = organ(name).label
    return Volume(labels.reshape(SHAPE), SPACING_MM)


def member(labels: Volume) -> Member:
    found = landmarks(labels)
    assert found is not None
    return Member(found, labels.array == organ("Chiasm").label, labels.spacing_mm)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_a_moved_drawing_gives_its_chiasm_voxel_for_voxel() -> None:
    here = drawn(move_mm=(4.0, -7.0, 3.0))
    placed = place_chiasm(here, [member(drawn())])
    assert placed is not None
    assert np.array_equal(placed, here.array == organ("Chiasm").label)


def test_a_turned_drawing_gives_its_chiasm() -> None:
    here = drawn(Rotation.from_euler("xyz", (8, -6, 10), degrees=True), (2.0, 3.0, -4.0))
    placed = place_chiasm(here, [member(drawn())])
    assert placed is not None
    assert dice(placed, here.array == organ("Chiasm").label) > 0.85


def test_the_majority_decides() -> None:
    """Two of three members have the chiasm 8 mm further back; as many voxels as one has."""
    labels = drawn()
    apart = labels.with_array(labels.array.copy())
    chiasm = labels.array == organ("Chiasm").label
    apart.array[chiasm] = 0
    back = np.roll(chiasm, 8, 1)
    apart.array[back] = organ("Chiasm").label
    placed = place_chiasm(labels, [member(labels), member(apart), member(apart)])
    assert placed is not None
    assert np.array_equal(placed, back)


@pytest.mark.parametrize("missing", ["BrainStem", "OpticNerve_L", "OpticNerve_R"])
def test_without_one_of_the_three_organs_there_is_none(missing: str) -> None:
    labels = drawn()
    labels.array[labels.array == organ(missing).label] = 0
    assert landmarks(labels) is None
    assert place_chiasm(labels, [member(drawn())]) is None


def test_a_case_without_a_chiasm_is_no_member(tmp_path: Path) -> None:
    labels = drawn()
    for name in ("BrainStem", "OpticNerve_L", "OpticNerve_R"):
        mask = labels.with_array((labels.array == organ(name).label).astype(np.uint8))
        write_volume(mask, tmp_path / "A" / "structures" / f"{name}.nrrd")
    with pytest.raises(OrganNetError, match="A lacks an organ"):
        read_atlas(tmp_path, ("A",))


def test_real_drawings_place_each_others_chiasm(shared_data: Path) -> None:
    """Five of the fifteen, each by the four others: the middles come within a few millimetres."""
    names = ATLAS[:5]
    members = read_atlas(shared_data / "pddca", names)
    for number, name in enumerate(names):
        labels = to_lps(pddca.read_labels(shared_data / "pddca" / name)[0])
        placed = place_chiasm(labels, members[:number] + members[number + 1 :])
        truth = labels.array == organ("Chiasm").label
        assert placed is not None
        middles = [np.argwhere(mask).mean(0) * labels.spacing_mm for mask in (placed, truth)]
        assert np.linalg.norm(middles[0] - middles[1]) < 6
        assert dice(placed, truth) > 0.4


def test_the_scored_case_is_not_in_the_atlas() -> None:
    assert "0522c0014" not in ATLAS and len(set(ATLAS)) == 15
