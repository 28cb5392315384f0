"""Image files that do not say which side is left: told, since nothing else can find it out."""

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from batch_parts import write_tiny
from dicom_parts import head_hu, proper_rotation

from organnet.batch.inputs import Input
from organnet.orientation import NOT_SAID
from organnet.volume import read_ct

SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha")


def warnings_of(path: Path) -> tuple[str, ...]:
    """What a batch is told of a scan, which is read either way."""
    return Input("case", path).read().warnings


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_names_its_directions_is_read_without_a_word(
    suffix: str, tmp_path: Path
) -> None:
    assert warnings_of(write_tiny(tmp_path / f"a{suffix}")) == ()


@pytest.mark.parametrize(("qform", "sform", "told"), [(0, 0, True), (1, 0, False), (0, 2, False)])
def test_a_nifti_of_unknown_forms_is_told(
    qform: int, sform: int, told: bool, tmp_path: Path
) -> None:
    path = write_tiny(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[252:256] = bytes([qform, 0, sform, 0])  # two whole numbers of 16 bits
    path.write_bytes(content)
    assert warnings_of(path) == ((NOT_SAID,) if told else ())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("seed", range(6))
def test_a_nifti_whose_two_forms_agree_is_read_without_a_word(
    seed: int, suffix: str, tmp_path: Path
) -> None:
    """Turned in any way, and mirrored or not."""
    image = sitk.GetImageFromArray(head_hu((4, 5, 6)))
    chance = np.random.default_rng(seed)
    image.SetSpacing(chance.uniform(0.5, 3, 3))
    image.SetOrigin(chance.uniform(-200, 200, 3))
    axes = proper_rotation(seed)
    axes[:, seed % 3] *= (-1) ** seed
    image.SetDirection(axes.ravel())
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    assert warnings_of(tmp_path / f"a{suffix}") == ()


@pytest.mark.parametrize(
    ("at", "value", "apart_mm"),
    [
        (292, -8.0, "8.0"),  # the sform's shift to the left; written as 0
        (280, 2.0, "20.0"),  # its columns the other way: 5 times 2 mm, either way; written as -2
        (280, float("inf"), "inf"),  # which is no place at all
        (76, -1.0, "18.0"),  # the qform's slices the other way: 3 times 3 mm, either way
    ],
)
def test_a_nifti_whose_two_forms_differ_is_told_how_far(
    at: int, value: float, apart_mm: str, tmp_path: Path
) -> None:
    path = write_tiny(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, at, value)
    path.write_bytes(content)
    (warning,) = warnings_of(path)
    assert f"put the scan {apart_mm} mm apart" in warning


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (b"space: left-posterior-superior", False),
        (b"space: RAS", False),
        (b"space: scanner-xyz", True),
        (b"space: 3D-right-handed", True),
        (b"space dimension: 3", True),
    ],
)
def test_a_nrrd_without_the_patients_space_is_told(
    field: bytes, told: bool, tmp_path: Path
) -> None:
    path = write_tiny(tmp_path / "a.nrrd")
    content = path.read_bytes()
    assert b"space: left-posterior-superior" in content
    path.write_bytes(content.replace(b"space: left-posterior-superior", field))
    assert warnings_of(path) == ((NOT_SAID,) if told else ())


def test_an_mha_without_its_matrix_is_told(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "img.mha")
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(b"TransformMatrix")]
    assert len(kept) == len(lines) - 1
    path.write_bytes(b"".join(kept))
    assert read_ct(path).direction.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert warnings_of(path) == (NOT_SAID,)
