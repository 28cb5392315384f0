"""Images that end early or are corrupt are never read as if they were whole."""

import gzip
import struct
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


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [1200, 30000])
def test_a_header_may_not_ask_for_more_than_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, size: int
) -> None:
    """3 GB and 54 TB in a file of a kilobyte: refused before anything is made room for."""
    path = tmp_path / f"a{suffix}"
    image = sitk.GetImageFromArray(np.ones((4, 5, 6), np.int16))
    sitk.WriteImage(image, str(path), useCompression=suffix != ".nii")
    content = path.read_bytes()
    if suffix.startswith(".nii"):
        header = bytearray(gzip.decompress(content) if suffix == ".nii.gz" else content)
        struct.pack_into("<3h", header, 42, size, size, size)
        content = gzip.compress(header) if suffix == ".nii.gz" else bytes(header)
    else:
        assert b"6 5 4" in content
        content = content.replace(b"6 5 4", f"{size} {size} {size}".encode())
    path.write_bytes(content)

    def execute(reader: sitk.ImageFileReader) -> None:
        raise AssertionError("ITK was asked for the values")

    monkeypatch.setattr(sitk.ImageFileReader, "Execute", execute)
    with pytest.raises(OrganNetError, match=r"more than 4 GB|less than its header says"):
        read_volume(path)


@pytest.mark.parametrize(
    ("suffix", "field", "changed"),
    [
        (".mha", b"NDims = 3", b"NDims = 1000"),
        (".mha", b"NDims = 3", b"NDims = -1"),
        (".mha", b"TransformMatrix = 1", b"TransformMatrix = 1e308"),
        (".mha", b"TransformMatrix = 1", b"TransformMatrix = nan"),
        (".mha", b"TransformMatrix", b"Transfo\0mMatrix"),
        (".nrrd", b"dimension: 3", b"dimension: " + b"3" * 2000),
        (".nrrd", b"NRRD0004", b"N" * 2000),
    ],
)
def test_a_header_that_ends_itks_process_is_refused(
    tmp_path: Path, suffix: str, field: bytes, changed: bytes
) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(Volume(np.ones((4, 5, 6), np.uint8), (1.0, 1.0, 1.0)), path)
    content = path.read_bytes()
    assert field in content
    path.write_bytes(content.replace(field, changed))
    with pytest.raises(OrganNetError, match="not readable"):
        read_volume(path)


def test_a_header_of_a_nrrd_may_have_the_lines_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    array = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)
    write_volume(Volume(array, (1.0, 1.0, 1.0)), path)
    header, end, values = path.read_bytes().partition(b"\n\n")
    path.write_bytes((header + end).replace(b"\n", b"\r\n") + values)
    assert np.array_equal(read_volume(path).array, array)
    path.write_bytes((header + end).replace(b"\n", b"\r\n") + values[:-9])
    with pytest.raises(OrganNetError, match="not readable"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_values_may_lie_beside_their_header(tmp_path: Path, suffix: str) -> None:
    array = np.ones((40, 300, 300), np.int16)
    header = {
        ".nrrd": "NRRD0004\ntype: short\ndimension: 3\nsizes: 300 300 40\nendian: little\n"
        "encoding: raw\ndata file: a.raw\n",
        ".mha": "ObjectType = Image\nNDims = 3\nDimSize = 300 300 40\nElementType = MET_SHORT\n"
        "ElementDataFile = a.raw\n",
    }
    (tmp_path / "a.raw").write_bytes(array.tobytes())
    (tmp_path / f"a{suffix}").write_text(header[suffix])
    assert np.array_equal(read_volume(tmp_path / f"a{suffix}").array, array)
