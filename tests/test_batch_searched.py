"""What searching a folder passes over and names, and what fails where the user gives it."""

import os
from pathlib import Path

import pytest
from batch_parts import write_tiny
from dicom_parts import ct_series, head_hu, write_images
from pydicom.uid import EnhancedCTImageStorage, MRImageStorage

from organnet.batch.finding import find_inputs
from organnet.errors import OrganNetError

MR = {"Modality": "MR", "SOPClassUID": MRImageStorage}
BEGIN = b"\0" * 128 + b"DICM"
ENHANCED = {"SOPClassUID": EnhancedCTImageStorage}


def write_study(folder: Path, number: int, **elements: object) -> Path:
    images = ct_series(head_hu((3, 6, 7), seed=number), seed=number)
    for image in images:
        image.StudyInstanceUID = f"1.2.{number}"
        for keyword, value in elements.items():
            setattr(image, keyword, value)
    write_images(images, folder)
    return folder


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """A CT study, and an MR study of two series."""
    patient = tmp_path / "patient"
    write_study(patient / "CT", 1)
    write_study(patient / "MR" / "T1", 2, **MR)
    write_study(patient / "MR" / "T2", 2, **MR)
    return patient


def names(*given: Path) -> list[str]:
    return [scan.name for scan in find_inputs(list(given)).inputs]


def test_a_study_without_a_ct_is_passed_over_where_it_was_found(patient: Path) -> None:
    found = find_inputs([patient])
    assert [(scan.name, scan.fault) for scan in found.inputs] == [("CT", "")]
    assert found.passed_over == [patient / "MR"]


def test_a_study_without_a_ct_is_tried_where_it_was_given(patient: Path) -> None:
    """Reading it says what it holds instead."""
    assert names(patient / "MR") == ["MR"]
    assert names(patient / "*") == ["CT", "MR"]


def test_what_lies_beside_images_that_are_no_ct_is_found(patient: Path) -> None:
    write_tiny(patient / "MR" / "T1" / "planning.nrrd")
    found = find_inputs([patient])
    assert [scan.name for scan in found.inputs] == ["CT", "MR_T1_planning"]
    assert found.passed_over == [patient / "MR" / "T2"]


def test_one_file_of_a_series_is_answered_with_its_folder(patient: Path) -> None:
    image = sorted((patient / "CT").iterdir())[0]
    for given in (image, patient / "CT" / "IM*"):
        found = find_inputs([given]).inputs
        assert {scan.fault for scan in found} == {
            "is one DICOM file: give the folder of its series"
        }
    assert len(found) == 3


@pytest.mark.parametrize("drawings", ["structures", "segmentations", "labelsTr", "labelsTs"])
def test_drawings_are_passed_over_where_they_were_found(drawings: str, tmp_path: Path) -> None:
    """As TotalSegmentator and nnU-Net keep them beside their CTs; a person may still give one."""
    write_tiny(tmp_path / "s0001" / "ct.nii.gz")
    write_tiny(tmp_path / "s0001" / drawings / "brain.nii.gz")
    found = find_inputs([tmp_path])
    assert [(scan.name, scan.fault) for scan in found.inputs] == [("s0001_ct", "")]
    assert found.passed_over == [tmp_path / "s0001" / drawings]
    assert names(tmp_path / "s0001" / drawings) == ["brain"]


def test_a_segmentation_of_slicer_beside_its_ct_is_passed_over(tmp_path: Path) -> None:
    write_tiny(tmp_path / "A.nrrd")
    write_tiny(tmp_path / "A.seg.nrrd")
    found = find_inputs([tmp_path])
    assert [(scan.name, scan.fault) for scan in found.inputs] == [("A", "")]
    assert found.passed_over == [tmp_path / "A.seg.nrrd"]


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    write_tiny(tmp_path / "scans" / "B" / "A.nrrd")
    for name in ("back", "again"):
        (tmp_path / "scans" / "B" / name).symlink_to("..")
        (tmp_path / "scans" / name).symlink_to(".")
    (tmp_path / "scans" / "C").symlink_to("B")  # leads elsewhere: a scan of its own
    assert names(tmp_path / "scans") == ["B_A", "C_A"]


def test_a_pipe_is_no_scan_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "scan.nrrd")
    (given,) = find_inputs([tmp_path]).inputs
    with pytest.raises(OrganNetError, match=r"scan\.nrrd is no regular file: give one on a disk"):
        given.sha256()


def test_a_line_break_in_a_name_is_none_in_its_case(tmp_path: Path) -> None:
    write_tiny(tmp_path / "one\n two.nrrd")
    assert names(tmp_path) == ["one two"]


@pytest.mark.parametrize("elements", [ENHANCED, {"Modality": ""}])
def test_what_may_be_a_ct_is_never_passed_over(elements: dict, patient: Path) -> None:
    write_study(patient / "other", 3, **elements)
    assert names(patient) == ["CT", "other"]


@pytest.mark.parametrize("content", [b"", BEGIN, BEGIN + b"\2" * 90])
def test_a_patient_whose_files_are_all_damaged_is_no_other_patient(
    content: bytes, tmp_path: Path
) -> None:
    write_study(tmp_path / "A", 1)
    (tmp_path / "B").mkdir()
    for number in range(3):
        (tmp_path / "B" / f"{number}.dcm").write_bytes(content)
    found = find_inputs([tmp_path])
    assert [scan.name for scan in found.inputs] == ["A", "B"] and not found.passed_over
    found.inputs[0].read()
    with pytest.raises(OrganNetError):
        found.inputs[1].read()
    write_study(tmp_path / "C", 3)
    assert names(tmp_path) == ["A", "B", "C"]


def test_damaged_files_beside_those_of_a_study_are_of_it(tmp_path: Path) -> None:
    write_study(tmp_path / "A", 1)
    (tmp_path / "A" / "9.dcm").write_bytes(b"")
    assert names(tmp_path) == [tmp_path.name]


def test_images_that_name_no_study_are_a_case(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "A", 1, StudyInstanceUID="")
    write_study(tmp_path / "B", 2)
    assert names(folder) == ["A"] and names(tmp_path) == ["A", "B"]


def test_case_folders_within_one_are_found_and_its_other_images_are_not(tmp_path: Path) -> None:
    for place in ("img.nrrd", "label.nrrd", "A/img.nrrd", "structures/Mandible.nrrd"):
        write_tiny(tmp_path / "patients" / place)
    assert names(tmp_path / "patients") == ["patients", "A"]


def test_images_beside_the_folder_of_another_study_do_not_go_unseen(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "patients", 1)
    write_study(folder / "B", 2)
    found = {scan.name: scan.fault for scan in find_inputs([folder]).inputs}
    assert found.pop("B") == "" and list(found) == ["patients"]
    assert found["patients"].startswith("holds images beside other scans: ")


def test_images_beside_the_folder_of_an_mr_are_a_case(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "patient", 1)
    write_study(folder / "mr", 2, **MR)
    for given in (folder, tmp_path):
        found = find_inputs([given])
        assert [(scan.path, scan.kind, scan.fault) for scan in found.inputs] == [
            (folder, "DICOM", "")
        ]
        assert found.passed_over == [folder / "mr"]
    scan = found.inputs[0].read()
    assert scan.ct.shape == (3, 6, 7) and "left aside" in scan.warnings[0]


def test_a_damaged_folder_below_the_images_of_a_study_is_of_it(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "A", 1)
    (folder / "more").mkdir()
    (folder / "more" / "1.dcm").write_bytes(b"")
    assert names(folder) == ["A"] and find_inputs([folder]).inputs[0].kind == "DICOM"


def test_a_damaged_image_beside_folders_of_patients_is_a_failed_case(tmp_path: Path) -> None:
    write_study(tmp_path / "all" / "A", 1)
    write_study(tmp_path / "all" / "B", 2)
    (tmp_path / "all" / "1.dcm").write_bytes(b"")
    assert names(tmp_path / "all") == ["all", "A", "B"]
