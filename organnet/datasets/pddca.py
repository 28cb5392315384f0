"""PDDCA 1.4.1 (MICCAI 2015 challenge), and anything laid out like it: the phantom, your own cases.

ROOT/CASE/img.nrrd and ROOT/CASE/structures/{BrainStem, Chiasm, ...}.nrrd. PDDCA's oddities are
handled here: organs without a file were not drawn, structures overlap by a few voxels.

Source: Raudaschl et al., Medical Physics 2017, doi 10.1002/mp.12197.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from organnet.datasets.case import (
    SPLITS,
    Case,
    Dataset,
    Mask,
    compose_labels,
    crop_mask,
)
from organnet.errors import OrganNetError, shortened
from organnet.files import make_folder, read_json, subfolders
from organnet.layout import IMAGE, SPLITS_NAME, STRUCTURES
from organnet.organs import ORGAN_NAMES, organ
from organnet.volume import Volume, read_ct, read_volume, same_grid, write_volume


def _cases(numbers: str) -> tuple[str, ...]:
    return tuple(f"0522c{number}" for number in numbers.split())


TRAINING = _cases(
    "0001 0002 0003 0009 0013 0014 0017 0057 0070 0077 0079 0081 0125 0132 0147 0149 0159 0161 "
    "0190 0195 0226 0248 0251 0253 0328"
)
"""The challenge's 25 training cases."""
ADDITIONAL = _cases("0329 0330 0427 0433 0441 0455 0457 0479")
"""Eight more training cases, without a mandible."""
ON_SITE = _cases("0788 0806 0845 0857 0878")
"""Test cases of the challenge's day itself; here training is watched by them."""
OFF_SITE = _cases("0555 0576 0598 0659 0661 0667 0669 0708 0727 0746")
"""The ten test cases whose results papers print."""

OFFICIAL_SPLITS = {"training": TRAINING + ADDITIONAL, "validation": ON_SITE, "test": OFF_SITE}

_LAYOUT = "CASE/img.nrrd and CASE/structures/BrainStem.nrrd"
_EXAMPLE = '{"training": ["A"], "validation": ["B"], "test": ["C"]}'


def open_pddca(root: Path, name: str = "pddca") -> Dataset:
    """List the cases below `root`: by its splits.json if there is one, else by PDDCA's own lists.

    Raises OrganNetError where the folder is missing or holds no case, and where splits.json and
    the folders disagree: no case is left out in silence, and none is in two splits.
    """
    folders = {
        folder.name: folder
        for folder in subfolders(root)
        if (folder / IMAGE).exists() or (folder / STRUCTURES).exists()
    }
    if not folders:
        raise OrganNetError(f"{root} holds no case: {_where_to_get(name)}")
    if (root / SPLITS_NAME).exists():
        splits = _read_splits(root / SPLITS_NAME, set(folders))
    else:
        splits = _official_splits(root, set(folders))
    return Dataset(name, root, splits, folders, read_case)


def read_case(folder: Path) -> Case:
    """Read img.nrrd (HU) and the structures of one case, on the image's own grid.

    Raises OrganNetError where the image or all structures are missing, a file is faulty, or a
    structure lies on another grid than the image.
    """
    if not folder.is_dir():
        raise OrganNetError(f"{folder} is no folder: give a case's folder, with {IMAGE} in it")
    image = folder / IMAGE
    if not image.exists():
        raise OrganNetError(f"{image} is missing: put the case's CT there, as NRRD")
    ct = read_ct(image)
    labels, drawn = read_masks(_structure_files(folder), image, ct)
    return Case(folder.name, ct, labels, drawn)


def read_labels(folder: Path) -> tuple[Volume, frozenset[str]]:
    """Read the structures alone: label map (uint8, on their own grid) and the organs drawn.

    Works for cases without img.nrrd. Raises OrganNetError as `read_case`.
    """
    return read_masks(_structure_files(folder))


def write_case(out: Path, case: Case) -> None:
    """Write OUT/NAME/img.nrrd and structures/*.nrrd, whole or not at all.

    The files go into a hidden folder of their own, which is removed in every case, and get their
    place by one renaming. Raises OrganNetError where `out` cannot be written to.
    """
    make_folder(out)
    with tempfile.TemporaryDirectory(dir=out, prefix=".organnet-") as hidden:
        part = Path(hidden) / case.name
        write_volume(case.ct, part / IMAGE)
        for name in sorted(case.drawn):
            mask = (case.labels.array == organ(name).label).astype(np.uint8)
            write_volume(case.labels.with_array(mask), part / STRUCTURES / f"{name}.nrrd")
        try:
            part.rename(out / case.name)
        except OSError as error:
            advice = "move away what lies there" if (out / case.name).exists() else "try again"
            raise OrganNetError(
                f"cannot write {out / case.name} ({error.strerror}): {advice}"
            ) from error


def read_masks(
    files: Mapping[str, Path], image: Path | None = None, ct: Volume | None = None
) -> tuple[Volume, frozenset[str]]:
    """Compose a label map (uint8) of at least one mask file by organ; also the organs drawn.

    All masks must lie on ct's grid, or else on the first one's. An organ whose mask is empty is not
    drawn. Raises OrganNetError where a file is faulty or lies on another grid.
    """
    grid_of, grid = image, ct
    masks: dict[str, Mask] = {}
    for name, path in files.items():
        volume = read_volume(path)
        if grid is None or grid_of is None:
            grid_of, grid = path, volume
        if not same_grid(volume, grid):
            raise OrganNetError(
                f"{path} lies on another grid than {grid_of}: draw or resample it on that grid"
            )
        mask = crop_mask(volume.array > 0)
        if mask is not None:  # PDDCA has no empty files, but exports of undrawn organs do
            masks[name] = mask
    assert grid is not None
    return grid.with_array(compose_labels(masks, grid.shape)), frozenset(masks)


def _structure_files(folder: Path) -> dict[str, Path]:
    """Files of the organs that are there; other structures are nobody's business here."""
    structures = folder / STRUCTURES
    found = sorted(structures.glob("*.nrrd")) if structures.is_dir() else []
    files = {path.stem: path for path in found if path.stem in ORGAN_NAMES}
    plain = {_plain(name): name for name in ORGAN_NAMES}
    for path in found:
        meant = plain.get(_plain(path.stem))
        if meant is not None and path.stem != meant:
            raise OrganNetError(f"{path} is not named as in PDDCA: rename it to {meant}.nrrd")
    if not files:
        raise OrganNetError(
            f"{structures} holds none of the nine organs: put {', '.join(ORGAN_NAMES)}.nrrd there"
        )
    return {name: files[name] for name in ORGAN_NAMES if name in files}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _official_splits(root: Path, present: set[str]) -> dict[str, tuple[str, ...]]:
    splits = {
        split: tuple(case for case in cases if case in present)
        for split, cases in OFFICIAL_SPLITS.items()
    }
    unlisted = present.difference(*splits.values())
    if unlisted:
        raise OrganNetError(
            f"{root} holds cases that are not PDDCA's ({shortened(sorted(unlisted))}): "
            f"list every case in {root / SPLITS_NAME}, such as {_EXAMPLE}"
        )
    return splits


def _read_splits(path: Path, present: set[str]) -> dict[str, tuple[str, ...]]:
    content = read_json(path)
    unknown = sorted(set(content) - set(SPLITS))
    if unknown or not all(_is_list_of_names(cases) for cases in content.values()):
        raise OrganNetError(f"{path} is not a list of cases for each split: write {_EXAMPLE}")
    splits = {split: tuple(content.get(split, [])) for split in SPLITS}
    listed = [case for cases in splits.values() for case in cases]
    twice = sorted({case for case in listed if listed.count(case) > 1})
    if twice:
        raise OrganNetError(f"{path} lists {shortened(twice)} twice: each case has one split")
    absent = sorted(set(listed) - present)
    if absent:
        raise OrganNetError(
            f"{path} lists cases that are not there ({shortened(absent)}): add their folders "
            "or take them off the list"
        )
    unlisted = sorted(present - set(listed))
    if unlisted:
        raise OrganNetError(
            f"{path} leaves out {shortened(unlisted)}: add each to a split, such as {_EXAMPLE}, "
            "or move its folder elsewhere"
        )
    return splits


def _is_list_of_names(cases: object) -> bool:
    return isinstance(cases, list) and all(isinstance(case, str) for case in cases)


def _where_to_get(name: str) -> str:
    if name == "phantom":
        return "write some with `organnet phantom --out DIR --cases N --seed S`"
    return (
        "get PDDCA 1.4.1 from imagenglab.com/newsite/pddca, or put your own cases there, "
        f"so that {_LAYOUT} lie in it (see data/README.md)"
    )
