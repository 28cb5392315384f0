"""What the network sees: the right place, the right organs, the same again from the same key."""

import dataclasses

import numpy as np
import pytest
import torch

from organnet.augment import between_knots, sampling_knots_mm, vary_intensity, vary_resolution
from organnet.hu import network_units
from organnet.organs import ORGANS, organ, swap_left_right
from organnet.patches import Patches, draw_patch
from organnet.prepared import PreparedCase, drawn_classes
from organnet.settings import PatchSettings

STILL = PatchSettings(
    spacing_mm=(2.0, 2.0, 2.0),
    size=(9, 13, 17),  # odd, so that a still patch lies voxel on voxel
    organ_share=1.0,
    flip_share=0.0,
    rotation_degrees=0.0,
    scale_share=0.0,
    shift_mm=0.0,
    elastic_mm=0.0,
    brightness_hu=0.0,
    contrast_share=0.0,
    noise_hu=0.0,
)
VARIED = dataclasses.replace(
    STILL, flip_share=0.5, rotation_degrees=10.0, scale_share=0.1, shift_mm=6.0, elastic_mm=3.0
)


def small_case(drawn: tuple[str, ...] = tuple(o.name for o in ORGANS)) -> PreparedCase:
    """HU rise with x; right organs lie at low x, left ones at high x."""
    labels = np.zeros((24, 40, 40), np.uint8)
    for number, item in enumerate(o for o in ORGANS if o.name in drawn):
        x = {"L": 30, "R": 8}.get(item.name[-1] if "_" in item.name else "", 20)
        labels[10:13, 3 + 4 * number : 5 + 4 * number, x : x + 3] = item.label
    ct = np.broadcast_to(np.arange(40, dtype=np.int16) * 10 - 200, labels.shape).copy()
    return PreparedCase("small", ct, labels, drawn_classes(drawn), (2.0, 2.0, 2.0))


def test_without_variation_a_patch_is_a_cut_out() -> None:
    case = small_case(("Chiasm",))
    case.labels[:] = 0
    case.labels[12, 20, 20] = 2
    patch = draw_patch(case, STILL, np.random.default_rng(0))
    assert patch.labels.shape == STILL.size
    expected_hu = (np.arange(17.0) - 8 + 20) * 10 - 200
    expected = network_units(torch.tensor(expected_hu), STILL.hu_window)
    assert np.allclose(patch.ct[0, 4, 6], expected, atol=1e-4)
    assert np.argwhere(patch.labels.numpy() == 2).tolist() == [[4, 6, 8]]


def test_outside_the_case_is_air() -> None:
    case = small_case()
    big = dataclasses.replace(STILL, size=(64, 64, 64))
    patch = draw_patch(case, big, np.random.default_rng(0))
    assert (patch.ct[0, 0] == -1).all()
    assert (patch.labels[0] == 0).all()


def test_a_flip_swaps_the_organs_and_what_is_drawn() -> None:
    case = small_case(("Parotid_L", "OpticNerve_R", "BrainStem"))
    for index in range(20):
        key = (3, index)
        plain = draw_patch(case, STILL, np.random.default_rng(key))
        flipped = draw_patch(
            case, dataclasses.replace(STILL, flip_share=1.0), np.random.default_rng(key)
        )
        mirrored = np.ascontiguousarray(plain.labels.numpy()[..., ::-1])
        assert (flipped.labels.numpy() == swap_left_right(mirrored)).all()
        torch.testing.assert_close(flipped.ct, plain.ct.flip(-1), atol=1e-4, rtol=0)
        assert flipped.drawn[organ("Parotid_R").label]
        assert not flipped.drawn[organ("Parotid_L").label]
        assert flipped.drawn[organ("BrainStem").label]


def test_swapping_twice_is_nothing_and_midline_organs_stay() -> None:
    labels = np.arange(256, dtype=np.uint8)
    assert (swap_left_right(swap_left_right(labels)) == labels).all()
    for item in ORGANS:
        assert organ(item.partner).partner == item.name
        assert (item.partner == item.name) == (item.name in {"BrainStem", "Chiasm", "Mandible"})


def test_small_organs_are_favoured() -> None:
    case = small_case()
    case.labels[14:22, 5:35, 5:35] = organ("BrainStem").label  # thousands of times the others
    settings = dataclasses.replace(STILL, size=(3, 3, 3))
    seen = np.zeros(10)
    for index in range(450):
        labels = draw_patch(case, settings, np.random.default_rng(index)).labels.numpy()
        seen[np.unique(labels)] += 1
    assert (seen[1:] > 25).all()  # 50 each on average


def test_a_flip_mirrors_what_rotation_and_bending_gave() -> None:
    knots = [sampling_knots_mm(VARIED, flip, np.random.default_rng(3)) for flip in (False, True)]
    assert torch.equal(knots[1], knots[0] * torch.tensor([1.0, 1.0, -1.0]))


def test_without_an_organ_a_patch_lies_around_tissue() -> None:
    case = small_case()
    case.ct[:, :, :30] = -1000  # three quarters are air
    nowhere = dataclasses.replace(STILL, size=(1, 1, 1), organ_share=0.0)
    drawn = [draw_patch(case, nowhere, np.random.default_rng(seed)) for seed in range(50)]
    assert all(patch.ct.item() > -1 for patch in drawn)
    assert len({patch.ct.item() for patch in drawn}) > 5
    case.ct[:] = -1000
    assert draw_patch(case, nowhere, np.random.default_rng(0)).ct.item() == -1


def test_a_patch_depends_on_its_key_alone() -> None:
    cases = [small_case(), small_case(("Mandible",)), small_case(("Parotid_L", "Parotid_R"))]
    first = Patches(cases, VARIED, 8, seed=5)
    again = Patches(cases, VARIED, 8, seed=5)
    for index in (6, 0, 3):
        a, b = first[index], again[index]
        assert all(
            torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
        )
    other = Patches(cases, VARIED, 8, seed=6)
    assert not torch.equal(first[0].ct, other[0].ct)


def test_every_case_is_used_as_often_as_any_other() -> None:
    patches = Patches([small_case()] * 5, STILL, 200, seed=0)
    order = np.array([patches.case_of(index) for index in range(200)]).reshape(40, 5)
    assert (np.sort(order) == np.arange(5)).all()
    assert len(np.unique(order, axis=0)) > 20  # of 120 orders


def test_knots_are_the_grid_when_still_and_bounded_when_not() -> None:
    still = sampling_knots_mm(STILL, False, np.random.default_rng(0))
    assert still[0, 0, 0].tolist() == [-8.0, -12.0, -16.0]
    assert still[-1, -1, -1].tolist() == [8.0, 12.0, 16.0]
    stiff = dataclasses.replace(VARIED, elastic_mm=0.0, scale_share=0.0)
    turned = sampling_knots_mm(stiff, False, np.random.default_rng(0))
    torch.testing.assert_close(turned.norm(dim=-1), still.norm(dim=-1))  # rotation keeps lengths
    elastic = dataclasses.replace(STILL, elastic_mm=3.0)
    moved = sampling_knots_mm(elastic, False, np.random.default_rng(0)) - still
    assert 0 < moved.abs().max() <= 3.0


@pytest.mark.parametrize("size", [(9, 13, 17), (8, 1, 5), (2, 3, 4)])
@pytest.mark.parametrize("knots", [(2, 2, 2), (3, 4, 5)])
def test_voxels_lie_between_knots_as_torch_interpolates(
    knots: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    values = torch.randn(*knots, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(
        values.movedim(-1, 0)[None], size, mode="trilinear", align_corners=True
    )
    torch.testing.assert_close(between_knots(values, size), expected[0].movedim(0, -1))


def test_resolution_varies_between_blurred_and_half_sharpened() -> None:
    """An edge of 100 HU: what a coarser scan shows of it, or as much as half of that taken away."""
    hu = torch.zeros(8, 8, 24)
    hu[..., 12:] = 100.0
    still = dataclasses.replace(STILL, spacing_mm=(2.0, 2.0, 2.0))
    assert torch.equal(vary_resolution(hu, still, np.random.default_rng(0)), hu)
    varied = dataclasses.replace(still, coarse_share=1.0, coarse_mm=(2.0, 2.0, 6.0))
    overshoot = []
    for index in range(30):
        seen = vary_resolution(hu, varied, np.random.default_rng(index))
        assert torch.allclose(seen[..., :5], hu[..., :5]) and torch.allclose(seen[0], seen[-1])
        overshoot.append(float((seen - hu).abs().max()) * (1 if seen.max() > 101 else -1))
    assert min(overshoot) < -20 and 5 < max(overshoot) < 50 + 1e-3


def test_intensity_varies_within_its_bounds() -> None:
    hu = torch.full((4, 5, 6), 100.0)
    assert torch.equal(vary_intensity(hu, STILL, np.random.default_rng(0)), hu)
    bright = dataclasses.replace(STILL, brightness_hu=30.0)
    for index in range(10):
        change = vary_intensity(hu, bright, np.random.default_rng(index)) - hu
        assert change.abs().max() <= 30
        assert change.std() < 1e-4


@pytest.mark.parametrize(("hu", "unit"), [(-1000, -1), (-200, -1), (100, 0), (400, 1), (3000, 1)])
def test_network_units(hu: float, unit: float) -> None:
    assert network_units(torch.tensor([float(hu)]), (-200.0, 400.0)).item() == unit
