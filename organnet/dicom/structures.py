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
from organnet.dicom.names import one_line
from organnet.errors import OrganNetError

FARTHEST_MM = 1e6
"""No point of a patient is farther away than this."""


@dataclass(frozen=True, eq=False)
class Contour:
    """One contour: its points, LPS, each as z, y, x in mm, and CLOSED_PLANAR, POINT and so on."""

    kind: str
    positions_mm: Float64[np.ndarray, "n 3"] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Structure:
    """One structure (ROI) with its contours in the order of the file."""

    name: str
    frame_of_reference: str
    contours: tuple[Contour, ...] = field(repr=False)

    @property
    def title(self) -> str:
        """Its name as part of a message."""
        return one_line(self.name)


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


def _structures(path: Path, dataset: Dataset) -> list[Structure]:
    if dataset.get("SOPClassUID") != RTStructureSetStorage:
        raise OrganNetError(f"{path} is no RT Structure Set: give the file of modality RTSTRUCT")
    # It comes last: where it is missing, the file ended early, which pydicom passes over
    if not dataset.get("RTROIObservationsSequence"):
        raise _faulty(path, "it has no observations")
    contours: dict[int, list[Contour]] = {}
    for of_structure in dataset.ROIContourSequence:
        number = int(of_structure.ReferencedROINumber)
        listed = [_contour(path, item) for item in of_structure.get("ContourSequence") or []]
        contours.setdefault(number, []).extend(c for c in listed if len(c.positions_mm))
    structures = []
    for item in dataset.StructureSetROISequence:
        own = contours.pop(int(item.ROINumber), [])
        frame = str(item.ReferencedFrameOfReferenceUID)
        structures.append(Structure(str(item.get("ROIName") or ""), frame, tuple(own)))
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


def _faulty(path: Path, why: str) -> OrganNetError:
    return OrganNetError(
        f"{path} is truncated or no valid RT Structure Set ({why}): copy or export it again"
    )
