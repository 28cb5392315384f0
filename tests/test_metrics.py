"""Metrics against closed forms, a brute-force float64 oracle, and two human observers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from organnet.errors import OrganNetError
from organnet.metrics import (
    DEFINITIONS,
    dice,
    hd95,
    score_case,
    surface_dice,
    surface_distances,
    surface_voxels,
)
from organnet.organs import ORGAN_NAMES, UNKNOWN, organ, swap_left_right

ISOTROPIC = (1.0, 1.0, 1.0)
MASKS = hnp.arrays(bool, st.tuples(*[st.integers(1, 5)] * 3))
SPACINGS = st.tuples(*[st.floats(0.3, 5.0)] * 3)


def brute_force(a, b, spacing_mm):
    """All pairs of surface voxels, by the words of DEFINITIONS alone."""

    def surface(mask):
        centres = []
        for voxel in np.argwhere(mask):
            for step in np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)]):
                n = voxel + step
                inside = (n >= 0).all() and (n < mask.shape).all()
                if not (inside and mask[tuple(n)]):
                    centres.append(voxel * np.array(spacing_mm, np.float64))
                    break
        return np.array(centres)

    pairs = np.linalg.norm(surface(a)[:, None] - surface(b)[None], axis=-1)
    there, back = pairs.min(1), pairs.min(0)
    return (
        2 * (a & b).sum() / (a.sum() + b.sum()),
        max(np.percentile(there, 95), np.percentile(back, 95)),
        np.concatenate([there, back]),
    )


def box(shape, corner, size, label=1):
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))] = label
    return labels


def row(scores, name):
    return next(score for score in scores if score.organ == name)


def brain_stem(reference, prediction, spacing_mm=ISOTROPIC):
    return row(score_case(reference, prediction, spacing_mm, {"BrainStem"}), "BrainStem")


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_two_cubes_shifted_by_k_voxels(k):
    n, shape = 10, (14, 14, 30)
    score = brain_stem(box(shape, (2, 2, 2), (n, n, n)), box(shape, (2, 2, 2 + k), (n, n, n)))
    assert score.dsc == pytest.approx((n - k) / n)
    # 12 to 20 % of the surface is the face that moved, and its voxels are k voxels off.
    assert score.hd95_mm == k
    assert score.status == "scored"


def test_two_voxels_two_millimetres_apart():
    a, b = box((3, 3, 9), (1, 1, 1), (1, 1, 1)), box((3, 3, 9), (1, 1, 5), (1, 1, 1))
    score = brain_stem(a, b, (3.0, 1.0, 0.5))
    assert (score.dsc, score.hd95_mm, score.surface_dice) == (0.0, 2.0, 1.0)
    score = brain_stem(a, b, (3.0, 1.0, 0.51))
    assert (score.hd95_mm, score.surface_dice) == (pytest.approx(2.04), 0.0)


def test_two_millimetres_in_twenty_rounded_steps_are_two_millimetres():
    a, b = box((1, 1, 64), (0, 0, 43), (1, 1, 1)), box((1, 1, 64), (0, 0, 63), (1, 1, 1))
    assert brain_stem(a, b, (1.0, 1.0, 0.1)).surface_dice == 1.0


def test_concentric_spheres_are_apart_by_the_difference_of_their_radii():
    r = np.linalg.norm(np.indices((61, 61, 61)) - 30.0, axis=0)
    score = brain_stem((r <= 20).astype(np.uint8), (r <= 25).astype(np.uint8), (0.5, 0.5, 0.5))
    assert score.dsc == pytest.approx(2 * 20**3 / (20**3 + 25**3), abs=0.01)
    assert score.hd95_mm == pytest.approx(2.5, abs=0.25)
    assert (r <= 20).sum() == score.reference_voxels


def test_distances_count_millimetres_not_voxels():
    a, b = box((8, 8, 8), (1, 2, 2), (1, 4, 4)), box((8, 8, 8), (3, 2, 2), (1, 4, 4))
    assert brain_stem(a, b, (2.5, 1.0, 1.0)).hd95_mm == 5.0
    assert brain_stem(a, b, (1.0, 2.5, 2.5)).hd95_mm == 2.0


def test_percentile_is_interpolated_linearly():
    rising = np.arange(11.0)
    assert hd95(rising, np.zeros(3)) == 9.5
    assert hd95(np.zeros(3), rising) == 9.5


def test_surface_of_a_cube_and_at_the_border():
    cube = box((5, 5, 5), (1, 1, 1), (3, 3, 3)) == 1
    assert surface_voxels(cube).sum() == 26
    full = np.ones((4, 4, 4), bool)
    assert surface_voxels(full).sum() == 64 - 8  # beyond the border is outside


@settings(max_examples=150, deadline=None)
@given(st.data(), MASKS, SPACINGS)
def test_as_a_brute_force_over_all_pairs(data, a, spacing_mm):
    b = data.draw(hnp.arrays(bool, a.shape))
    if not (a.any() and b.any()):
        return
    expected_dice, expected_hd95, all_distances = brute_force(a, b, spacing_mm)
    distances = surface_distances(a, b, spacing_mm)
    assert dice(a, b) == expected_dice
    assert hd95(*distances) == pytest.approx(expected_hd95, abs=1e-9)
    np.testing.assert_allclose(np.concatenate(distances), all_distances, atol=1e-9)
    if np.abs(all_distances - 2.0).min() > 1e-5:
        assert surface_dice(*distances) == pytest.approx((all_distances <= 2.0).mean())
    # The box that score_case works in changes nothing.
    score = brain_stem(np.pad(a, 2).astype(np.uint8), np.pad(b, 2).astype(np.uint8), spacing_mm)
    assert score.hd95_mm == pytest.approx(expected_hd95, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.data(), SPACINGS)
def test_symmetric_and_the_same_after_a_flip_with_labels_swapped(data, spacing_mm):
    shape = data.draw(st.tuples(*[st.integers(2, 6)] * 3))
    labels = st.sampled_from([0, *range(1, 10)])
    a, b = (data.draw(hnp.arrays(np.uint8, shape, elements=labels)) for _ in range(2))
    drawn = frozenset(ORGAN_NAMES)
    there, back = score_case(a, b, spacing_mm, drawn), score_case(b, a, spacing_mm, drawn)
    mirrored = [np.ascontiguousarray(swap_left_right(m)[:, :, ::-1]) for m in (a, b)]
    flipped = score_case(*mirrored, spacing_mm, drawn)
    for score, other in zip(there, back, strict=True):
        partner = row(flipped, organ(score.organ).partner)
        for match in (other, partner):
            assert match.dsc == score.dsc
            assert match.hd95_mm == pytest.approx(score.hd95_mm)
            assert match.surface_dice == score.surface_dice
        assert (other.reference_voxels, other.predicted_voxels) == (
            score.predicted_voxels,
            score.reference_voxels,
        )


def test_nine_rows_in_order_and_what_is_missing():
    shape, spacing_mm = (3, 4, 12), (3.0, 1.0, 1.0)
    diagonal = math.sqrt(9**2 + 4**2 + 12**2)
    reference = box(shape, (0, 0, 0), (1, 1, 1), label=1) + box(shape, (1, 1, 1), (1, 1, 1), 3)
    prediction = box(shape, (0, 0, 0), (1, 1, 1), label=1) + box(shape, (2, 2, 2), (1, 1, 2), 2)
    prediction += box(shape, (2, 0, 5), (1, 1, 3), label=9)
    drawn = {"BrainStem", "Chiasm", "Mandible", "Parotid_L"}
    scores = score_case(reference, prediction, spacing_mm, drawn)
    assert tuple(score.organ for score in scores) == ORGAN_NAMES

    def summary(name):
        score = row(scores, name)
        return score.status, score.dsc, score.hd95_mm, score.surface_dice

    assert summary("BrainStem") == ("scored", 1.0, 0.0, 1.0)
    assert summary("Chiasm") == ("reference empty", 0.0, diagonal, 0.0)
    assert summary("Mandible") == ("prediction empty", 0.0, diagonal, 0.0)
    assert summary("Parotid_L") == ("both empty", 1.0, 0.0, 1.0)
    undrawn = row(scores, "Submandibular_R")
    assert undrawn.status == "not drawn"
    assert all(math.isnan(v) for v in (undrawn.dsc, undrawn.hd95_mm, undrawn.surface_dice))
    assert (undrawn.reference_voxels, undrawn.predicted_voxels) == (0, 3)


def test_unknown_voxels_are_cut_out_of_both():
    reference = box((4, 8, 8), (0, 2, 2), (2, 4, 4))
    prediction = box((4, 8, 8), (0, 2, 2), (4, 4, 4))
    assert brain_stem(reference, prediction).dsc == pytest.approx(2 / 3)
    reference[2:] = UNKNOWN
    score = brain_stem(reference, prediction)
    assert (score.dsc, score.hd95_mm, score.predicted_voxels) == (1.0, 0.0, 32)
    reference[:] = UNKNOWN
    assert brain_stem(reference, prediction).status == "both empty"


def test_arrays_of_different_shape_are_refused():
    scorer = getattr(score_case, "__wrapped__", score_case)  # past the shape checker of the tests
    with pytest.raises(OrganNetError, match="resample the prediction"):
        scorer(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8), ISOTROPIC, set())


def test_every_score_has_a_definition():
    assert {"dsc", "hd95_mm", "surface_dice"} < set(DEFINITIONS)
    assert all(text.endswith(".") for text in DEFINITIONS.values())


@pytest.mark.parametrize("case", ["0522c0057", "TCGA-CV-7236"])
def test_two_human_observers_against_a_distance_transform(shared_data, case):
    sitk = pytest.importorskip("SimpleITK")
    from scipy.ndimage import binary_erosion, distance_transform_edt

    def read(observer, name):
        folder = shared_data / "observers" / "test" / observer / case / "segmentations"
        paths = [p for p in folder.iterdir() if p.stem.replace("_", "-") == name]
        if not paths:
            pytest.skip(f"{folder}/{name}.nrrd is absent")
        image = sitk.ReadImage(str(paths[0]))
        return sitk.GetArrayFromImage(image) > 0, image.GetSpacing()[::-1]

    for name in ("Brainstem", "Parotid-Lt", "Optic-Nerve-Rt"):
        (a, spacing_mm), (b, _) = read("oncologist", name), read("radiographer", name)
        score = brain_stem(a.astype(np.uint8), b.astype(np.uint8), spacing_mm)
        near = tuple(
            slice(max(0, i.min() - 2), i.max() + 3) for i in np.nonzero(a | b)
        )  # the transform of the whole grid takes a minute
        a, b = a[near], b[near]
        edges = [m & ~binary_erosion(m) for m in (a, b)]
        there = distance_transform_edt(~edges[1], sampling=spacing_mm)[edges[0]]
        back = distance_transform_edt(~edges[0], sampling=spacing_mm)[edges[1]]
        assert score.hd95_mm == pytest.approx(
            max(np.percentile(there, 95), np.percentile(back, 95))
        )
        assert score.dsc == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert 0.5 < score.dsc < 1


def test_a_misspelt_organ_is_refused_and_not_left_out() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    with pytest.raises(OrganNetError, match="Brainstem is none of the organs: choose of"):
        score_case(labels, labels, (1.0, 1.0, 1.0), {"Brainstem", "Mandible"})
