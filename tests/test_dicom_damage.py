"""Damaged DICOM files: one line for the user, or a volume that holds together; nothing else."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from dicom_parts import compress, ct_series, head_hu, refused, write_images

from organnet.dicom.ct import read_dicom_ct
from organnet.dicom.header import OnlyWhatIsThere
from organnet.dicom.images import DicomCT
from organnet.errors import OrganNetError

SHAPE = (4, 6, 7)


def check_whole(found: DicomCT) -> None:
    """All that the words of `images` promise."""
    ct = found.ct
    assert ct.array.dtype == np.int16 and ct.array.min() >= -1024
    assert min(ct.shape) >= 2 and min(ct.spacing_mm) > 0
    assert np.isfinite([*ct.spacing_mm, *ct.origin_mm]).all()
    assert ct.direction.T @ ct.direction == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(ct.direction) == pytest.approx(1.0)
    assert len(found.images) >= 2
    drawn = found.on_images(ct.with_array((ct.array > -500).astype(np.uint8)))
    assert drawn.shape == (len(found.images), *found.images[0].shape)
    assert all("\n" not in warning for warning in found.warnings)


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Cut off anywhere, or a few bytes changed; most often in the header, where it hurts."""
    if random.random() < 0.3:
        return content[: random.integers(len(content))]
    changed = bytearray(content)
    end = len(content) if random.random() < 0.3 else len(content) - 2 * SHAPE[1] * SHAPE[2]
    for at in random.integers(0, end, random.integers(1, 6)):
        changed[at] = random.integers(256)
    return bytes(changed)


@pytest.mark.parametrize("how", ["raw", "RLE"])
def test_damage_is_an_error_or_a_volume(how: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = ct_series(head_hu(SHAPE))
    if how == "RLE":
        for image in images:
            compress(image, how, tmp_path)
    paths = write_images(images, tmp_path)
    outcomes = {"refused": 0, "read": 0}
    for _ in range(60):
        path = paths[random.integers(len(paths))]
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, random))
        try:
            check_whole(read_dicom_ct(tmp_path))
            outcomes["read"] += 1
        except OrganNetError as error:
            assert "\n" not in str(error) and ": " in str(error)
            outcomes["refused"] += 1
        path.write_bytes(whole)
    assert min(outcomes.values()) >= 5, outcomes


def test_images_that_say_they_are_huge_are_refused(tmp_path: Path) -> None:
    images = ct_series(head_hu(SHAPE))
    for image in images:
        image.Rows = image.Columns = 65535
    write_images(images, tmp_path)
    refused(tmp_path, "4 x 65535 x 65535 voxels, more than the 4 GB allowed")


@pytest.mark.parametrize("length", [2**31, 2**32 - 2])
def test_no_more_memory_is_asked_for_than_the_file_has_bytes(length: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    with OnlyWhatIsThere(io.FileIO(path)) as file:
        assert file.read(3) == b"con"
        tracemalloc.start()
        assert file.read(length) == b"tent" and file.read(length) == b""
        assert tracemalloc.get_traced_memory()[1] < 1e6
        tracemalloc.stop()
