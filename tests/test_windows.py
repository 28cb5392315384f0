"""Overlapping windows: they cover everything, and do not show."""

import contextlib
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import Sided, Threshold, block_ct, network

from organnet.windows import STRETCH, gaussian, window_probabilities, window_starts


@given(st.integers(1, 300), st.integers(1, 20), st.sampled_from([1, 2, 4, 16]), st.floats(0, 0.9))
def test_windows_cover_everything_and_overlap_enough(
    size: int, multiples: int, multiple: int, overlap: float
) -> None:
    patch = multiples * multiple
    length, starts = window_starts(size, patch, multiple, overlap)
    assert patch <= length <= patch * (1 + STRETCH)
    assert length % multiple == 0
    covered = np.zeros(max(size, length), bool)
    for start in starts:
        assert 0 <= start <= max(0, size - length)
        covered[start : start + length] = True
    assert covered.all()
    step = max(1, int(length * (1 - overlap)))
    assert all(b - a <= step for a, b in itertools.pairwise(starts))
    assert len(starts) == len(set(starts))


@pytest.mark.parametrize(
    ("size", "windows"),
    [
        (200, (256, [0])),  # a training patch, filled up with air
        (257, (260, [0])),  # a little longer, where two would be needed
        (288, (288, [0])),
        (289, (256, [0, 33])),  # no more than an eighth longer
        (416, (280, [0, 136])),
    ],
)
def test_a_window_is_stretched_where_one_less_is_then_needed(
    size: int, windows: tuple[int, list[int]]
) -> None:
    assert window_starts(size, 256, 4, 0.5) == windows


def test_gaussian_is_symmetric_positive_and_peaks_in_the_centre() -> None:
    weight = gaussian((4, 6, 8))
    torch.testing.assert_close(weight, weight.flip(0, 1, 2))
    assert weight.min() > 0
    assert weight[1:3, 2:4, 3:5].min() == weight.max()


def test_windows_do_not_show() -> None:
    """A network that looks at single voxels gives the same with and without windows."""
    hu = block_ct().array.astype(np.float32)
    p = window_probabilities(network(Threshold()), hu, overlap=0.5)
    whole = Threshold()(((torch.from_numpy(hu).clamp(-200, 400) + 200) / 300 - 1)[None, None])
    seen = hu > -500
    expected = whole[0].softmax(0)
    assert torch.allclose(p[:, seen], expected[:, seen], atol=1e-4)
    assert torch.allclose(p.sum(0), torch.ones(hu.shape), atol=1e-4)


@pytest.mark.parametrize("shape", [(5, 9, 7), (16, 32, 32), (17, 33, 70)])
def test_volumes_smaller_and_larger_than_a_window(shape: tuple[int, int, int]) -> None:
    p = window_probabilities(network(Threshold()), np.zeros(shape, np.float32), 0.5)
    assert p.shape == (10, *shape)


def test_mirroring_swaps_the_organs_back() -> None:
    """A network that knows left from right is as sure with mirroring as without."""
    hu = np.zeros((16, 32, 32), np.float32)
    plain = window_probabilities(network(Sided()), hu, 0.5)
    mirrored = window_probabilities(network(Sided()), hu, 0.5, mirror=True)
    torch.testing.assert_close(mirrored, plain)
    assert (plain.argmax(0)[..., 20:] == 6).all()


class Counted(Threshold):
    """Remembers how many windows it was shown at once."""

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        self.shown = [*getattr(self, "shown", []), len(patch)]
        return super().forward(patch)


def test_small_windows_go_together_and_those_without_tissue_not_at_all() -> None:
    hu = np.full((200, 40, 40), -1000, np.float32)
    hu[:150] = 0
    model = Counted()
    p = window_probabilities(network(model), hu, 0.5)
    length, starts = window_starts(200, 16, 2, 0.5)
    per_plane = len(window_starts(40, 32, 4, 0.5)[1]) ** 2
    assert sum(model.shown) == per_plane * sum(start < 150 for start in starts)
    assert 2 <= max(model.shown) < sum(model.shown)
    assert (p[0, 150 + length :] == 1).all()


def test_full_batches_of_windows_share_memory_and_nothing_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hu = np.random.default_rng(2).uniform(-300, 300, (40, 70, 70)).astype(np.float32)
    axes = [
        window_starts(*axis, 0.5) for axis in zip(hu.shape, (16, 32, 32), (2, 4, 4), strict=True)
    ]
    windows = math.prod(len(starts) for _, starts in axes)
    voxels = math.prod(length for length, _ in axes)
    shares: list[int] = []

    @contextlib.contextmanager
    def counted() -> Iterator[None]:
        shares.append(len(getattr(model, "shown", [])))
        yield

    monkeypatch.setattr("organnet.windows.kept_memory", counted)
    found = []
    for at_once, kept in ((windows, windows), (2, 5), (1, 0)):
        model = Counted()
        shares.clear()
        monkeypatch.setattr("organnet.windows.VOXELS_AT_ONCE", at_once * voxels)
        monkeypatch.setattr("organnet.windows.VOXELS_KEPT", kept * voxels)
        found.append(window_probabilities(network(model), hu, 0.5))
        assert sum(model.shown) == windows
        assert set(model.shown[:-1]) <= {at_once}
        turns = {windows: 1, 2: 2, 1: 1}[at_once]  # five windows hold two batches of two
        assert shares == list(range(0, len(model.shown), turns))
    assert windows > 8
    assert all(torch.allclose(found[0], other, atol=1e-5) for other in found[1:])
