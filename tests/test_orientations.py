"""However a patient lies on a CT's grid, the same organs are found at the same places."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtstruct_parts import rotation
from scipy import ndimage
from stand_ins import Threshold, block_ct, network

from organnet.batch.run import segment
from organnet.datasets import pddca
from organnet.experiment import Run
from organnet.files import subfolders
from organnet.inference import predict
from organnet.phantom import SIZES, write_phantom
from organnet.volume import Volume, read_volume, same_grid, to_lps, write_volume
from organnet.weights import load_network

ORIENTATIONS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def turned(volume: Volume, order: tuple[int, ...], signs: tuple[int, ...]) -> Volume:
    """The same voxels at the same places, stored along other axes."""
    ends = [0 if sign > 0 else n - 1 for sign, n in zip(signs, volume.shape, strict=True)]
    array = np.flip(volume.array, [axis for axis in range(3) if signs[axis] < 0])
    z, y, x = (float(mm) for mm in volume.position_mm((ends[0], ends[1], ends[2])))
    spacing = volume.spacing_mm
    return Volume(
        np.ascontiguousarray(array.transpose(order)),
        (spacing[order[0]], spacing[order[1]], spacing[order[2]]),
        (z, y, x),
        np.ascontiguousarray((volume.direction * signs)[:, order]),
    )


def rotated(ct: Volume, turn: np.ndarray) -> Volume:
    """The patient as a scanner would see it that is turned about the CT's middle (radians)."""
    middle = ct.position_mm(tuple((n - 1) / 2 for n in ct.shape))
    direction = rotation(turn) @ ct.direction
    half = np.array([(n - 1) / 2 * mm for n, mm in zip(ct.shape, ct.spacing_mm, strict=True)])
    z, y, x = (float(mm) for mm in middle - direction @ half)
    grid = Volume(ct.array, ct.spacing_mm, (z, y, x), direction)
    return sampled(ct, grid, order=1, outside=-1000)


def sampled(volume: Volume, grid: Volume, order: int, outside: int = 0) -> Volume:
    """Values of a volume at the places of another grid."""
    to_index = volume.direction.T / np.array(volume.spacing_mm)[:, None]
    values = ndimage.affine_transform(
        volume.array,
        to_index @ (grid.direction * grid.spacing_mm),
        to_index @ (np.array(grid.origin_mm) - volume.origin_mm),
        grid.shape,
        order=order,
        cval=outside,
    )
    return grid.with_array(values)


def dsc(a: Volume, b: Volume, label: int) -> float:
    found = [volume.array == label for volume in (a, b)]
    return 2 * np.count_nonzero(found[0] & found[1]) / sum(map(np.count_nonzero, found))


@given(
    orientation=st.sampled_from(ORIENTATIONS),
    axis=st.sampled_from(["z", "y", "x"]),
    degrees=st.floats(-15, 15),
)
@settings(max_examples=25, deadline=None)
def test_a_block_is_found_where_it_lies_in_any_scanner(
    orientation: tuple, axis: str, degrees: float
) -> None:
    """The network stands in for one that knows no direction, on a grid of 5 mm."""
    ct, networks = block_ct(), [network(Threshold())]
    turn = np.radians(degrees) * np.array([axis == name for name in "zyx"])
    there = predict(networks, turned(rotated(ct, turn), *orientation)).labels
    back, expected = sampled(there, ct, order=0), predict(networks, ct).labels
    assert dsc(back, expected, 1) > 0.75
    middles = [np.argwhere(labels.array == 1).mean(axis=0) for labels in (back, expected)]
    assert np.abs(middles[0] - middles[1]).max() * 3.0 < 5.0


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom(folder, 1, seed=0, size=SIZES["smoke"])
    return pddca.read_case(subfolders(folder)[0]).ct


def test_the_shipped_weights_follow_a_turned_patient(phantom: Volume) -> None:
    """Eight degrees, stored upside down and from the other side: the same organs are found there.

    The organs are of a few hundred voxels of 3.5 mm, so that a step of one voxel is a lot.
    """
    networks = [load_network(Path("openkbp"))]
    expected = predict(networks, phantom).labels
    large = [n for n in range(1, 10) if np.count_nonzero(expected.array == n) > 200]
    assert {1, 3, 6, 7} <= set(large)  # brain stem, mandible, parotids
    for turn in ((0.0, 0.0, 0.14), (0.0, -0.14, 0.0)):
        scan = turned(rotated(phantom, np.array(turn)), (1, 0, 2), (1, -1, -1))
        back = sampled(predict(networks, scan).labels, phantom, order=0)
        for label in large:
            others = set(range(1, 10)) - {label}
            assert dsc(back, expected, label) > 0.75, (turn, label)
            inside = back.array[expected.array == label]
            assert not [n for n in others if np.count_nonzero(inside == n) > inside.size / 10]


def test_all_48_orientations_of_a_file_give_the_same_file(
    smoke_run: Run, phantom: Volume, tmp_path: Path
) -> None:
    """Through the whole of `organnet inference`: every label map is the first, on its CT's grid."""
    scans = []
    for n, orientation in enumerate(ORIENTATIONS):
        scans.append(turned(phantom, *orientation))
        write_volume(scans[-1], tmp_path / "scans" / f"{n:02}.nrrd")
    out = tmp_path / "out"
    assert segment([tmp_path / "scans" / "*.nrrd"], [smoke_run.folder], out) == 0
    first = read_volume(out / "00.nrrd")
    assert len(np.unique(first.array)) > 2
    for n, scan in enumerate(scans):
        labels = read_volume(out / f"{n:02}.nrrd")
        assert same_grid(labels, scan)
        there = to_lps(labels)
        assert same_grid(there, to_lps(first)), ORIENTATIONS[n]
        assert np.array_equal(there.array, to_lps(first).array), ORIENTATIONS[n]
