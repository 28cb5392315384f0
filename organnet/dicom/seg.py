"""Label maps as DICOM Segmentations: voxels, not contours, with SNOMED CT codes for each organ."""

from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

import organnet
from organnet.dicom.derived import (
    DESCRIPTION,
    MANUFACTURER,
    MODEL,
    decimals,
    derived_uids,
    organs_on_images,
    patient_and_study,
    save,
    without_header_warnings,
)
from organnet.dicom.images import CTImage, DicomCT
from organnet.dicom.names import ANATOMICAL_STRUCTURE, CODES, TG263, Code
from organnet.dicom.places import slice_spacing_mm
from organnet.organs import Organ
from organnet.volume import Volume

_FILLED_LATER = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "PositionReferenceIndicator"),
)
"""highdicom asks for these, and is stricter on them than a CT's header may be."""
NO_DATE, NO_TIME = "19000101", "000000"
"""Content date and time, which a Segmentation must have, where the CT has none of its study."""


def write_seg(series: DicomCT, labels: Volume, path: Path, alias: str | None = None) -> None:
    """Write a label map on the grid of `series.ct` as a DICOM Segmentation on the series' images.

    One binary segment for each organ in the map, by its TG-263 name and in its colour; organs not
    in it are left out, and images without an organ have no frame. The same input gives the same
    bytes: the content's date and time are the CT study's. With an `alias` the patient is called so,
    and nothing that may name them is copied from the CT. Raises OrganNetError as `write_rtstruct`.
    """
    organs, pixels = organs_on_images(series, labels)
    uids = derived_uids(series, pixels, "SEG", 3, alias)
    first = min(found.box[0].start for found in organs)
    last = max(found.box[0].stop for found in organs)
    segments = np.zeros((last - first, *pixels.shape[1:]), np.uint8)
    for number, found in enumerate(organs, start=1):
        images, rows, columns = found.box
        box = slice(images.start - first, images.stop - first), rows, columns
        segments[box][found.inside] = number
    with without_header_warnings():
        patient = patient_and_study(series, alias)
        dataset = Segmentation(
            source_images=[_source(image, series) for image in series.images[first:last]],
            pixel_array=segments,
            segmentation_type="BINARY",
            segment_descriptions=[
                _segment(number, found.organ) for number, found in enumerate(organs, start=1)
            ],
            series_instance_uid=uids[0],
            series_number=1,
            sop_instance_uid=uids[1],
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MODEL,
            software_versions=organnet.__version__,
            device_serial_number=organnet.__version__,
            content_label="ORGANS_AT_RISK",
            content_description=DESCRIPTION,
            series_description=DESCRIPTION,
            content_date=NO_DATE,
            content_time=NO_TIME,
        )
        dataset.update(patient)
        dataset.ContentDate = patient.StudyDate or NO_DATE
        dataset.ContentTime = patient.StudyTime or NO_TIME
        _without_chance(dataset, uids[2])
    save(dataset, path)


def _source(image: CTImage, series: DicomCT) -> Dataset:
    """What highdicom needs to know of an image: which it is, and where it lies."""
    header = series.images[0].header
    source = Dataset()
    for keyword in _FILLED_LATER:
        setattr(source, keyword, None)
    source.StudyInstanceUID = header.StudyInstanceUID
    source.SeriesInstanceUID = header.SeriesInstanceUID
    source.FrameOfReferenceUID = header.FrameOfReferenceUID
    source.Modality = "CT"
    source.SOPClassUID = image.header.SOPClassUID
    source.SOPInstanceUID = image.header.SOPInstanceUID
    rows, columns = image.steps_mm
    spacing = np.linalg.norm(image.steps_mm, axis=1)
    along_row, along_column = columns / spacing[1], rows / spacing[0]
    source.ImagePositionPatient = decimals(image.origin_mm[::-1])
    axes = np.concatenate([along_row[::-1], along_column[::-1]])
    source.ImageOrientationPatient = decimals(axes, 12)
    source.PixelSpacing = decimals(spacing)
    source.SliceThickness = decimals(np.array([slice_spacing_mm(series)]))
    source.Rows, source.Columns = image.shape
    return source


def _segment(number: int, organ: Organ) -> SegmentDescription:
    code, side = CODES[organ.name]
    segment = SegmentDescription(
        segment_number=number,
        segment_label=TG263[organ.name],
        segmented_property_category=_concept(ANATOMICAL_STRUCTURE),
        segmented_property_type=_concept(code),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name="OrganNet2.5D",
            family=codes.DCM.ArtificialIntelligence,
            version=organnet.__version__,
        ),
        display_color=CIELabColor.from_rgb(*bytes.fromhex(organ.colour[1:])),
    )
    if side is not None:
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(side)]
    return segment


def _concept(code: Code) -> CodedConcept:
    return hd.sr.CodedConcept(code.value, "SCT", code.meaning)


def _without_chance(dataset: Dataset, organization: UID) -> None:
    """Put what highdicom takes from the clock and by chance to what the content says."""
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        del dataset[keyword]
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    for item in dataset.ContributingEquipmentSequence:
        item.pop("ContributionDateTime", None)
