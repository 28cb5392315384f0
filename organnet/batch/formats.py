"""What can be written of a segmented scan. A new format is a row of FORMATS.

Nothing heavy is imported before a file is written.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from organnet.batch.inputs import Input, Scan
from organnet.errors import OrganNetError, choose
from organnet.layout import SEGMENTATION, STRUCTURES
from organnet.organs import ORGAN_NAMES, ORGANS

if TYPE_CHECKING:
    from organnet.inference import Prediction


@dataclass(frozen=True, eq=False)
class Segmented:
    """A scan and what was found in it, on the scan's own grid.

    Attributes:
        scan: with its series where it came as DICOM.
        prediction: labels, and the entropy where it was asked for.
        anonymise: whether the patient is to be called as the case, and nothing is to be written
            that may name them.
    """

    scan: Scan
    prediction: "Prediction"
    anonymise: bool


@dataclass(frozen=True)
class Format:
    """One way to write what was found.

    Attributes:
        files: every file it may write, below the output folder; {} stands for the case.
        deep_files: and those where the entropy was asked for.
        write: writes a case into a folder under its name and returns the files, each of `files`.
            Raises OrganNetError where one cannot be written.
        needs_dicom: whether it refers to the images of a DICOM series.
    """

    files: tuple[str, ...]
    write: Callable[[Segmented, Path, str], list[Path]]
    needs_dicom: bool = False
    deep_files: tuple[str, ...] = ()


def _write_volumes(suffix: str, found: Segmented, folder: Path, name: str) -> list[Path]:
    """The label map, and the entropy map where there is one."""
    from organnet.volume import write_volume

    volumes = {folder / f"{name}{suffix}": found.prediction.labels}
    if found.prediction.entropy is not None:
        volumes[folder / f"{name}_entropy{suffix}"] = found.prediction.entropy
    for path, volume in volumes.items():
        write_volume(volume, path)
    return list(volumes)


def _write_masks(found: Segmented, folder: Path, name: str) -> list[Path]:
    """One mask per organ that was found, in PDDCA's layout."""
    from organnet.volume import write_volume

    labels, paths = found.prediction.labels, []
    for organ in ORGANS:
        mask = labels.array == organ.label
        if mask.any():
            path = folder / name / STRUCTURES / f"{organ.name}.nrrd"
            write_volume(labels.with_array(mask), path)
            paths.append(path)
    return paths


def _write_slicer(found: Segmented, folder: Path, name: str) -> list[Path]:
    from organnet.slicer import write_seg_nrrd

    path = folder / f"{name}{SEGMENTATION}"
    write_seg_nrrd(found.prediction.labels, path)
    return [path]


def _write_rtstruct(found: Segmented, folder: Path, name: str) -> list[Path]:
    from organnet.dicom.rtstruct import write_rtstruct

    if not _is_on_images(found):
        return []  # DICOM has no structure set without a structure
    path = folder / f"{name}_rtstruct.dcm"
    write_rtstruct(found.scan.series, found.prediction.labels, path, _alias(found, name))
    return [path]


def _write_seg(found: Segmented, folder: Path, name: str) -> list[Path]:
    from organnet.dicom.seg import write_seg

    if not _is_on_images(found):
        return []
    path = folder / f"{name}_seg.dcm"
    write_seg(found.scan.series, found.prediction.labels, path, _alias(found, name))
    return [path]


def _alias(found: Segmented, name: str) -> str | None:
    return name if found.anonymise else None


def _is_on_images(found: Segmented) -> bool:
    return bool(found.scan.series.on_images(found.prediction.labels).any())


FORMATS = {
    "nrrd": Format(("{}.nrrd",), partial(_write_volumes, ".nrrd"), deep_files=("{}_entropy.nrrd",)),
    "nifti": Format(
        ("{}.nii.gz",), partial(_write_volumes, ".nii.gz"), deep_files=("{}_entropy.nii.gz",)
    ),
    "masks": Format(tuple(f"{{}}/{STRUCTURES}/{name}.nrrd" for name in ORGAN_NAMES), _write_masks),
    "seg.nrrd": Format(("{}.seg.nrrd",), _write_slicer),
    "rtstruct": Format(("{}_rtstruct.dcm",), _write_rtstruct, needs_dicom=True),
    "seg": Format(("{}_seg.dcm",), _write_seg, needs_dicom=True),
}


def choose_formats(names: list[str]) -> tuple[str, ...]:
    """The formats of these names, each once, in order; OrganNetError for an unknown one."""
    for name in names:
        choose("format", name, tuple(FORMATS))
    return tuple(sorted(set(names)))


def files_of(case: str, formats: tuple[str, ...], deep: bool) -> list[str]:
    """Every file that these formats may write of a case, below the output folder."""
    chosen = [FORMATS[name] for name in formats]
    return [
        file.format(case)
        for one in chosen
        for file in (*one.files, *(one.deep_files if deep else ()))
    ]


def holds_entropy(formats: tuple[str, ...]) -> bool:
    """Whether one of these formats has a place for the entropy map of --deep."""
    return any(FORMATS[name].deep_files for name in formats)


def writable(formats: tuple[str, ...], is_dicom: bool) -> tuple[str, ...]:
    """Those of some formats that a scan can be written in."""
    return tuple(name for name in formats if is_dicom or not FORMATS[name].needs_dicom)


def lacking(formats: tuple[str, ...], is_dicom: bool) -> list[str]:
    """What a scan is not written as although that was asked for, in one line."""
    left_out = [name for name in formats if name not in writable(formats, is_dicom)]
    if not left_out:
        return []
    return [f"the scan is no DICOM series, so it has no {' and no '.join(left_out)}"]


def why_not(given: Input, formats: tuple[str, ...]) -> str | None:
    """Why an input can be written in none of these formats; None where it can in one.

    None also where it cannot be read, of which hashing it tells.
    """
    unreadable = given.fault or not os.path.exists(given.path)
    if unreadable or writable(formats, given.is_dicom):
        return None
    return (
        f"{given.title} is no DICOM series, without which there is no {' and no '.join(formats)}: "
        "give the folder of its DICOM images, or another --format"
    )


def _files(given: Input) -> list[Path]:
    """An input's files; none where they cannot be listed, of which hashing them will tell."""
    try:
        return given.files()
    except OSError:
        return []


def _real(path: Path) -> Path:
    """Where a path leads; unlike `resolve`, also of a link that leads back to itself."""
    return Path(os.path.realpath(path))


def apart(inputs: list[Input], formats: tuple[str, ...], deep: bool, out: Path) -> list[Input]:
    """The inputs; one that would be written where another is, has a fault.

    Raises OrganNetError where an output would replace an input or a drawing beside it. A case
    folder's structures are left alone: they may be a person's drawing. A DICOM folder is left as it
    is: what lies in it, is read as part of it.
    """
    writer: dict[str, Input] = {}
    whole = [given for given in inputs if not given.fault]
    theirs = {_real(path) for given in whole for path in _files(given)}
    drawings = {_real(given.path / STRUCTURES) for given in whole}
    told = []
    for given in inputs:
        files = [] if given.fault else files_of(given.name, formats, deep)
        if files and given.is_dicom and _real(out).is_relative_to(_real(given.path)):
            raise OrganNetError(f"{out} lies within {given.title}: use another --out")
        for file in files:
            path = _real(out / file)
            if path in theirs or path.parent in drawings:
                raise OrganNetError(
                    f"{out / file} would replace an input's file: use another --out"
                )
        taken = [file for file in files if writer.setdefault(file, given) is not given]
        if taken:
            other = writer[taken[0]].title
            fault = f"would be written to {taken[0]} as {other} is: rename one of them"
            given = replace(given, fault=fault)
        told.append(given)
    return told
