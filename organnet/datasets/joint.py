"""Several data sets taught together: one JSON file that lists every case, its split and its organs.

    {"groups": [
      {"folder": "../openkbp/provided-data/train-pats", "split": "training", "cases": ["pt_1"]},
      {"folder": "../matched", "split": "training", "cases": ["A"], "organs": ["OpticNerve_L"],
       "repeat": 4}]}

`folder` is relative to the file. A case is OpenKBP's where it holds ct.csv, else it is laid out as
PDDCA's. `organs` names the only organs to take from a group, so that two protocols of drawing are
never mixed as one truth; without it every drawn organ counts. `repeat` shows a group's cases that
many times as often in training.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from organnet.datasets import openkbp, pddca
from organnet.datasets.case import SPLITS, Case, Dataset
from organnet.errors import OrganNetError, shortened
from organnet.files import read_json
from organnet.organs import BACKGROUND, ORGAN_NAMES, organ


@dataclass(frozen=True)
class Group:
    """Cases of one folder that go to one split, with the organs that are taken from them."""

    folder: Path
    split: str
    cases: tuple[str, ...]
    organs: frozenset[str] = frozenset(ORGAN_NAMES)
    repeat: int = 1


def open_joint(path: Path) -> Dataset:
    """List the cases of the JSON file `path`.

    Folders need not be there, so that a split can be scored without the data of another.
    Raises OrganNetError where the file is missing or not such a list, or one name stands in two
    groups.
    """
    if path.is_dir():
        raise OrganNetError(f"{path} is a folder: name the JSON file that lists the cases")
    groups = [_read_group(path, item) for item in _groups_of(path)]
    folders: dict[str, Path] = {}
    organs: dict[Path, frozenset[str]] = {}
    repeat: dict[str, int] = {}
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for group in groups:
        for case in group.cases:
            if case in folders:
                raise OrganNetError(f"{path} lists {case} twice: each case has one split")
            folders[case] = group.folder / case
            organs[folders[case]] = group.organs
            repeat[case] = group.repeat
        splits[group.split] += group.cases

    def read_case(folder: Path) -> Case:
        reader = openkbp if (folder / "ct.csv").exists() else pddca
        return take_organs(reader.read_case(folder), organs[folder])

    listed = {split: tuple(cases) for split, cases in splits.items()}
    return Dataset("joint", path, listed, folders, read_case, repeat)


def take_organs(case: Case, names: frozenset[str]) -> Case:
    """The case as if only these of its organs had been drawn.

    A voxel of another organ becomes background, which in a label map says no more than that it is
    none of the organs drawn.
    """
    left_out = [organ(name).label for name in sorted(case.drawn - names)]
    kept = np.where(np.isin(case.labels.array, left_out), np.uint8(BACKGROUND), case.labels.array)
    return dataclasses.replace(case, labels=case.labels.with_array(kept), drawn=case.drawn & names)


def _groups_of(path: Path) -> list[dict[str, Any]]:
    groups = read_json(path).get("groups")
    if not isinstance(groups, list) or not all(isinstance(item, dict) for item in groups):
        raise OrganNetError(f"{path} has no list of groups: write it as data/README.md shows")
    return groups


def _read_group(path: Path, item: dict[str, Any]) -> Group:
    known = {field.name for field in dataclasses.fields(Group)}
    cases, organs = item.get("cases"), item.get("organs", list(ORGAN_NAMES))
    repeat = item.get("repeat", 1)
    faults = {
        f"unknown words {shortened(sorted(set(item) - known))}": set(item) <= known,
        "folder is no text": isinstance(item.get("folder"), str),
        f"split is none of {', '.join(SPLITS)}": item.get("split") in SPLITS,
        "cases is no list of names": _names(cases),
        f"organs is no list of {', '.join(ORGAN_NAMES)}": _names(organs)
        and set(organs) <= set(ORGAN_NAMES),
        "repeat is no whole number from 1 on": type(repeat) is int and repeat >= 1,
        "repeat is not for training": repeat == 1 or item.get("split") == "training",
    }
    for fault, passed in faults.items():
        if not passed:
            raise OrganNetError(f"{path} has a group whose {fault}: mend it")
    folder = (path.parent / item["folder"]).resolve()
    return Group(folder, item["split"], tuple(cases), frozenset(organs), repeat)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
