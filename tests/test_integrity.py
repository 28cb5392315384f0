"""Images that end early or are corrupt are never read as if they were whole."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from organnet.errors import OrganNetError
from organnet.volume import Volume, read_volume, write_volume

SUFFIXES = (".nrrd", ".nii", ".nii.gz", ".mha")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kept", [0.95, 0.5, "all but 9 bytes", 0.0])
def test_a_truncated_file_is_refused(tmp_path, capfd, suffix, compressed, kept) -> None:
    path = tmp_path / f"a{suffix}"
    array = np.random.default_rng(0).integers(-1000, 1000, (20, 30, 40)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), useCompression=compressed)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] if isinstance(kept, str) else whole[: int(len(whole) * kept)])
    with pytest.raises(OrganNetError, match="truncated") as error:
        read_volume(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("place", np.linspace(0.3, 0.99, 12).tolist())
def test_a_corrupt_file_gives_no_wrong_values(
    tmp_path: Path, capfd, suffix: str, place: float
) -> None:
    path = tmp_path / f"a{suffix}"
    array = np.zeros((20, 60, 60), np.uint8)
    array[5:12, 20:33, 20:41] = 1
    write_volume(Volume(array, (1.0, 1.0, 1.0)), path)
    content = bytearray(path.read_bytes())
    data = _data_start(content, suffix)
    content[data + 10 + int(place * (len(content) - data - 11))] ^= 0x10
    path.write_bytes(content)
    try:
        again = read_volume(path)
    except OrganNetError as error:
        assert "not readable" in str(error) and "\n" not in str(error)
    else:  # some bits of a compressed file mean nothing
        assert suffix == ".nrrd" and np.array_equal(again.array, array)
    assert capfd.readouterr() == ("", "")


def _data_start(content: bytearray, suffix: str) -> int:
    end_of_header = {".nrrd": b"\n\n", ".mha": b"LOCAL\n"}.get(suffix)
    return content.index(end_of_header) + len(end_of_header) if end_of_header else 0


def test_a_big_endian_nrrd_is_whole_though_its_bytes_are_others(tmp_path: Path) -> None:
    header = (
        b"NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 3 4\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: big\nencoding: gzip\n\n"
    )
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    (tmp_path / "a.nrrd").write_bytes(header + gzip.compress(array.astype(">i2").tobytes()))
    assert np.array_equal(read_volume(tmp_path / "a.nrrd").array, array)
