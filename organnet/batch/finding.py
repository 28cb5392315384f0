"""The scans that paths, folders and patterns stand for, each with a name of its own.

Nothing that may be a patient's scan goes unseen: what cannot be segmented becomes an input with a
fault, which the batch reports as a case that failed; a folder without a CT beside scans is named.
"""

import dataclasses
import glob
import itertools
import os
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from organnet.batch.inputs import (
    CASE_FOLDER,
    Input,
    has_loose_ct,
    is_image,
    is_lone_dicom,
    is_without_ct,
    is_zip,
    kind_of,
)
from organnet.errors import OrganNetError, one_line
from organnet.layout import DRAWINGS, IMAGE, SEGMENTATION, image_stem

WILDCARDS = "*?["
LONGEST_NAME = 200
"""Bytes; a file system takes 255, and outputs and their temporary names add to it."""
FOLDERS_IN_NAME = 3
"""So many folders' names at most stand before a case's, to tell it from another; then numbers."""
NO_CT = f"holds no CT, as {IMAGE}, image file or DICOM: name one that does"
LOOSE_CT = "holds images beside other scans: give them a folder of their own"
LONE_DICOM = "is one DICOM file: give the folder of its series"


class Found(NamedTuple):
    """The scans to segment, and the folders below what was given that hold none."""

    inputs: list[Input]
    passed_over: list[Path]


def find_inputs(given: list[Path], out: Path | None = None) -> Found:
    """Every scan that the paths stand for, once each, but none below `out`.

    A path is a scan, a folder of scans to any depth, or a glob pattern. A path or match that is
    none becomes an input with a fault; a folder found below it, of drawings or of DICOM without a
    CT, is passed over. Raises OrganNetError for a pattern that matches nothing.

    A case is called as its file or folder, after the folders in which it was searched: whatever
    else is found there, its name stays. Where several would yet be called alike, the names of
    further folders stand before.
    """
    own = Path(os.path.abspath(out)) if out else None
    scans: dict[str, tuple[Input, Path]] = {}
    passed_over: list[Path] = []
    for path in given:
        for match, root in _matches(path):
            below = _scans_below(match, root, own)
            found = [scan for scan in below if scan.fault != NO_CT]
            if found:
                passed_over += [scan.path for scan in below if scan.fault == NO_CT]
            for scan in found or below:
                scans.setdefault(os.path.abspath(scan.path), (scan, _place(scan.path, root)[1]))
    return Found(_called_apart(list(scans.values())), passed_over)


def numbered(inputs: list[Input], known: dict[str, list[str]]) -> list[Input]:
    """The inputs called case-001 and so on, and never by their paths in any message.

    Args:
        inputs: of `find_inputs`.
        known: names of cases that are numbered already, by SHA-256 of their input; they keep them.
    """
    left = {hashed: sorted(names) for hashed, names in known.items()}
    taken = {name for names in known.values() for name in names}
    free = (name for n in itertools.count(1) if (name := f"case-{n:03}") not in taken)
    named = []
    for given in inputs:
        unnamed = dataclasses.replace(given, name="an input", names_path=False)
        try:
            hashed = unnamed.sha256()
        except OrganNetError:  # its record is filed so too
            hashed = ""
        of_these_bytes = left.get(hashed, [])
        name = of_these_bytes.pop(0) if of_these_bytes else next(free)
        named.append(dataclasses.replace(unnamed, name=name))
    return named


def case_name(path: Path, root: Path | None = None) -> str:
    """The folders from `root` down to a case, and its own name: `A_ct` for A/ct.nrrd.

    That is a folder's name, or a file's without suffix; img.nrrd is called as its folder.
    """
    whole, above = _place(path, root or path)
    name = whole.name
    if is_zip(whole):
        name = whole.stem
    elif not os.path.isdir(whole):
        name = image_stem(name)
    return one_line("_".join((*whole.parent.relative_to(above).parts, name)), most=1000)


def _place(path: Path, root: Path) -> tuple[Path, Path]:
    """What a case is called after, and the folder above its name: `root`, where it lies below."""
    whole = Path(os.path.abspath(path))  # not resolved: a link may lead to a patient's name
    if whole.name == IMAGE:
        whole = whole.parent
    above = Path(os.path.abspath(root))
    return whole, above if whole.parent.is_relative_to(above) else whole.parent


def _matches(path: Path) -> list[tuple[Path, Path]]:
    """What a path or pattern stands for, each with the folder in which it was searched."""
    if os.path.exists(path) or not any(letter in str(path) for letter in WILDCARDS):
        return [(path, path)]
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        raise OrganNetError(f"{path} matches no file or folder: check the pattern")
    plain = itertools.takewhile(lambda part: not set(WILDCARDS) & set(part), path.parts)
    root = Path(*plain)
    return [(Path(name), root) for name in found]


def _scans_below(
    path: Path, root: Path, own: Path | None, above: frozenset[str] = frozenset()
) -> list[Input]:
    """The scan that a path is, or those below it, and every folder there that holds none.

    They are called as they lie below `root`. What lies below `own`, that of outputs, is left out.
    What was found by searching, in the folders `above`, is no scan where it is drawings, or DICOM
    of other modalities; links that lead back to one of these are not followed.
    """
    given = not above
    if own is not None and Path(os.path.abspath(path)).is_relative_to(own):
        return []
    try:
        if not given and _is_drawings(path):
            return [_input(path, root, fault=NO_CT)]
        kind = kind_of(path)
        itself = []
        if kind is not None and (given or kind != "DICOM" or not is_without_ct(path)):
            itself = [_input(path, root, kind, LONE_DICOM if is_lone_dicom(path) else "")]
            if kind != CASE_FOLDER:
                return itself
        entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        if kind is None and has_loose_ct(path):
            itself = [_input(path, root, fault=LOOSE_CT)]
        elif itself:  # the other images of a case are derived from its CT, other cases are not
            entries = [p for p in entries if os.path.isdir(p) and kind_of(p) == CASE_FOLDER]
    except OSError as error:
        return [
            _input(path, root, fault=f"cannot be read ({error.strerror}): check its permissions")
        ]
    above |= {os.path.realpath(path)}
    parts = [
        p
        for p in entries
        if (os.path.isdir(p) and os.path.realpath(p) not in above) or is_image(p) or is_zip(p)
    ]
    scans = [scan for part in parts for scan in _scans_below(part, root, own, above)]
    if scans and itself and all(scan.fault == NO_CT for scan in scans):
        # Beside the CT, nothing but MR and the like: what else a CT's folder holds is left aside
        itself = [
            dataclasses.replace(one, kind="DICOM", fault="") if one.fault == LOOSE_CT else one
            for one in itself
        ]
    scans = itself + scans
    if all(scan.fault == NO_CT for scan in scans):
        return [_input(path, root, fault=NO_CT)]
    return scans


def _is_drawings(path: Path) -> bool:
    """Whether a path is called as what people draw: a folder of masks, a segmentation of Slicer."""
    if os.path.isdir(path):
        return path.name in DRAWINGS
    return path.name.lower().endswith(SEGMENTATION)


def _input(path: Path, root: Path, kind: str = "image", fault: str = "") -> Input:
    name = case_name(path, root)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = Path(str(path).encode(errors="replace").decode())
        name = case_name(shown, root)
        return Input(name, shown, kind, "is no UTF-8 name: rename it or its folder")
    if not name or name.startswith("."):
        fault = "would make a hidden case: rename it without the dot in front"
        name = name.lstrip(".") or "hidden"
    return Input(name, path, kind, fault)


def _called_apart(inputs: list[tuple[Input, Path]]) -> list[Input]:
    """The inputs under names that no two share, whatever a file system makes of letters' case.

    With each comes the folder above its name.
    """
    names = [given.name for given, _ in inputs]
    for up in range(FOLDERS_IN_NAME):
        alike = _alike(names)
        names = [
            f"{_folder(above, up)}_{name}".lstrip("_") if _folded(name) in alike else name
            for (_, above), name in zip(inputs, names, strict=True)
        ]
    alike = _alike(names)  # whose folders are called alike too, and tell nothing
    return [
        _called(given, f"{given.name}_{n}" if _folded(name) in alike else name, n)
        for n, ((given, _), name) in enumerate(zip(inputs, names, strict=True), start=1)
    ]


def _called(given: Input, name: str, number: int) -> Input:
    if len(name.encode()) <= LONGEST_NAME:
        return dataclasses.replace(given, name=name)
    fault = f"makes a name of more than {LONGEST_NAME} bytes: rename it, or give its own folder"
    return dataclasses.replace(given, name=f"{name[: LONGEST_NAME // 8]}_{number}", fault=fault)


def _alike(names: list[str]) -> set[str]:
    counts = Counter(map(_folded, names))
    return {name for name, count in counts.items() if count > 1}


def _folded(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _folder(above: Path, up: int) -> str:
    """The name of the folder that many levels above one; none beyond the first of all."""
    folders = (above, *above.parents)
    return folders[up].name if up < len(folders) else ""
