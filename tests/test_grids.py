"""Resizing between grids over one box: nothing shifts, nothing small is lost."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from organnet.grids import between, grid_size, resize, resize_labels

sizes = st.tuples(*[st.integers(2, 24)] * 3)


@given(sizes, sizes)
def test_a_constant_stays_constant(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    assert np.allclose(resize(np.full(old, 7, np.int16), new), 7, atol=1e-4)


@given(sizes, sizes, st.integers(0, 2))
def test_mirroring_before_is_mirroring_after(
    old: tuple[int, ...], new: tuple[int, ...], axis: int
) -> None:
    """Holds only if both grids share their faces: a half-voxel shift would break it."""
    volume = np.random.default_rng(0).normal(size=old).astype(np.float32)
    mirrored = resize(np.ascontiguousarray(np.flip(volume, axis)), new)
    assert np.allclose(mirrored, np.flip(resize(volume, new), axis), atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_ramp_keeps_its_millimetres(axis: int) -> None:
    """Voxel centres lie at (i + 0.5) * spacing; inside, a ramp is interpolated exactly."""
    shape, new = [6, 6, 6], [6, 6, 6]
    shape[axis], new[axis] = 20, 30
    position_mm = (np.arange(20) + 0.5) * 3.0
    ramp = np.broadcast_to(np.expand_dims(position_mm, tuple({0, 1, 2} - {axis})), shape)
    fine = np.moveaxis(resize(ramp, tuple(new)), axis, 0)[:, 0, 0]
    assert np.allclose(fine[1:-1], ((np.arange(30) + 0.5) * 2.0)[1:-1], atol=1e-3)


def test_shrinking_averages() -> None:
    noise = np.random.default_rng(0).normal(0, 20, (32, 64, 64)).astype(np.float32)
    assert resize(noise, (16, 16, 16)).std() < 20 / 4


def test_labels_keep_thin_organs_and_unknown() -> None:
    labels = np.zeros((12, 40, 40), np.uint8)
    labels[:, 10:14, 10:14] = 4  # a nerve of 4 mm on a 1 mm grid
    labels[:, 30:, 30:] = 255
    small = resize_labels(labels, (6, 20, 20))
    assert (small == 4).sum() == 6 * 2 * 2
    assert (small == 255).sum() == 6 * 5 * 5
    assert set(np.unique(small)) == {0, 4, 255}


@given(sizes)
def test_same_size_changes_nothing(size: tuple[int, ...]) -> None:
    labels = np.random.default_rng(1).integers(0, 10, size).astype(np.uint8)
    assert (resize_labels(labels, size) == labels).all()


def test_grid_size_is_the_nearest() -> None:
    assert grid_size((159, 512, 512), (2.5, 1.01, 1.01), (2.5, 2.0, 2.0)) == (159, 259, 259)
    assert grid_size((1, 1, 1), (1.0, 1.0, 1.0), (9.0, 9.0, 9.0)) == (1, 1, 1)


@given(st.integers(1, 40), st.integers(1, 40))
def test_between_is_torchs_linear_interpolation(size: int, other: int) -> None:
    values = torch.from_numpy(np.random.default_rng(size).normal(size=other))
    there = between(size, other)
    ours = values[there.below].lerp(values[there.above], there.share.double())
    theirs = torch.nn.functional.interpolate(values[None, None], size, mode="linear")[0, 0]
    assert torch.allclose(ours, theirs, atol=1e-5)


@given(st.integers(1, 40), st.lists(st.booleans(), min_size=1, max_size=40))
def test_what_a_stretch_leaves_out_touches_nothing_that_is_marked(
    size: int, marks: list[bool]
) -> None:
    marked, there = torch.tensor(marks), between(size, len(marks))
    touched = marked[there.below] | marked[there.above]
    stretch = there.touching(marked)
    assert touched.sum() == touched[stretch].sum()
    assert stretch == slice(0, 0) or (touched[stretch.start] and touched[stretch.stop - 1])
