"""What everything written beside a CT series shares: whose it is, who made it, and its UIDs.

The same CT and the same labels give the same bytes: UIDs are hashes of what the file says, and no
clock is read.
"""

import copy
import hashlib
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from pydicom import Dataset
from pydicom.uid import UID
from pydicom.valuerep import format_number_as_ds
from scipy import ndimage

import organnet
from organnet.dicom.images import DicomCT
from organnet.errors import OrganNetError
from organnet.files import atomic_path
from organnet.organs import ORGANS, Organ
from organnet.volume import Volume

MANUFACTURER = "OrganNet2.5D reproduction"
MODEL = "organnet"
DESCRIPTION = f"organnet {organnet.__version__}, automatic, not for clinical use"
"""Series description; at most 64 letters."""

_MAY_NAME = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferringPhysicianName"),
    *("StudyID", "AccessionNumber"),
)
"""What may tell whose CT it is."""
_OPTIONAL = ("StudyDescription", "SpecificCharacterSet")
_COPIED = (*_MAY_NAME, "StudyDate", "StudyTime", *_OPTIONAL)
_REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID")


def patient_and_study(series: DicomCT, alias: str | None) -> Dataset:
    """The patient's and the study's attributes as in the CT.

    With an `alias` the patient is called so, with a number of this CT series behind it, and nothing
    that may name them is taken over. Study date and UIDs stay: they tie the file to its CT. Raises
    OrganNetError where the CT lacks a UID.
    """
    header = series.images[0].header
    for keyword in _REQUIRED:
        if not header.get(keyword):
            raise OrganNetError(f"the CT series has no {keyword}: export it again")
    dataset = Dataset()
    for keyword in _COPIED:
        is_told = alias is None or keyword in ("StudyDate", "StudyTime")
        if is_told and keyword in header:
            dataset.add(copy.deepcopy(header[keyword]))
        elif keyword not in _OPTIONAL:
            setattr(dataset, keyword, "")
    if alias is not None:
        unique = hashlib.sha256(header.SeriesInstanceUID.encode()).hexdigest()
        dataset.PatientName, dataset.PatientID = alias, f"{alias}-{unique[:8]}"
    dataset.StudyInstanceUID = header.StudyInstanceUID
    dataset.FrameOfReferenceUID = header.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = header.get("PositionReferenceIndicator") or ""
    return dataset


@dataclass(frozen=True, eq=False)
class OrganPixels:
    """One organ of a label map in a series' images.

    Attributes:
        organ: which.
        box: the images, rows and columns around it.
        inside: True in the organ, within the box.
    """

    organ: Organ
    box: tuple[slice, slice, slice]
    inside: Bool[np.ndarray, "n rows columns"] = field(repr=False)


def organs_on_images(
    series: DicomCT, labels: Volume
) -> tuple[list[OrganPixels], UInt8[np.ndarray, "n rows columns"]]:
    """The organs that a label map holds, in PDDCA's order, and the map as pixels of the images.

    Raises OrganNetError where the map is not of the series' size, or no organ is in it.
    """
    if labels.shape != series.ct.shape:
        raise OrganNetError(
            f"the label map has {labels.shape} voxels and the CT series {series.ct.shape}: "
            "give the label map of this series"
        )
    pixels = series.on_images(labels)
    boxes = ndimage.find_objects(pixels, max_label=len(ORGANS))
    found = [
        OrganPixels(organ, box, pixels[box] == organ.label)
        for organ, box in zip(ORGANS, boxes, strict=True)
        if box is not None
    ]
    if not found:
        raise OrganNetError("the label map holds no organ: there is nothing to write")
    return found, pixels


def between_images(series: DicomCT, labels: Volume) -> list[str]:
    """Names of a label map's organs that lie between the series' images and on none of them."""
    shown = series.on_images(labels)
    return [
        organ.name
        for organ in ORGANS
        if np.any(labels.array == organ.label) and not np.any(shown == organ.label)
    ]


def derived_uids(
    series: DicomCT,
    pixels: UInt8[np.ndarray, "n rows columns"],
    kind: str,
    count: int,
    alias: str | None,
) -> list[UID]:
    """UIDs that depend on series, labels, kind of file, the patient's alias and our version."""
    said = "|".join(
        [
            series.images[0].header.SeriesInstanceUID,
            *(image.header.SOPInstanceUID for image in series.images),
            hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest(),
            kind if alias is None else f"{kind} of {alias}",
            organnet.__version__,
        ]
    )
    names = [f"{said}|{n}" for n in range(count)]
    return [UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}") for name in names]


def decimals(values: Float64[np.ndarray, " n"], places: int = 6) -> list[str]:
    """Numbers as DICOM's decimal strings: at most 16 letters each, and no minus zero."""
    return [format_number_as_ds(value) for value in (np.round(values, places) + 0.0).tolist()]


@contextmanager
def without_header_warnings() -> Iterator[None]:
    """What a CT's header holds against the standard is copied as it is, and not warned of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pydicom|highdicom)\.")
        yield


def save(dataset: Dataset, path: Path) -> None:
    """Write a data set that has its file meta information, whole or not at all.

    Raises OrganNetError where the file cannot be written, or a text copied from the CT's header
    does not fit the header's own character set.
    """
    with atomic_path(path) as temporary, without_header_warnings():
        try:
            dataset.save_as(temporary, enforce_file_format=True)
        except (ValueError, TypeError, LookupError) as error:
            raise OrganNetError(
                f"cannot write {path}: the CT's header holds what DICOM does not allow: "
                "correct it, or leave the patient's data out"
            ) from error
