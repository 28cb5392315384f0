"""What an RT Structure Set file holds, as it stands there: structures and their contours."""

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import RTStructureSetStorage

from organnet.dicom.header import OnlyWhatIsThere
from organnet.dicom.names import title_of
from organnet.errors import OrganNetError

CLOSED_PLANAR, CLOSED_XOR = "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"
CLOSED = (CLOSED_PLANAR, CLOSED_XOR)
"""The two kinds of contour that hold pixels; of the second, what an even number holds is out."""
FARTHEST_MM = 1e6
"""No point of a patient is farther away than this."""


@dataclass(frozen=True, eq=False)
class Contour:
    """One contour: its points, LPS, each as z, y, x in mm, and CLOSED_PLANAR, POINT and so on."""

    kind: str
    positions_mm: Float64[np.ndarray, "n 3"] = field(repr=False)

    @property
    def is_closed(self) -> bool:
        """Whether it holds pixels."""
        return self.kind in CLOSED


@dataclass(frozen=True, eq=False)
class Structure:
    """One structure (ROI).

    Attributes:
        name: as it stands in the file.
        frame_of_reference: UID of the one that its points are in.
        contours: in the order of the file.
        drawn_on: UIDs of the images that its contours refer to; where they refer to none, those
            of the series and images that the whole file does.
    """

    name: str
    frame_of_reference: str
    contours: tuple[Contour, ...] = field(repr=False)
    drawn_on: frozenset[str] = field(repr=False)

    @property
    def title(self) -> str:
        """Its name as part of a message."""
        return title_of(self.name)


def read_structures(path: Path) -> list[Structure]:
    """Read every structure of an RT Structure Set; one without contours has none.

    Raises OrganNetError, one line that names the file, where it is missing, truncated, no RT
    Structure Set, or breaks its rules so that it cannot be read.
    """
    if path.is_dir():
        raise OrganNetError(f"{path} is a folder: give the RT Structure Set in it")
    try:
        with warnings.catch_warnings(), OnlyWhatIsThere(io.FileIO(path)) as content:
            warnings.simplefilter("ignore")  # what matters of the file is checked here
            return _structures(path, dcmread(content))
    except OrganNetError:
        raise
    except FileNotFoundError as error:
        raise OrganNetError(f"{path} does not exist: check the path") from error
    except InvalidDicomError as error:
        raise OrganNetError(f"{path} is no DICOM file: give an RT Structure Set") from error
    except Exception as error:  # pydicom raises some ten kinds of error on what is no DICOM
        raise _faulty(path, type(error).__name__) from error


def images_drawn_on(path: Path) -> frozenset[str]:
    """UIDs of the images, or of the series, that an RT Structure Set refers to; raises as above."""
    return frozenset().union(*(structure.drawn_on for structure in read_structures(path)))


def _structures(path: Path, dataset: Dataset) -> list[Structure]:
    if dataset.get("SOPClassUID") != RTStructureSetStorage:
        raise OrganNetError(f"{path} is no RT Structure Set: give the file of modality RTSTRUCT")
    # It comes last: where it is missing, the file ended early, which pydicom passes over
    if not dataset.get("RTROIObservationsSequence"):
        raise _faulty(path, "it has no observations")
    contours: dict[int, list[Contour]] = {}
    images: dict[int, set[str]] = {}
    for of_structure in dataset.ROIContourSequence:
        number = int(of_structure.ReferencedROINumber)
        items = of_structure.get("ContourSequence") or []
        images.setdefault(number, set()).update(*map(_images_of, items))
        listed = [_contour(path, item) for item in items]
        contours.setdefault(number, []).extend(c for c in listed if len(c.positions_mm))
    whole = _images_of_all(dataset)
    structures = []
    for item in dataset.StructureSetROISequence:
        number = int(item.ROINumber)
        own = tuple(contours.pop(number, []))
        frame = str(item.ReferencedFrameOfReferenceUID)
        drawn_on = frozenset(images.get(number) or whole)
        structures.append(Structure(str(item.get("ROIName") or ""), frame, own, drawn_on))
    if contours:
        raise _faulty(path, "it has contours of no structure")
    return structures


def _contour(path: Path, item: Dataset) -> Contour:
    values = np.array([float(value) for value in item.ContourData or []], np.float64)
    count = int(item.get("NumberOfContourPoints", len(values) // 3))
    if len(values) != 3 * count or not (np.abs(values) < FARTHEST_MM).all():
        raise _faulty(path, "a contour's points are not the numbers that they should be")
    kind = str(item.ContourGeometricType)
    return Contour(kind, np.ascontiguousarray(values.reshape(-1, 3)[:, ::-1]))


def _images_of(item: Dataset) -> set[str]:
    """The images that a contour or a series refers to."""
    images = item.get("ContourImageSequence") or []
    return {str(image.get("ReferencedSOPInstanceUID") or "") for image in images} - {""}


def _images_of_all(dataset: Dataset) -> set[str]:
    """The series, and their images, that a structure set refers to before it comes to contours."""
    uids: set[str] = set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                uids |= {str(series.get("SeriesInstanceUID") or "")} | _images_of(series)
    return uids - {""}


def _faulty(path: Path, why: str) -> OrganNetError:
    return OrganNetError(
        f"{path} is truncated or no valid RT Structure Set ({why}): copy or export it again"
    )
