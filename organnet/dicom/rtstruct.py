"""Label maps as DICOM RT Structure Sets, which every planning system reads, and back.

A contour's points are the patient's LPS x, y, z in mm: the order x, y, z exists where
ContourData is written and read, and nowhere else.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

import organnet
from organnet.datasets.case import Mask, compose_labels, crop_mask
from organnet.dicom.contours import contours_of_mask, mask_of_contour, mask_of_contours
from organnet.dicom.derived import (
    DESCRIPTION,
    MANUFACTURER,
    MODEL,
    OrganPixels,
    decimals,
    derived_uids,
    organs_on_images,
    patient_and_study,
    save,
    without_header_warnings,
)
from organnet.dicom.drawn import check_drawn_on, contours_by_image
from organnet.dicom.images import CTImage, DicomCT
from organnet.dicom.names import MAP_OF_NAMES, TG263, organs_of_structures
from organnet.dicom.places import on_grid, slices_between_images, to_mm, to_pixels
from organnet.dicom.structures import (
    CLOSED,
    CLOSED_PLANAR,
    CLOSED_XOR,
    Contour,
    Structure,
    read_structures,
)
from organnet.errors import OrganNetError, one_line
from organnet.organs import ORGANS
from organnet.volume import Volume

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management, retired: the standard still asks for it here."""


def write_rtstruct(series: DicomCT, labels: Volume, path: Path, alias: str | None = None) -> None:
    """Write a label map on the grid of `series.ct` as an RT Structure Set of that series.

    One structure for each organ in the map, by its TG-263 name and in its colour; organs that are
    not in it are left out. Where the series' images are that grid, `read_rtstruct` gives the same
    label map again. The same input gives the same bytes. With an `alias` the patient is called so,
    and nothing that may name them is copied from the CT. Raises OrganNetError where the map is of
    another size, holds no organ, or the file cannot be written.
    """
    organs, pixels = organs_on_images(series, labels)
    with without_header_warnings():
        dataset = patient_and_study(series, alias)
        _add_identity(dataset, series, pixels, alias)
        dataset.ReferencedFrameOfReferenceSequence = [_frame_of_reference(series)]
        dataset.StructureSetROISequence = []
        dataset.ROIContourSequence = []
        dataset.RTROIObservationsSequence = []
        for number, found in enumerate(organs, start=1):
            name = TG263[found.organ.name]
            dataset.StructureSetROISequence.append(_structure(number, name, series))
            dataset.ROIContourSequence.append(_contours(number, found, series))
            dataset.RTROIObservationsSequence.append(_observation(number, name))
    save(dataset, path)


def read_rtstruct(
    path: Path, series: DicomCT, names: Mapping[str, str] | None = None
) -> tuple[Volume, dict[str, str], tuple[str, ...]]:
    """Read the organs of an RT Structure Set as a label map on the grid of `series.ct`.

    Structures are organs by `names` (structure's name to organ) first, then by their spelling.
    Each contour counts for the image it lies on, within half the slice spacing; a contour inside
    another of its structure is a hole. Where two organs overlap the smaller one wins, which is
    noted. Where images are missing the slices between are as the nearest image.

    Returns the label map (uint8), the structure that each organ drawn is, and a note on each thing
    left out or made up.
    Raises OrganNetError where the file is faulty, of another frame of reference or series, names
    one organ twice, has a contour that lies on no image, or none of the nine organs.
    """
    listed = read_structures(path)
    structures = [s for s in listed if s.contours]  # what a template holds may be empty
    organs, others = organs_of_structures([s.name for s in structures], names)
    notes = [f"{s.title} has no contour: left out" for s in listed if not s.contours]
    notes += others
    frame = series.images[0].header.get("FrameOfReferenceUID")
    if any(structures[at].frame_of_reference != frame for at in organs.values()):
        raise OrganNetError(
            f"{path} was drawn in another frame of reference than that of the CT series: "
            "give the series that it was drawn on"
        )
    notes += check_drawn_on(path, [structures[at] for at in organs.values()], series)
    masks, left_out = _masks(path, {organ: structures[at] for organ, at in organs.items()}, series)
    notes += left_out
    if not masks:
        titles = ", ".join(s.title for s in structures)
        raise OrganNetError(
            f"{path} has none of the nine organs: name its structures in a map of names, "
            f"{MAP_OF_NAMES} ({titles})"
        )
    rows, columns = series.images[0].shape
    pixels = compose_labels(masks, (len(series.images), rows, columns))
    notes += _overlaps(masks, pixels)
    labels = on_grid(series, pixels)
    made_up = np.count_nonzero(labels.array[slices_between_images(series)].any(axis=(1, 2)))
    if made_up:
        slices = (
            "1 interpolated slice has" if made_up == 1 else f"{made_up} interpolated slices have"
        )
        notes.append(f"{slices} the labels of the nearest image")
    return labels, {organ: structures[organs[organ]].title for organ in masks}, tuple(notes)


# Writing


def _add_identity(
    dataset: Dataset,
    series: DicomCT,
    pixels: UInt8[np.ndarray, "n rows columns"],
    alias: str | None,
) -> None:
    """Class, UIDs, series, equipment, and the structure set's own name."""
    series_uid, instance_uid = derived_uids(series, pixels, "RTSTRUCT", 2, alias)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = instance_uid
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = series_uid
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = DESCRIPTION
    dataset.OperatorsName = ""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL
    dataset.SoftwareVersions = organnet.__version__
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = MODEL
    dataset.StructureSetName = DESCRIPTION
    dataset.StructureSetDate = ""
    dataset.StructureSetTime = ""
    dataset.ApprovalStatus = "UNAPPROVED"


def _frame_of_reference(series: DicomCT) -> Dataset:
    header = series.images[0].header
    of_series, of_study, frame = Dataset(), Dataset(), Dataset()
    of_series.SeriesInstanceUID = header.SeriesInstanceUID
    of_series.ContourImageSequence = [_reference(image) for image in series.images]
    of_study.ReferencedSOPClassUID = _STUDY_CLASS
    of_study.ReferencedSOPInstanceUID = header.StudyInstanceUID
    of_study.RTReferencedSeriesSequence = [of_series]
    frame.FrameOfReferenceUID = header.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [of_study]
    return frame


def _reference(image: CTImage) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.header.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.header.SOPInstanceUID
    return reference


def _structure(number: int, name: str, series: DicomCT) -> Dataset:
    structure = Dataset()
    structure.ROINumber = number
    structure.ReferencedFrameOfReferenceUID = series.images[0].header.FrameOfReferenceUID
    structure.ROIName = name
    structure.ROIGenerationAlgorithm = "AUTOMATIC"
    structure.ROIGenerationDescription = DESCRIPTION
    return structure


def _contours(number: int, found: OrganPixels, series: DicomCT) -> Dataset:
    of_organ = Dataset()
    of_organ.ReferencedROINumber = number
    of_organ.ROIDisplayColor = list(bytes.fromhex(found.organ.colour[1:]))
    of_organ.ContourSequence = []
    images, rows, columns = found.box
    corner = np.array([rows.start, columns.start])
    for image, inside in zip(series.images[images], found.inside, strict=True):
        for points in contours_of_mask(inside):
            contour = Dataset()
            contour.ContourNumber = len(of_organ.ContourSequence) + 1
            contour.ContourImageSequence = [_reference(image)]
            contour.ContourGeometricType = CLOSED_PLANAR
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = decimals(to_mm(image, points + corner)[:, ::-1].ravel())
            of_organ.ContourSequence.append(contour)
    return of_organ


def _observation(number: int, name: str) -> Dataset:
    observation = Dataset()
    observation.ObservationNumber = number
    observation.ReferencedROINumber = number
    observation.ROIObservationLabel = name
    observation.RTROIInterpretedType = "ORGAN"
    observation.ROIInterpreter = ""
    return observation


# Reading


def _masks(
    path: Path, structures: Mapping[str, Structure], series: DicomCT
) -> tuple[dict[str, Mask], list[str]]:
    """The pixels of each organ that has some, and a note on each thing left out."""
    masks, notes = {}, []
    for organ, structure in structures.items():
        mask, left_out = _mask(path, structure, series)
        notes += left_out
        if mask is None:
            notes.append(f"{organ} has no closed contour that holds a pixel: not drawn")
        else:
            masks[organ] = mask
    return masks, notes


def _mask(path: Path, structure: Structure, series: DicomCT) -> tuple[Mask | None, list[str]]:
    """A structure's pixels in the images, None where it has none; a note on what was left out."""
    closed = [contour for contour in structure.contours if contour.is_closed]
    skipped = Counter(one.kind for one in structure.contours if not one.is_closed)
    on_image = contours_by_image(path, structure, closed, series)
    notes = [
        f"{structure.title}: {count} of kind {one_line(kind)} left out"
        for kind, count in skipped.items()
    ]
    if not on_image:
        return None, notes
    first, last = min(on_image), max(on_image)
    between = last - first + 1 - len(on_image)
    if between:
        notes.append(
            f"{structure.title} has no contour on {between} of the {last - first + 1} images from "
            "its first to its last: they were taken as without it"
        )
    pixels = np.zeros((last - first + 1, *series.images[0].shape), np.bool_)
    for n, contours in on_image.items():
        pixels[n - first] = _filled(series.images[n], contours)
    mask = crop_mask(pixels)
    if mask is not None:
        z, y, x = mask.box
        mask = Mask((slice(z.start + first, z.stop + first), y, x), mask.inside)
    return mask, notes


def _overlaps(masks: Mapping[str, Mask], pixels: UInt8[np.ndarray, "n rows columns"]) -> list[str]:
    """A note on each organ that another took pixels from when the labels were composed."""
    notes = []
    for organ in (one for one in ORGANS if one.name in masks):
        mask = masks[organ.name]
        lost = np.count_nonzero(pixels[mask.box][mask.inside] != organ.label)
        if lost:
            some = "1 pixel" if lost == 1 else f"{lost} pixels"
            notes.append(f"{organ.name} left {some} to a smaller organ that was drawn there too")
    return notes


def _filled(image: CTImage, contours: list[Contour]) -> Bool[np.ndarray, "rows columns"]:
    """The pixels of a structure's closed contours on one image."""
    points = {kind: [] for kind in CLOSED}
    for contour in contours:
        points[contour.kind].append(to_pixels(image, contour.positions_mm))
    filled = mask_of_contours(points[CLOSED_PLANAR], image.shape)
    for each in points[CLOSED_XOR]:
        filled ^= mask_of_contour(each, image.shape)
    return filled
