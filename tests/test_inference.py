"""From a CT to a label map on the CT's own grid, whatever its orientation."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from stand_ins import Threshold, block_ct, network

from organnet.errors import OrganNetError
from organnet.head import head_box, longer_box
from organnet.inference import (
    drop_stray_pieces,
    entropy_nats,
    label_map,
    predict,
)
from organnet.organs import FLIPPED_LABELS, swap_left_right
from organnet.settings import make_settings
from organnet.volume import Volume
from organnet.weights import Network


def test_labels_lie_where_the_block_lies_on_the_cts_own_grid() -> None:
    for spacing_mm in [(3.0, 3.0, 3.0), (2.5, 1.7, 1.7)]:
        ct = block_ct(spacing_mm=spacing_mm)
        labels = predict([network(Threshold())], ct).labels
        truth = ct.array == 250
        found = labels.array == 1
        assert labels.array.dtype == np.uint8
        assert labels.shape == ct.shape
        overlap = 2 * (truth & found).sum() / (truth.sum() + found.sum())
        assert overlap > 0.75  # the smoke grid is 5 mm
        for axis in range(3):  # and it is not shifted
            middle = [np.nonzero(mask)[axis].mean() for mask in (truth, found)]
            assert abs(middle[0] - middle[1]) * spacing_mm[axis] < 1.5


def test_every_orientation_gives_the_same_anatomy() -> None:
    ct = block_ct()
    expected = predict([network(Threshold())], ct).labels.array
    for order, flips in itertools.product(
        itertools.permutations(range(3)), itertools.product([False, True], repeat=3)
    ):
        array = ct.array.transpose(order)
        direction = np.eye(3)[:, order]
        corner = np.zeros(3)
        for axis in np.flatnonzero(flips):
            array = np.flip(array, axis)
            corner += direction[:, axis] * (array.shape[axis] - 1) * 3.0
            direction[:, axis] *= -1
        z, y, x = corner
        turned = Volume(
            np.ascontiguousarray(array), ct.spacing_mm, (float(z), float(y), float(x)), direction
        )
        labels = predict([network(Threshold())], turned).labels.array
        back = np.flip(labels, np.flatnonzero(flips)).transpose(np.argsort(order))
        assert (back == expected).all(), (order, flips)


def test_a_head_below_raised_arms_is_found() -> None:
    """Hands are no top of a head: the box below them ends above what is to be found."""
    ct = Volume(np.full((160, 60, 60), -1000, np.int16), (5.0, 3.0, 3.0))
    ct.array[5:80, 6:-6, 6:-6] = 0
    ct.array[80:150, 16:36, 6:26] = ct.array[80:150, 16:36, -26:-6] = 0  # arms, 350 mm long
    box = head_box(ct)
    assert box[0].start > 80 and longer_box(ct, box)[0] == slice(box[0].start - 58, box[0].stop)
    assert not predict([network(Threshold())], ct).labels.array.any()
    for bottom in (66, box[0].start - 3):  # wholly below the box, or cut by it
        block = np.s_[bottom : bottom + 8, 20:32, 10:22]
        shown = ct.with_array(ct.array.copy())
        shown.array[block] = 250
        for deep in (False, True):
            found = predict([network(Threshold())], shown, deep).labels.array == 1
            overlap = 2 * found[block].sum() / (found.sum() + found[block].size)
            assert overlap > 0.75  # the smoke grid is 5 mm


def test_a_speck_at_the_end_of_the_box_is_no_reason_to_look_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ct = Volume(np.full((160, 60, 60), -1000, np.int16), (5.0, 3.0, 3.0))
    ct.array[5:150, 6:-6, 6:-6] = 0
    box = head_box(ct)
    ct.array[120:132, 14:30, 34:46] = 250  # in the head
    ct.array[box[0].start : box[0].start + 2, 20:23, 20:23] = 250
    monkeypatch.setattr("organnet.inference.longer_box", pytest.fail)
    found = predict([network(Threshold())], ct).labels.array
    assert found[120:132].any() and not found[:110].any()


def test_what_was_found_in_the_head_stays_where_less_is_found_further_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ct = Volume(np.full((160, 60, 60), -1000, np.int16), (5.0, 3.0, 3.0))
    ct.array[5:150, 6:-6, 6:-6] = 0
    start = head_box(ct)[0].start
    ct.array[start - 4 : start + 4, 20:30, 20:30] = 250
    monkeypatch.setattr(
        "organnet.inference.longer_box", lambda *_: (slice(0, 20), slice(0, 60), slice(0, 60))
    )
    found = predict([network(Threshold())], ct).labels.array
    assert found[start:].any() and not found[:start].any()


def test_deep_gives_entropy_and_both_drop_a_stray_piece() -> None:
    ct = block_ct()
    ct.array[30:34, 14:20, 14:20] = 250  # a second, smaller block
    shallow = predict([network(Threshold())], ct)
    deep = predict([network(Threshold()), network(Threshold())], ct, deep=True)
    assert shallow.entropy is None
    assert not (shallow.labels.array[30:34, 14:20, 14:20] == 1).any()
    assert not (deep.labels.array[30:34, 14:20, 14:20] == 1).any()
    assert deep.entropy is not None
    assert deep.entropy.shape == ct.shape
    assert 0 <= deep.entropy.array.min() <= deep.entropy.array.max() <= np.log(10)


def test_windows_are_seen_mirrored_where_the_settings_ask_for_it() -> None:
    seen = []

    class Watched(Threshold):
        def forward(self, patch: torch.Tensor) -> torch.Tensor:
            seen.append(patch.clone())
            return super().forward(patch)

    plain = network(Watched())
    inference = dataclasses.replace(plain.settings.inference, mirror=True)
    asked = Network(plain.model, dataclasses.replace(plain.settings, inference=inference))
    predict([plain], block_ct())
    windows = seen.copy()
    seen.clear()
    predict([asked], block_ct())
    assert len(seen) == 2 * len(windows)
    for window, as_seen, mirrored in zip(windows, seen[::2], seen[1::2], strict=True):
        assert torch.equal(window, as_seen) and torch.equal(window.flip(-1), mirrored)


def test_every_network_has_its_own_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(network: Network, hu, overlap: float, mirror: bool) -> torch.Tensor:
        seen.append((overlap, mirror))
        return torch.full((10, *hu.shape), 0.1)

    monkeypatch.setattr("organnet.inference.window_probabilities", watched)
    one = network(Threshold())
    inference = dataclasses.replace(one.settings.inference, overlap=0.375, mirror=True)
    other = Network(one.model, dataclasses.replace(one.settings, inference=inference))
    predict([one, other], block_ct())
    predict([other, one], block_ct())
    first, second = (one.settings.inference.overlap, False), (0.375, True)
    assert seen == [first, second, second, first]


def test_networks_of_different_grids_are_not_averaged() -> None:
    other = make_settings("phantom", "demo")
    with pytest.raises(OrganNetError, match="one profile"):
        predict([network(Threshold()), Network(Threshold(), other)], block_ct())


def test_entropy_of_certainty_and_of_ignorance() -> None:
    p = torch.zeros(10, 1, 1, 2)
    p[3, ..., 0] = 1
    p[..., 1] = 0.1
    assert np.allclose(entropy_nats(p)[0, 0], [0, np.log(10)])


def test_stray_pieces_go_and_both_halves_of_an_organ_stay() -> None:
    labels = np.zeros((6, 12, 12), np.uint8)
    labels[1:4, 1:4, 1:4] = 3
    labels[4, 4, 4] = 3  # touches the block at a corner: 28 voxels
    labels[5, 9, 8:10] = 3  # 2 voxels, less than a tenth
    labels[0, 9, 8:11] = 3  # 3 voxels, more than a tenth
    drop_stray_pieces(labels, (2.0, 2.0, 2.0))
    assert (labels == 3).sum() == 28 + 3
    assert not labels[5].any()
    assert labels[0, 9, 8:11].all()


@pytest.mark.parametrize("voxels", [13, 12])
def test_an_organ_in_a_few_voxels_is_none(voxels: int) -> None:
    """Of 0.008 ml each, in two pieces; what is dropped for its place does not count."""
    labels = np.zeros((40, 4, 20), np.uint8)
    labels[0, 0, :8] = 4
    labels[0, 2, : voxels - 8] = 4
    labels[-1, 0, :8] = 4  # 76 mm off
    labels[1] = 5  # another organ, of which there is enough
    drop_stray_pieces(labels, (2.0, 2.0, 2.0))
    assert (labels == 4).sum() == (13 if voxels == 13 else 0)
    assert (labels == 5).sum() == 80


@pytest.mark.parametrize(
    ("spacing_mm", "kept"), [((5.0, 4.0, 2.0), True), ((5.1, 4.0, 2.0), False)]
)
def test_a_piece_far_off_goes_however_large(spacing_mm, kept: bool) -> None:
    """With 10 sections between the two boxes, though 14 between some of their voxels."""
    labels = np.zeros((20, 6, 6), np.uint8)
    labels[:4] = 6
    labels[4:6, 1:3, 1:3] = 6  # of one piece with the block
    labels[16:, :3, :5] = 6
    drop_stray_pieces(labels, spacing_mm)
    assert labels[16:].any() == kept
    assert labels[:6].any()


def test_labels_are_interpolated_between_probabilities() -> None:
    p = torch.zeros(10, 2, 2, 2)
    p[0, 0], p[5, 1] = 1, 1
    labels = label_map(p, (8, 4, 4))
    assert (labels[:4] == 0).all()
    assert (labels[4:] == 5).all()


def test_what_lies_between_no_voxels_of_a_coarser_ct_is_left_out() -> None:
    """Of nine rows onto three, rows 0, 3 and 6 are passed by."""
    p = torch.zeros(10, 10, 9, 9)
    p[0] = 1
    p[:, :, 3, 3], p[5, :, 3, 3] = 0, 1
    assert not label_map(p, (5, 3, 3)).any()


@pytest.mark.parametrize("shape", [(21, 40, 33), (4, 6, 5), (3, 2, 2)])
def test_classes_that_cannot_win_are_left_out_and_nothing_changes(shape) -> None:
    """Slice by slice the likeliest of all ten is the same as the likeliest of some."""
    p = torch.randn((10, 7, 9, 8), generator=torch.Generator().manual_seed(1)) * 3
    p[0] += 4  # background wins mostly, as in a CT
    p[7] -= 20
    p = p.softmax(0)
    columns = torch.nn.functional.interpolate(
        p.flatten(2)[None], (shape[0], 72), mode="bilinear"
    ).unflatten(-1, (9, 8))
    whole = torch.nn.functional.interpolate(
        columns[0].transpose(0, 1), shape[1:], mode="bilinear"
    ).argmax(1)
    assert len(whole.unique()) > (5 if whole.numel() > 100 else 1)
    assert (label_map(p, shape) == whole.numpy()).mean() > 0.999


MEMORY = """
import resource, sys
sys.path.insert(0, "tests")
from stand_ins import Threshold, block_ct, network
from organnet.inference import predict
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
predict([network(Threshold())], block_ct())  # what loading costs
ct = block_ct((100, 512, 512), (3.0, 0.5, 0.5))
before = peak()
predict([network(Threshold())], ct)
print((peak() - before) / (ct.array.size * 4))
"""


def test_memory_stays_far_below_ten_float_volumes() -> None:
    """In a process of its own, since torch's memory is seen by the system alone."""
    out = subprocess.check_output([sys.executable, "-c", MEMORY], text=True, cwd=REPOSITORY)
    assert float(out) < 5, "float volumes of the CT's size"


def test_a_ct_without_tissue_is_background() -> None:
    ct = Volume(np.full((8, 20, 20), -1000, np.int16), (3.0, 3.0, 3.0))
    assert not predict([network(Threshold())], ct).labels.array.any()


def test_flipped_labels_agree_with_the_swap() -> None:
    assert tuple(swap_left_right(np.arange(10, dtype=np.uint8))) == FLIPPED_LABELS
