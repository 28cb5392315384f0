"""Which of several CT series is taken where nothing was drawn on one of them."""

from pathlib import Path

import numpy as np
import pytest
from dicom_parts import head_hu, refused, series, write_images
from pydicom import DataElement

from organnet.dicom.ct import read_dicom_ct

SAGITTAL = [0, 1, 0, 0, 0, -1]
DERIVED = ["DERIVED", "SECONDARY", "AXIAL"]


@pytest.mark.parametrize(
    ("elements", "described"),
    [
        ({"ImageType": DERIVED}, "CT, derived, 6 files"),
        ({"ImageOrientationPatient": SAGITTAL}, "CT, not axial, 6 files"),
        (
            {"ImageType": DERIVED, "ImageOrientationPatient": SAGITTAL},
            "CT, derived, not axial, 6 files",
        ),
        ({"ImagePositionPatient": [0, 0, 0]}, "CT, 6 files"),
    ],
)
def test_a_reformat_or_a_contrast_monitor_with_more_images_is_left_aside(
    elements: dict, described: str, tmp_path: Path
) -> None:
    write_images(series(2, "PLAN", 4), tmp_path / "2")
    write_images(series(4, "OTHER", 6, **elements), tmp_path / "4")
    found = read_dicom_ct(tmp_path)
    assert np.array_equal(found.ct.array, head_hu((4, 6, 7), seed=2))
    assert found.warnings[0].startswith(
        f"took series 2 (PLAN): CT, 4 files, left aside series 4 (OTHER): {described}: an original"
    )


def test_an_image_type_that_is_a_number_is_none(tmp_path: Path) -> None:
    images = series(4, "PLAN", 4)
    for image in images:
        image[0x00080008] = DataElement(0x00080008, "US", 3)
    write_images(images, tmp_path)
    assert read_dicom_ct(tmp_path).warnings == ()


def test_a_few_original_images_are_no_ct_of_a_head(tmp_path: Path) -> None:
    write_images(series(2, "MONITOR", 9), tmp_path / "2")
    write_images(series(4, "PLAN", 10, ImageType=DERIVED), tmp_path / "4")
    assert read_dicom_ct(tmp_path).warnings[0].startswith("took series 4 (PLAN): CT, derived, 10")


def test_a_derived_axial_ct_is_taken_before_a_derived_reformat(tmp_path: Path) -> None:
    write_images(series(2, "PLAN", 4, ImageType=DERIVED), tmp_path / "2")
    reformat = {"ImageType": DERIVED, "ImageOrientationPatient": SAGITTAL}
    write_images(series(4, "SAG", 6, **reformat), tmp_path / "4")
    assert read_dicom_ct(tmp_path).warnings[0].startswith("took series 2 (PLAN): CT, derived, 4")


def test_every_series_left_aside_is_named(tmp_path: Path) -> None:
    for number in range(1, 9):
        write_images(series(number, count=2 + (number == 1)), tmp_path / str(number))
    (warning,) = read_dicom_ct(tmp_path).warnings
    assert all(f"series {number}: CT" in warning for number in range(1, 9))


def test_what_one_series_leaves_out_makes_no_second_patient(tmp_path: Path) -> None:
    write_images(series(2, count=4, PatientBirthDate=""), tmp_path / "2")
    write_images(series(4, PatientBirthDate="19500101"), tmp_path / "4")
    assert read_dicom_ct(tmp_path).ct.shape == (4, 6, 7)
    write_images(series(4, PatientBirthDate="19600101"), tmp_path / "5")
    refused(tmp_path, r"CTs of 2 patients \(PatientBirthDate\)|mixes 2 patients")


def test_without_an_id_whoever_has_no_name_is_another_patient(tmp_path: Path) -> None:
    write_images(series(2, count=4, PatientID="", PatientName="Archer^Alice"), tmp_path / "2")
    write_images(series(4, PatientID="", PatientName=""), tmp_path / "4")
    refused(tmp_path, r"CTs of 2 patients \(PatientName\)")
