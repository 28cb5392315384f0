"""CT series for the tests of what is written beside them; no file is read for it."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from organnet.dicom.derived import decimals
from organnet.dicom.images import CTImage, DicomCT
from organnet.dicom.names import TG263
from organnet.organs import organ
from organnet.volume import Volume, read_volume, write_volume

ROOT = "1.2.826.0.1.3680043.8.498.1234"


class MadeSeries(DicomCT):
    """A series whose images are the slices of its volume."""

    def on_images(self, labels: Volume) -> np.ndarray:
        return labels.array


def header_of(ct: Volume, n: int) -> Dataset:
    """What a scanner writes about image n, with a patient who never was."""
    header = Dataset()
    header.SOPClassUID = CTImageStorage
    header.SOPInstanceUID = f"{ROOT}.3.{n + 1}"
    header.StudyInstanceUID = f"{ROOT}.1"
    header.SeriesInstanceUID = f"{ROOT}.2"
    header.FrameOfReferenceUID = f"{ROOT}.4"
    header.PositionReferenceIndicator = ""
    header.Modality = "CT"
    header.Manufacturer = "Nobody"
    header.PatientName = "Nobody^Nora"
    header.PatientID = "N-0001"
    header.PatientBirthDate = "19500102"
    header.PatientSex = "F"
    header.StudyDate, header.StudyTime = "20200304", "101112"
    header.StudyID = "S1"
    header.StudyDescription = "HEAD AND NECK"
    header.AccessionNumber = "A77"
    header.ReferringPhysicianName = "Doctor^Who"
    header.SeriesNumber, header.InstanceNumber = 3, n + 1
    _, rows, columns = ct.shape
    z_y_x = ct.direction.T
    header.ImagePositionPatient = decimals(ct.position_mm((n, 0, 0))[::-1])
    header.ImageOrientationPatient = decimals(np.concatenate([z_y_x[2][::-1], z_y_x[1][::-1]]), 12)
    header.PixelSpacing = decimals(np.array(ct.spacing_mm[1:]))
    header.SliceThickness = decimals(np.array(ct.spacing_mm[:1]))
    header.Rows, header.Columns = rows, columns
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.SamplesPerPixel, header.PixelRepresentation = 1, 1
    header.PhotometricInterpretation = "MONOCHROME2"
    return header


def series_of(ct: Volume) -> MadeSeries:
    steps = (ct.direction * np.asarray(ct.spacing_mm)).T[1:]
    images = tuple(
        CTImage(header_of(ct, n), ct.position_mm((n, 0, 0)), steps, ct.shape[1:])
        for n in range(ct.shape[0])
    )
    return MadeSeries(ct, images, ())


def series_on(labels: Volume) -> MadeSeries:
    """A series on the grid of a label map."""
    return series_of(labels.with_array(np.zeros(labels.shape, np.int16)))


def validated(kind: str, *files: Path) -> None:
    """dciodvfy takes each file for that kind of object and finds no error in it."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is absent: apt-get install dicom3tools")
    for file in files:
        report = subprocess.run(["dciodvfy", file], capture_output=True, text=True)
        said = report.stdout + report.stderr
        assert kind in said and "Error" not in said, said


def plastimatch(*words: str | Path) -> None:
    """Run `plastimatch convert`, by people who are not us; without it the test is skipped."""
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is absent: apt-get install plastimatch")
    subprocess.run(["plastimatch", "convert", *words], check=True, capture_output=True)


def read_by_plastimatch(path: Path, ct: Volume, folder: Path) -> dict[str, Volume]:
    """The organs' masks that plastimatch finds in a structure set, on the grid of a CT."""
    write_volume(ct, folder / "ct.nrrd")
    where = ("--input", path, "--fixed", folder / "ct.nrrd", "--output-prefix", folder / "masks")
    plastimatch(*where, "--prefix-format", "nrrd")
    files = {name: folder / "masks" / f"{title}.nrrd" for name, title in TG263.items()}
    return {name: read_volume(file) for name, file in files.items() if file.exists()}


def rotation(turn: np.ndarray) -> np.ndarray:
    """The rotation, z, y, x, around an axis by the axis' length in radians."""
    z, y, x = turn
    skew = np.array([[0, -x, y], [x, 0, -z], [-y, z, 0.0]])
    angle = float(np.linalg.norm(turn))
    if angle == 0:
        return np.eye(3)
    return np.eye(3) + np.sin(angle) / angle * skew + (1 - np.cos(angle)) / angle**2 * skew @ skew


def label_map(shape: tuple[int, int, int] = (5, 24, 28), seed: int = 0) -> Volume:
    """Organs as random grains: many pieces, islands and holes, and some voxels nobody knows."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    labels[:, 2:12, 2:12] = random.choice([0, 1, 3], p=[0.2, 0.7, 0.1], size=(shape[0], 10, 10))
    labels[1:4, 12:20, 4:24] = random.choice([0, 6, 255], p=[0.3, 0.6, 0.1], size=(3, 8, 20))
    labels[2, -1, -1] = organ("OpticNerve_R").label  # one voxel, in the image's corner
    return Volume(labels, (2.5, 1.1, 0.9), (-31.25, -120.5, 43.7))
