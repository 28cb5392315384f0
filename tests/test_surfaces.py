"""Surfaces: where they lie, how much they hold, and what a still of them shows."""

import numpy as np
import pytest

from organnet.figures.solid import render
from organnet.organs import UNKNOWN
from organnet.surfaces import bone_surface, organ_surfaces
from organnet.volume import Volume

SPACING_MM = (2.5, 1.0, 0.8)


def ball(radius_mm=14.0, centre_mm=(40.0, 40.0, 40.0), label=6):
    grid = np.indices((32, 80, 100)) * np.reshape(SPACING_MM, (3, 1, 1, 1))
    inside = np.linalg.norm(grid - np.reshape(centre_mm, (3, 1, 1, 1)), axis=0) < radius_mm
    return Volume(np.where(inside, label, 0).astype(np.uint8), SPACING_MM)


def enclosed_ml(surface):
    """Volume of a closed surface by the divergence theorem; positive where normals point out."""
    a, b, c = surface.points_mm[surface.triangles].transpose(1, 0, 2)
    normals = surface.normals[surface.triangles[:, 0]]
    winding = np.sign(np.einsum("ij,ij->i", np.cross(b - a, c - a), normals))
    return float((winding * np.einsum("ij,ij->i", a, np.cross(b, c))).sum() / 6 / 1000)


def test_a_ball_keeps_its_place_and_size():
    surface = organ_surfaces(ball())["Parotid_L"]
    radii = np.linalg.norm(surface.points_mm - 40, axis=1)
    assert np.allclose(radii, 14, atol=1.5)
    assert enclosed_ml(surface) == pytest.approx(4 / 3 * np.pi * 1.4**3, rel=0.05)


def test_normals_point_outwards():
    surface = organ_surfaces(ball())["Parotid_L"]
    outwards = (surface.points_mm - 40) / np.linalg.norm(
        surface.points_mm - 40, axis=1, keepdims=True
    )
    assert (np.einsum("ij,ij->i", surface.normals, outwards) > 0.7).all()


def test_one_voxel_and_a_thin_line_are_not_lost():
    array = np.zeros((8, 20, 20), np.uint8)
    array[3, 4, 5] = 2
    array[4, 2:18, 12] = 4
    surfaces = organ_surfaces(Volume(array, SPACING_MM))
    assert set(surfaces) == {"Chiasm", "OpticNerve_L"}
    middle = surfaces["Chiasm"].points_mm.mean(0)
    assert np.allclose(middle, np.multiply((3, 4, 5), SPACING_MM), atol=0.3)
    length = np.ptp(surfaces["OpticNerve_L"].points_mm[:, 1])
    assert length == pytest.approx(16, abs=2)


def test_an_oblique_grid_is_followed():
    turn = np.deg2rad(10)
    direction = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]]
    )
    straight = ball()
    oblique = Volume(straight.array, SPACING_MM, (5.0, -7.0, 3.0), direction)
    surface = organ_surfaces(oblique)["Parotid_L"]
    centre = oblique.position_mm((40 / 2.5, 40.0, 40 / 0.8))
    assert np.allclose(surface.points_mm.mean(0), centre, atol=0.5)


def test_background_and_unknown_have_no_surface():
    assert organ_surfaces(Volume(np.full((4, 4, 4), UNKNOWN, np.uint8), SPACING_MM)) == {}


def test_bone_is_found_at_its_place_and_only_where_there_is_some():
    ball_of_bone = ball(label=1)
    ct = ball_of_bone.with_array(np.where(ball_of_bone.array, 900, 40).astype(np.int16))
    surface = bone_surface(ct)
    assert surface is not None
    assert np.allclose(surface.points_mm.mean(0), 40, atol=1.5)
    assert bone_surface(ct.with_array(np.full(ct.shape, 40, np.int16))) is None


def colours(picture):
    return {tuple(np.round(c, 1)) for c in picture.reshape(-1, 3)}


def test_the_patients_left_is_on_the_right_of_a_view_from_the_front():
    surfaces = organ_surfaces(ball(8, (40, 40, 60), 6)) | organ_surfaces(ball(8, (40, 40, 20), 7))
    picture, _ = render(surfaces, None, 0.0)
    paleness = picture.min(-1)  # the left parotid is the paler of the two
    half = picture.shape[1] // 2
    assert paleness[:, half:].max() > paleness[:, :half].max() + 0.1


def test_head_is_up_and_the_nearer_organ_hides_the_farther():
    above = organ_surfaces(ball(6, (60, 40, 40), 3))
    below = organ_surfaces(ball(6, (20, 40, 40), 1))
    picture, (wide, high) = render(above | below, None, 0.0)
    rows = len(picture)
    assert picture[: rows // 2, :, 0].max() > picture[rows // 2 :, :, 0].max()  # orange above
    assert high == pytest.approx(40 + 12 + 8, abs=3) and wide == pytest.approx(12 + 8, abs=3)

    front = organ_surfaces(ball(10, (40, 20, 40), 3))
    behind = organ_surfaces(ball(6, (40, 60, 40), 1))
    hidden, _ = render(behind | front, None, 0.0)
    alone, _ = render(front, None, 0.0)
    assert colours(hidden) == colours(alone)


def test_organs_shine_through_bone():
    organ = organ_surfaces(ball(6, (40, 60, 40), 3))
    bone_ball = ball(15, (40, 30, 40), 1)
    bone = bone_surface(bone_ball.with_array(np.where(bone_ball.array, 900, 40).astype(np.int16)))
    picture, _ = render(organ, bone, 0.0)
    assert (picture[..., 0] > picture[..., 2] + 0.3).any()  # orange, through what lies before it
