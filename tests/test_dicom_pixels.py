"""From stored values to HU: rescale, padding, signs and bits, compression, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from dicom_parts import compress, ct_series, head_hu, refused, store, write_images
from pydicom import Dataset
from pydicom.uid import HTJ2KLossless, JPEGLSLossless, JPEGLSNearLossless

from organnet.dicom.ct import read_dicom_ct

SHAPE = (3, 16, 18)
HU = head_hu(SHAPE)


def read(images: list[Dataset], folder: Path) -> np.ndarray:
    write_images(images, folder)
    found = read_dicom_ct(folder)
    assert found.warnings == ()
    return found.ct.array


# --- values ---------------------------------------------------------------------------------


def test_each_image_has_its_own_slope_and_intercept(tmp_path: Path) -> None:
    images = ct_series(HU)
    for n, (slope, intercept) in enumerate([(1, -1024), (2, -2000), (0.5, -1030)]):
        images[n].RescaleSlope, images[n].RescaleIntercept = slope, intercept
        store(images[n], np.rint((HU[n].astype(int) - intercept) / slope).astype(int))
    found = read(images, tmp_path)
    assert np.array_equal(found[0], HU[0]) and np.array_equal(found[2], HU[2])
    assert np.abs(found[1] - HU[1].astype(int)).max() == 1


@pytest.mark.parametrize(("signed", "bits"), [(0, 12), (0, 16), (1, 12), (1, 13), (1, 16)])
def test_signs_and_bits(signed: int, bits: int, tmp_path: Path) -> None:
    images = ct_series(HU)
    intercept = 0 if signed else -1024
    for image, hu in zip(images, HU, strict=True):
        image.PixelRepresentation, image.RescaleIntercept = signed, intercept
        image.BitsStored, image.HighBit = bits, bits - 1
        store(image, hu.astype(int) - intercept)
    assert np.array_equal(read(images, tmp_path), HU)


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_those_stored_are_no_part_of_the_value(signed: int, tmp_path: Path) -> None:
    images = ct_series(HU)
    intercept = 0 if signed else -1024
    for image, hu in zip(images, HU, strict=True):
        image.PixelRepresentation, image.RescaleIntercept = signed, intercept
        image.BitsStored, image.HighBit = 12, 11
        overlay = np.random.default_rng(0).integers(0, 16, hu.shape) << 12
        store(image, ((hu.astype(int) - intercept) & 0xFFF) | overlay)
    assert np.array_equal(read(images, tmp_path), HU)


def test_values_are_kept_within_16_bits(tmp_path: Path) -> None:
    images = ct_series(HU)
    values = HU[0].astype(int) + 1024
    values[0, :3] = (0, 65535, 30000)
    images[0].RescaleSlope, images[0].RescaleIntercept = 1, -3024
    store(images[0], values + 2000 * (values > 0) * (values < 60000))
    found = read(images, tmp_path)
    assert found[0, 0, :3].tolist() == [-1024, 32767, 28976]
    assert np.array_equal(found[0, 1:], HU[0, 1:])


@pytest.mark.parametrize(
    ("signed", "bits", "stated", "stored", "limit"),
    [
        (1, 16, -2000, -2000, None),
        (1, 16, 63536, -2000, None),  # the same 16 bits, written as unsigned
        (0, 16, 63536, 63536, None),
        (0, 12, 4095, 4095, None),
        (0, 12, 63536, 63536, None),  # more than BitsStored can hold
        (0, 12, 3900, 3950, 4095),
        (1, 16, 2100, 2050, 2000),  # the limit may lie below
    ],
)
def test_padding_is_air(signed, bits, stated, stored, limit, tmp_path: Path) -> None:
    images = ct_series(HU)
    intercept = 0 if signed else -1024
    for image, hu in zip(images, HU, strict=True):
        image.PixelRepresentation, image.RescaleIntercept = signed, intercept
        image.BitsStored, image.HighBit = bits, bits - 1
        values = hu.astype(int) - intercept
        values[:, :2] = stored
        store(image, values)
        image.add_new("PixelPaddingValue", "SS" if stated < 0 else "US", stated)
        if limit is not None:
            image.add_new("PixelPaddingRangeLimit", "US", limit)
    found = read(images, tmp_path)
    assert (found[:, :, :2] == -1024).all()
    assert np.array_equal(found[:, :, 2:], HU[:, :, 2:])


# --- what cannot be HU ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "what"),
    [
        ({"RescaleSlope": None}, "no RescaleSlope and RescaleIntercept"),
        ({"RescaleIntercept": None}, "no RescaleSlope and RescaleIntercept"),
        ({"RescaleSlope": "0"}, "a RescaleSlope of 0"),
        ({"RescaleSlope": ["1", "2"]}, "no valid RescaleSlope"),
        ({"RescaleType": "Z_EFF"}, "is in Z_EFF, not in HU"),
        ({"NumberOfFrames": 4}, "many frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "a colour picture .RGB"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "a colour picture"),
        ({"BitsAllocated": 8}, "16 bits up to bit 15 in 8"),
        ({"HighBit": 13}, "16 bits up to bit 13 in 16"),
        ({"BitsStored": 17}, "17 bits"),
        ({"PixelRepresentation": 2}, "no valid PixelRepresentation"),
        ({"PixelData": None}, "no pixel data"),
    ],
)
def test_images_without_hu_are_refused(elements: dict, what: str, tmp_path: Path) -> None:
    images = ct_series(HU)
    for keyword, value in elements.items():
        if value is None:
            del images[1][keyword]
        else:
            setattr(images[1], keyword, value)
    path = write_images(images, tmp_path)[1]
    refused(tmp_path, f"{path} .*{what}.*: ")


@pytest.mark.parametrize("kind", ["HU", "US", ""])
def test_rescale_types_that_mean_hu(kind: str, tmp_path: Path) -> None:
    images = ct_series(HU)
    for image in images:
        image.RescaleType, image.NumberOfFrames = kind, 1
    assert np.array_equal(read(images, tmp_path), HU)


def test_values_that_are_no_head_are_refused(tmp_path: Path) -> None:
    images = ct_series(HU)
    for image in images:
        image.RescaleIntercept = 0  # as if it had been lost
    write_images(images, tmp_path)
    refused(tmp_path, "not a CT in HU .*no air below -500")


@pytest.mark.parametrize("there", [0.0, 0.5, 0.99])
def test_truncated_pixels_are_refused(there: float, tmp_path: Path) -> None:
    path = write_images(ct_series(HU), tmp_path)[1]
    content = path.read_bytes()
    pixel_bytes = 2 * SHAPE[1] * SHAPE[2]
    path.write_bytes(content[: len(content) - pixel_bytes + int(there * pixel_bytes)])
    refused(tmp_path, f"{path} is truncated or damaged")


# --- compression ----------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("how", ["RLE", "JPEG", "JPEG2000"])
def test_compressed_without_loss(how: str, signed: int, tmp_path: Path) -> None:
    images = ct_series(HU)
    for image, hu in zip(images, HU, strict=True):
        if signed:
            image.PixelRepresentation, image.RescaleIntercept = 1, 0
            store(image, hu.astype(int))
        image.RescaleSlope = "2"  # a decoder that rescales by itself would show
        image.RescaleIntercept = image.RescaleIntercept - 20
        compress(image, how, tmp_path)
    expected = [2 * hu.astype(int) + (-20 if signed else 2048 - 1044) for hu in HU]
    if not signed:
        for image in images:
            image.RescaleIntercept = -2068  # 2 * (hu + 1024) - 2068 = 2 * hu - 20
        expected = [2 * hu.astype(int) - 20 for hu in HU]
    assert np.array_equal(read(images, tmp_path / "a"), np.maximum(expected, -1024))


def test_jpeg_ls(tmp_path: Path) -> None:
    images = ct_series(HU)
    for image in images:
        image.compress(JPEGLSLossless, generate_instance_uid=False)
    assert np.array_equal(read(images, tmp_path), HU)


def test_compressed_with_loss_is_said(tmp_path: Path) -> None:
    images = ct_series(HU)
    images[0].compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
    images[1].LossyImageCompression = "01"
    write_images(images, tmp_path)
    found = read_dicom_ct(tmp_path)
    assert found.warnings == ("2 of 3 images were compressed with loss: not exact",)
    error = np.abs(found.ct.array - HU)
    assert 0 < error[0].max() <= 2 and error[1:].max() == 0


@pytest.mark.parametrize("how", ["RLE", "JPEG", "JPEG2000"])
def test_truncated_compressed_pixels_are_refused(how: str, tmp_path: Path) -> None:
    images = ct_series(np.random.default_rng(0).integers(-1000, 3000, SHAPE))
    for image in images:
        compress(image, how, tmp_path)
    path = write_images(images, tmp_path / "a")[1]
    path.write_bytes(path.read_bytes()[:-300])
    refused(tmp_path / "a", f"{path} is truncated or damaged")
    frame = images[1].PixelData
    images[1].PixelData = frame[:-300] + frame[-8:]  # a shorter frame in a whole file
    write_images(images, tmp_path / "b")
    refused(tmp_path / "b", "is truncated or damaged")


def test_what_nothing_decodes_is_refused_by_name(tmp_path: Path) -> None:
    images = ct_series(HU)
    compress(images[0], "JPEG2000", tmp_path)
    images[0].file_meta.TransferSyntaxUID = HTJ2KLossless
    write_images(images, tmp_path / "a")
    refused(tmp_path / "a", r"compressed as High-Throughput JPEG 2000.*export .*uncompressed")
