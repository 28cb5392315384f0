"""A synthetic CT series as real DICOM files, of any geometry, for the tests that read one."""

import random
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid
from pydicom.valuerep import DS

from organnet.dicom.ct import read_dicom_ct
from organnet.errors import OrganNetError

AIR = -1000


def head_hu(shape: tuple[int, int, int] = (6, 12, 14), seed: int = 0) -> np.ndarray:
    """Values a CT may hold, each place with its own: air, and soft tissue with noise."""
    array = np.full(shape, AIR, np.int16)
    noise = np.random.default_rng(seed).integers(-90, 90, shape)
    inside = tuple(slice(n // 4, n - n // 4) for n in shape)
    array[inside] = noise[inside]
    return array


def ct_series(
    hu: np.ndarray,
    spacing_mm: tuple[float, float, float] = (2.5, 1.2, 0.9),
    origin_mm: tuple[float, float, float] = (-40.0, 20.0, -30.0),
    direction: np.ndarray | None = None,
    step: np.ndarray | None = None,
    seed: int = 0,
) -> list[Dataset]:
    """One data set for each image, (n, rows, columns) HU, in order along the normal.

    Spacing, origin and direction are a Volume's: z, y, x, and the direction proper, since images
    have a right-handed normal. `step` is the way from one image to the next (z, y, x, in mm)
    where it is not along the normal, as under a tilted gantry.
    """
    axes = np.eye(3) if direction is None else direction
    along = axes[:, 0] * spacing_mm[0] if step is None else step
    series, frame = (generate_uid(entropy_srcs=[str(seed), what]) for what in ("series", "frame"))
    images = []
    for n, pixels in enumerate(hu):
        uid = generate_uid(entropy_srcs=[str(seed), str(n)])
        image = _image(pixels, uid)
        image.SeriesInstanceUID, image.FrameOfReferenceUID = series, frame
        image.InstanceNumber = n + 1
        position = (np.asarray(origin_mm) + n * along)[::-1]
        image.ImagePositionPatient = [decimal(value) for value in position]
        columns_then_rows = [*axes[::-1, 2], *axes[::-1, 1]]
        image.ImageOrientationPatient = [decimal(value) for value in columns_then_rows]
        image.PixelSpacing = [decimal(value) for value in spacing_mm[1:]]
        images.append(image)
    return images


def series(number: int, description: str = "", count: int = 3, **elements: object) -> list[Dataset]:
    """Images of a series of its own."""
    images = ct_series(head_hu((count, 6, 7), seed=number), seed=number)
    for image in images:
        image.SeriesNumber, image.SeriesDescription = number, description
        for keyword, value in elements.items():
            setattr(image, keyword, value)
    return images


def decimal(value: float) -> DS:
    return DS(float(value), auto_format=True)


def _image(pixels: np.ndarray, uid: str) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, uid
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Modality, image.PatientID, image.PatientName = "CT", "P1", "Nobody"
    image.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    image.SeriesNumber, image.SeriesDescription = 3, "HEAD 2.5"
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 0
    image.RescaleSlope, image.RescaleIntercept = "1", "-1024"
    store(image, pixels.astype(np.int32) + 1024)
    return image


def store(image: Dataset, values: np.ndarray) -> None:
    """Put stored values (not HU) in an image as its 16-bit words."""
    image.PixelData = (values & 0xFFFF).astype("<u2").tobytes()
    image["PixelData"].VR = "OW"


def write_images(images: list[Dataset], folder: Path, seed: int = 0) -> list[Path]:
    """Write the images in no order and under names that say nothing; paths as the images come."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"IM{n:04d}" for n in range(len(images))]
    random.Random(seed).shuffle(names)
    for image, name in zip(images, names, strict=True):
        image.save_as(folder / name, enforce_file_format=True)
    return [folder / name for name in names]


def lps_xyz(image: Dataset, row: int, column: int) -> np.ndarray:
    """Where a pixel lies by the formula of the DICOM standard, C.7.6.2.1.1: x, y, z in mm."""
    position = np.array(image.ImagePositionPatient, float)
    orientation = np.array(image.ImageOrientationPatient, float)
    row_mm, column_mm = (float(value) for value in image.PixelSpacing)
    return position + orientation[:3] * column_mm * column + orientation[3:] * row_mm * row


def refused(folder: Path, what: str) -> None:
    """Reading ends with one line that matches `what`."""
    with pytest.raises(OrganNetError, match=what) as error:
        read_dicom_ct(folder)
    assert "\n" not in str(error.value)


def proper_rotation(seed: int) -> np.ndarray:
    """Any rotation, all alike likely; determinant 1."""
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


def compress(image: Dataset, how: str, folder: Path) -> None:
    """Compress an image's pixels as RLE, JPEG (lossless) or JPEG2000 (lossless)."""
    if how == "RLE":
        image.compress(RLELossless, generate_instance_uid=False)
        return
    kind = np.int16 if image.PixelRepresentation else np.uint16
    words = np.frombuffer(image.PixelData, kind).reshape(1, image.Rows, image.Columns)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetCompressor(how)
    writer.UseCompressionOn()
    writer.SetFileName(str(folder / "compressed.dcm"))
    writer.Execute(sitk.GetImageFromArray(words))
    packed = dcmread(folder / "compressed.dcm")
    image["PixelData"] = packed["PixelData"]
    image.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
    (folder / "compressed.dcm").unlink()
