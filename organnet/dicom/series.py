"""The one CT series among the DICOM files of a folder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)
from tqdm import tqdm

from organnet.dicom.header import DicomFile, numbers, read_header, text, unreadable
from organnet.errors import OrganNetError

_TAGS = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType"),
    *("PatientID", "PatientName", "PatientBirthDate"),
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "FrameOfReferenceUID"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
)
_PATIENT = ("PatientID", "PatientName", "PatientBirthDate")
"""What tells patients apart: exports leave one or another of them empty, mostly the ID."""
_DRAWN_ON = "the CT that was drawn on is taken"
_FIRST = "an original CT is taken before a derived one, then an axial one, then the most images"
_FEWEST_PLACES = 10
"""Fewer are no head: a few images are taken to plan with, at one place to wait for contrast."""
_CT = "CT"
_ENHANCED = "enhanced CT"
_ENHANCED_CLASSES = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)


@dataclass(frozen=True)
class CTSeries:
    """The files of one CT series, in no order.

    Attributes:
        name: its number and description.
        files: one for each image.
        warnings: why it was chosen, where there were others.
    """

    name: str
    files: tuple[DicomFile, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Instance:
    file: DicomFile
    header: Dataset
    kind: str

    @property
    def series(self) -> tuple[str, str]:
        """Series UID and kind: a localizer may share the UID of the images it was made for."""
        return text(self.header, "SeriesInstanceUID"), self.kind

    def is_one_of(self, uids: frozenset[str]) -> bool:
        """Whether its own UID or that of its series is among these."""
        return text(self.header, "SOPInstanceUID") in uids or self.series[0] in uids


def choose_ct(
    files: list[DicomFile],
    path: Path,
    drawn_on: frozenset[str] = frozenset(),
    anonymise: bool = False,
) -> CTSeries:
    """The CT series with most images of these UIDs; without any, the most original one.

    `drawn_on` are UIDs of images or series that structures refer to. Else an original series comes
    before a derived one, as reformats are, an axial one before others, and then the one with the
    most images; last those whose images lie at a few places alone. Where two are alike the smaller
    UID decides. Localizers, reports and other modalities
    are left aside. With `anonymise` series are told by their numbers alone: a description is free
    text.

    Raises OrganNetError where there is no CT series or only an enhanced (multi-frame) one, where
    a file is damaged, and where CT series or the images of one are of more than one patient or
    frame of reference.
    """
    tags = tuple(tag for tag in _TAGS if not (anonymise and tag == "SeriesDescription"))
    series: dict[tuple[str, str], list[_Instance]] = {}
    for file in tqdm(files, unit="file", disable=None, leave=False):
        instance = _look_at(file, tags)
        if instance is not None:
            series.setdefault(instance.series, []).append(instance)
    candidates = {key: found for key, found in series.items() if key[1] == _CT}
    if not candidates:
        raise _no_ct(series, path)
    meant = {key: sum(o.is_one_of(drawn_on) for o in found) for key, found in candidates.items()}
    chosen = min(candidates, key=lambda key: (-meant[key], *_rank(candidates[key]), key))
    instances = candidates[chosen]
    name = _series_name(instances)
    _refuse_mixed(instances, name, path)
    _refuse_patients([one for found in candidates.values() for one in found], path)
    others = [_described(found) for key, found in sorted(series.items()) if key != chosen]
    warnings = ()
    if others:
        warnings = (
            f"took {_described(instances)}, left aside {', '.join(others)}: "
            f"{_DRAWN_ON if meant[chosen] else _FIRST}",
        )
    return CTSeries(name, tuple(one.file for one in instances), warnings)


def _look_at(file: DicomFile, tags: tuple[str, ...]) -> _Instance | None:
    """What a file is; None for a DICOMDIR, the table of contents on a disc."""
    header = read_header(file, tags)
    if text(header.file_meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        return None
    if not text(header, "Modality") or not text(header, "SeriesInstanceUID"):
        raise unreadable(file, "it names no modality or series")
    return _Instance(file, header, _kind(header))


def _kind(header: Dataset) -> str:
    modality, storage = text(header, "Modality"), text(header, "SOPClassUID")
    if modality != _CT:
        return modality
    if storage in _ENHANCED_CLASSES:
        return _ENHANCED
    if storage != CTImageStorage:
        return "CT that is no slices"
    return "CT localizer" if "LOCALIZER" in _image_type(header) else _CT


def _image_type(header: Dataset) -> list[str]:
    image_type = header.get("ImageType")
    several = isinstance(image_type, Sequence) and not isinstance(image_type, str)
    return list(image_type) if several else [str(image_type)]


def _rank(instances: list[_Instance]) -> tuple[bool, bool, bool, bool, int]:
    """What makes a series of slices the less likely to be the CT that is meant; least is best."""
    places = {text(one.header, "ImagePositionPatient") for one in instances}
    return (
        *(len(places) == 1, len(places) < _FEWEST_PLACES),
        *(_is_derived(instances), not _is_axial(instances), -len(instances)),
    )


def _is_derived(instances: list[_Instance]) -> bool:
    return "DERIVED" in _image_type(instances[0].header)


def _is_axial(instances: list[_Instance]) -> bool:
    """Whether the normal of its images runs to the head, more than to the side or the back."""
    first = instances[0]
    try:
        x, y, z, u, v, w = numbers(first.header, "ImageOrientationPatient", 6, first.file)
    except OrganNetError:  # reading it would say so
        return False
    return bool(abs(x * v - y * u) > max(abs(y * w - z * v), abs(z * u - x * w)))


def _refuse_mixed(instances: list[_Instance], name: str, path: Path) -> None:
    whose = [(keyword, "patients") for keyword in _PATIENT]
    for keyword, what in (*whose, ("FrameOfReferenceUID", "positionings")):
        count = _values(instances, keyword)
        if count > 1:
            raise OrganNetError(
                f"{path}: series {name} mixes {count} {what} ({keyword}): "
                "export the series of one patient again"
            )


def _refuse_patients(instances: list[_Instance], path: Path) -> None:
    for keyword in _PATIENT:
        count = _values(instances, keyword)
        if count > 1:
            raise OrganNetError(
                f"{path} holds CTs of {count} patients ({keyword}): give the folder of one"
            )


def _values(instances: list[_Instance], keyword: str) -> int:
    """How many values an element has: one name may be in capitals, or end in empty parts.

    Where all have one PatientID, what is left out here and there is no value of its own.
    """
    values = {text(one.header, keyword).rstrip("^ ").casefold() for one in instances}
    ids = {text(one.header, "PatientID") for one in instances}
    if len(ids) == 1 and "" not in ids:
        values.discard("")
    return len(values)


def _series_name(instances: list[_Instance]) -> str:
    """Its number and description, as the scanner's list shows them; no name of a patient."""
    header = instances[0].header
    description = text(header, "SeriesDescription")
    number = text(header, "SeriesNumber") or "without a number"
    return f"{number} ({description})" if description else number


def _described(instances: list[_Instance]) -> str:
    count = len(instances)
    files = "1 file" if count == 1 else f"{count} files"
    odd = "".join(
        f"{word}, "
        for word, holds in (
            ("derived", _is_derived(instances)),
            ("not axial", not _is_axial(instances)),
        )
        if holds and instances[0].kind == _CT
    )
    return f"series {_series_name(instances)}: {instances[0].kind}, {odd}{files}"


def _no_ct(series: dict[tuple[str, str], list[_Instance]], path: Path) -> OrganNetError:
    counts = Counter(one.kind for instances in series.values() for one in instances)
    if not counts:
        return OrganNetError(f"{path} holds no DICOM images: give the folder of one CT series")
    there = ", ".join(f"{kind} ({count})" for kind, count in sorted(counts.items()))
    what_to_do = "give the folder of one CT series"
    if _ENHANCED in counts:
        what_to_do = "convert the enhanced (multi-frame) CT to one file for each slice"
    return OrganNetError(f"{path} holds no CT series but {there}: {what_to_do}")
