"""Volumes: reading, refusing, writing, turning without moving a voxel."""

import itertools
import resource
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from organnet.errors import OrganNetError
from organnet.volume import (
    Volume,
    on_grid_of,
    read_ct,
    read_volume,
    same_grid,
    to_lps,
    write_volume,
)

SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha")
AXES = list(itertools.permutations(range(3)))
SIGNS = list(itertools.product((1.0, -1.0), repeat=3))


def head(shape: tuple[int, int, int] = (6, 20, 24), seed: int = 0) -> np.ndarray:
    """Values a CT may hold: air, and a box of soft tissue with some noise."""
    array = np.full(shape, -1000, np.int16)
    noise = np.random.default_rng(seed).integers(-90, 90, shape)
    inside = tuple(slice(n // 4, n - n // 4) for n in shape)
    array[inside] = noise[inside]
    return array


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (k for k in range(3) if k != axis)
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def message(error: pytest.ExceptionInfo[OrganNetError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def refused(path: Path, what: str, read=read_volume) -> None:
    with pytest.raises(OrganNetError, match=what) as error:
        read(path)
    assert str(path) in message(error)


# --- geometry -------------------------------------------------------------------------------


def test_a_file_written_by_simpleitk_has_its_axes_reversed(tmp_path: Path) -> None:
    image = sitk.Image([5, 4, 3], sitk.sitkInt16)
    image.SetSpacing((0.5, 1.5, 2.5))
    image.SetOrigin((10.0, 20.0, 30.0))
    image[4, 1, 2] = 7
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    volume = read_volume(tmp_path / "a.nrrd")
    assert volume.shape == (3, 4, 5)
    assert volume.spacing_mm == (2.5, 1.5, 0.5)
    assert volume.origin_mm == (30.0, 20.0, 10.0)
    assert volume.array[2, 1, 4] == 7
    expected = image.TransformIndexToPhysicalPoint((4, 1, 2))[::-1]
    assert volume.position_mm((2, 1, 4)) == pytest.approx(expected)
    assert volume.voxel_ml == pytest.approx(0.5 * 1.5 * 2.5 / 1000)


def test_an_oblique_file_has_the_positions_simpleitk_gives(tmp_path: Path) -> None:
    volume = Volume(head(), (2.5, 1.0, 0.9), (3.0, 2.0, 1.0), rotation((0.2, -0.3, 0.4)))
    write_volume(volume, tmp_path / "a.nrrd")
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    for index in [(0, 0, 0), (5, 0, 0), (0, 19, 3), (2, 3, 23)]:
        there = image.TransformIndexToPhysicalPoint(index[::-1])[::-1]
        assert volume.position_mm(index) == pytest.approx(there, abs=1e-4)


def test_a_ras_nrrd_is_turned_to_lps(tmp_path: Path) -> None:
    header = (
        b"NRRD0004\ntype: uchar\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 2 2\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (5,6,7)\nencoding: raw\n\n"
    )
    (tmp_path / "ras.nrrd").write_bytes(header + bytes(range(8)))
    volume = to_lps(read_volume(tmp_path / "ras.nrrd"))
    assert volume.array[0].tolist() == [[3, 2], [1, 0]]
    assert volume.origin_mm == (7.0, -7.0, -6.0)
    assert volume.direction == pytest.approx(np.eye(3))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_volumes_read_back(tmp_path: Path, suffix: str) -> None:
    volume = Volume(head(), (2.5, 1.0, 0.9), (3.0, -2.0, 1.0), rotation((0.1, 0.0, 0.2)))
    write_volume(volume, tmp_path / f"deeper/a{suffix}")
    again = read_volume(tmp_path / f"deeper/a{suffix}")
    assert np.array_equal(again.array, volume.array)
    assert again.array.dtype == np.int16
    assert same_grid(again, volume)
    assert [p.name for p in (tmp_path / "deeper").iterdir()] == [f"a{suffix}"]


def test_masks_are_written_as_bytes(tmp_path: Path) -> None:
    write_volume(Volume(head() > -500, (1.0, 1.0, 1.0)), tmp_path / "mask.nrrd")
    assert read_volume(tmp_path / "mask.nrrd").array.dtype == np.uint8


@given(
    axes=st.sampled_from(AXES),
    signs=st.sampled_from(SIGNS),
    angles=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
)
@settings(max_examples=150, deadline=None)
def test_turning_moves_no_voxel_and_can_be_undone(axes, signs, angles, shape) -> None:
    turned_axes = rotation(angles) @ (np.eye(3)[:, axes] * signs)
    check_turning(shape, np.ascontiguousarray(turned_axes))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("signs", SIGNS)
def test_all_48_orientations_become_the_identity(axes, signs) -> None:
    direction = np.ascontiguousarray(np.eye(3)[:, axes] * signs)
    turned = check_turning((2, 3, 4), direction)
    assert np.array_equal(turned.direction, np.eye(3))


def check_turning(shape: tuple[int, int, int], direction: np.ndarray) -> Volume:
    """Each voxel's value is its number, so that its place before and after can be compared."""
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    volume = Volume(array, (2.5, 1.1, 0.7), (4.0, 5.0, 6.0), direction)
    turned = to_lps(volume)
    assert turned.array.flags.c_contiguous
    for index in np.ndindex(turned.shape):
        before = np.unravel_index(turned.array[index], shape)
        position = volume.position_mm(tuple(int(i) for i in before))
        assert turned.position_mm(index) == pytest.approx(position, abs=1e-9)
    largest = np.abs(turned.direction).argmax(axis=0)
    if sorted(largest) == [0, 1, 2] and np.abs(turned.direction).max(axis=0).min() > 0.8:
        assert largest.tolist() == [0, 1, 2]
        assert (np.diag(turned.direction) > 0).all()
    back = on_grid_of(turned.with_array(turned.array + 1), volume)
    assert np.array_equal(back.array, array + 1)
    assert back.array.flags.c_contiguous
    assert (back.spacing_mm, back.origin_mm) == (volume.spacing_mm, volume.origin_mm)
    assert back.direction is volume.direction
    return turned


def test_turning_a_volume_that_lies_right_copies_nothing() -> None:
    volume = Volume(head(), (2.5, 1.0, 1.0))
    assert np.shares_memory(to_lps(volume).array, volume.array)


def test_going_back_refuses_another_grid() -> None:
    reference = Volume(head((4, 5, 6)), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="does not fit"):
        on_grid_of(Volume(head((4, 6, 5)), (1.0, 1.0, 1.0)), reference)


@pytest.mark.parametrize(
    "other",
    [
        {"origin_mm": (0.0, 0.0, 0.2)},
        {"spacing_mm": (2.5, 1.0, 1.01)},
        {"direction": rotation((0.02, 0.0, 0.0))},
        {"array": head((6, 20, 25))},
    ],
)
def test_another_grid_is_another_grid(other: dict) -> None:
    volume = Volume(head(), (2.5, 1.0, 1.0))
    changed = {"array": volume.array, "spacing_mm": volume.spacing_mm} | other
    assert not same_grid(volume, Volume(**changed))


def test_rounding_by_a_writer_is_the_same_grid() -> None:
    volume = Volume(head(), (2.5, 1.01, 1.01), (-200.0, -258.615, -258.505))
    rounded = Volume(head(), (2.5, 1.0099999904632568, 1.01), (-200.0, -258.614990234375, -258.505))
    assert same_grid(volume, rounded)


# --- what is no volume ----------------------------------------------------------------------


def test_a_missing_file_a_folder_and_another_format_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "no.nrrd", "does not exist")
    refused(tmp_path, "is a folder")
    (tmp_path / "scan.dcm").write_bytes(b"DICM")
    refused(tmp_path / "scan.dcm", r"is not one of \.nrrd")
    with pytest.raises(OrganNetError, match="convert it"):
        write_volume(Volume(head(), (1.0, 1.0, 1.0)), tmp_path / "a.png")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, capfd, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("this is no image\n" * 100)
    refused(path, "not readable")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_what_is_not_3d_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(head()[0]), str(path))
    refused(path, "2D")
    image = sitk.GetImageFromArray(head())
    sitk.WriteImage(sitk.JoinSeries([image, image]), str(path))
    refused(path, "4D")


def test_vectors_are_refused(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "rgb.nrrd"))
    refused(tmp_path / "rgb.nrrd", "3 values per voxel")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_sheared_grid_is_refused(tmp_path: Path, suffix: str) -> None:
    image = sitk.GetImageFromArray(head())
    image.SetDirection((1, 0, 0, 0, 1, 0.3, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / f"tilted{suffix}"))
    refused(tmp_path / f"tilted{suffix}", "sheared.*resample")


def test_a_sheared_nifti_is_refused(tmp_path: Path, capfd) -> None:
    path = tmp_path / "tilted.nii"
    sitk.WriteImage(sitk.GetImageFromArray(head()), str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 1)  # qform off, sform on
    struct.pack_into("<12f", content, 280, 1, 0, 0, 0, 0, 1, 0.4, 0, 0, 0, 1, 0)
    path.write_bytes(content)
    refused(path, "sheared.*resample")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    array = head().astype(np.float32)
    array[1, 2, 3] = value
    write_volume(Volume(array, (1.0, 1.0, 1.0)), tmp_path / "a.nrrd")
    refused(tmp_path / "a.nrrd", "NaN or infinite")


# --- what is no CT --------------------------------------------------------------------------


@pytest.mark.parametrize("spacing_mm", [(2500.0, 1000.0, 1000.0), (0.0025, 0.001, 0.001)])
def test_spacing_that_is_not_in_mm_is_refused(tmp_path: Path, spacing_mm: tuple) -> None:
    path = tmp_path / "ct.nrrd"
    array = np.zeros((4, 5, 6), np.int16)
    array[0] = -1000
    write_volume(Volume(array, spacing_mm), path)
    with pytest.raises(OrganNetError, match=r"ct.nrrd has voxels of .* mm \(z, y, x\): correct"):
        read_ct(path)


@pytest.mark.parametrize(
    ("array", "what"),
    [
        ((head() + 1000) / 1150, "no air"),  # rescaled to 0..1
        (np.clip((head() + 160) * 0.6, 0, 255), "no air"),  # a picture
        (head().astype(np.int32) + 1024, "no air"),  # its intercept is missing
        (head().astype(np.float32) * 40, "16 bits"),
        (np.where(head() > -500, 1200, -1000), "no soft tissue"),
        (np.zeros((4, 5, 6)), "no air"),
    ],
)
def test_absurd_hu_are_refused(tmp_path: Path, array: np.ndarray, what: str) -> None:
    write_volume(Volume(np.asarray(array, np.float32), (1.0, 1.0, 1.0)), tmp_path / "img.nrrd")
    refused(tmp_path / "img.nrrd", f"not a CT in HU.*{what}.*export", read_ct)


def test_a_single_slice_is_refused(tmp_path: Path) -> None:
    write_volume(Volume(head((1, 20, 20)), (1.0, 1.0, 1.0)), tmp_path / "img.nrrd")
    refused(tmp_path / "img.nrrd", "single slice", read_ct)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_metal_stays_and_padding_becomes_air(tmp_path: Path, dtype: type) -> None:
    array = head().astype(dtype)
    array[0, 0, :4] = (-3024, -2000, 30000, -1024)
    if np.dtype(dtype).kind == "f":
        array[3, 10, 10] = 41.6
    write_volume(Volume(array, (1.0, 1.0, 1.0)), tmp_path / "img.nrrd")
    ct = read_ct(tmp_path / "img.nrrd").array
    assert ct.dtype == np.int16
    assert ct[0, 0, :5].tolist() == [-1024, -1024, 30000, -1024, -1000]
    if np.dtype(dtype).kind == "f":
        assert ct[3, 10, 10] == 42


# --- writing --------------------------------------------------------------------------------


@pytest.fixture
def full_disk() -> Iterator[None]:
    """A disk on which no file grows beyond 20 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_nothing_half_written(tmp_path, full_disk, suffix) -> None:
    array = np.random.default_rng(0).integers(-1000, 1000, (20, 50, 50)).astype(np.int16)
    with pytest.raises(OrganNetError, match=r"cannot write.*free space") as error:
        write_volume(Volume(array, (1.0, 1.0, 1.0)), tmp_path / f"a{suffix}")
    assert str(tmp_path / f"a{suffix}") in message(error)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OrganNetError, match="cannot write"):
        write_volume(Volume(head(), (1.0, 1.0, 1.0)), tmp_path / "file" / "a.nrrd")
