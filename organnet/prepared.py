"""Cases as the network's grid has them: cropped to the head, resized, kept on disk once made."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int16, Int64, UInt8

from organnet.datasets import Case
from organnet.grids import grid_size, resize, resize_labels
from organnet.head import head_box
from organnet.organs import BACKGROUND, CLASSES, ORGAN_NAMES, ORGANS, UNKNOWN
from organnet.paper import PAPER_ORGANS
from organnet.tensors import load_tensors, save_tensors
from organnet.volume import to_lps


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """One case on the network's grid.

    Attributes:
        name: the case's name.
        ct: HU.
        labels: 0 background, 1 to 9 organs, 255 unknown.
        drawn: which classes are known, background first.
        spacing_mm: z, y, x; the wanted spacing but for a rounding that lets the grid fill the box.
    """

    name: str
    ct: Int16[np.ndarray, "z y x"]
    labels: UInt8[np.ndarray, "z y x"]
    drawn: Bool[np.ndarray, "10"]
    spacing_mm: tuple[float, float, float]

    @cached_property
    def organ_voxels(self) -> dict[int, Int64[np.ndarray, " n"]]:
        """Flat indices of the voxels of each drawn organ that has any, by label."""
        flat = np.flatnonzero((self.labels != BACKGROUND) & (self.labels != UNKNOWN))
        labels = self.labels.ravel()[flat]
        by_label = {label: flat[labels == label] for label in range(1, CLASSES)}
        return {n: voxels for n, voxels in by_label.items() if self.drawn[n] and len(voxels)}


def prepare(case: Case, spacing_mm: tuple[float, float, float]) -> PreparedCase:
    """Turn a case to LPS, crop it to the head found from its image, resize it to `spacing_mm`."""
    ct, labels = to_lps(case.ct), to_lps(case.labels)
    box = head_box(ct)
    cropped = ct.array[box]
    size = grid_size(cropped.shape, ct.spacing_mm, spacing_mm)
    z, y, x = (mm * n / m for mm, n, m in zip(ct.spacing_mm, cropped.shape, size, strict=True))
    return PreparedCase(
        name=case.name,
        ct=resize(cropped, size).round().astype(np.int16),
        labels=resize_labels(labels.array[box], size),
        drawn=drawn_classes(case.drawn),
        spacing_mm=(z, y, x),
    )


def drawn_classes(drawn: Iterable[str]) -> Bool[np.ndarray, "10"]:
    """Which of the ten classes are known when these organs are drawn; background always is."""
    known = np.zeros(CLASSES, bool)
    known[0] = True
    known[[organ.label for organ in ORGANS if organ.name in set(drawn)]] = True
    return known


def prepare_all(
    names: Iterable[str],
    load: Callable[[str], Case],
    spacing_mm: tuple[float, float, float],
    folder: Path,
) -> list[PreparedCase]:
    """Prepare each case once: the next call reads it from `folder`.

    The folder belongs to one data set; a case made at another spacing, or of other organs, is made
    anew.
    """
    cases = []
    for name in names:
        path = folder / f"{name}.safetensors"
        case = _read(path, spacing_mm) if path.is_file() else None
        if case is None:
            _write(prepare(load(name), spacing_mm), spacing_mm, path)
            case = _read(path, spacing_mm)
        cases.append(case)
    return cases


def _write(case: PreparedCase, wanted_mm: tuple[float, float, float], path: Path) -> None:
    arrays = {"ct": case.ct, "labels": case.labels, "drawn": case.drawn}
    about = {
        **{"name": case.name, "spacing_mm": case.spacing_mm, "wanted_mm": wanted_mm},
        "organs": ORGAN_NAMES,
    }
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    save_tensors(path, tensors, {"case": json.dumps(about)})


def _organs(about: dict) -> tuple[str, ...]:
    """What a case was prepared for; earlier ones, which do not say, for the paper's nine."""
    return tuple(about.get("organs", PAPER_ORGANS))


def _read(path: Path, wanted_mm: tuple[float, float, float]) -> PreparedCase | None:
    tensors, metadata = load_tensors(path)
    about = json.loads(metadata["case"])
    if tuple(about["wanted_mm"]) != wanted_mm or _organs(about) != ORGAN_NAMES:
        return None
    arrays = {key: tensor.numpy() for key, tensor in tensors.items()}
    return PreparedCase(name=about["name"], spacing_mm=tuple(about["spacing_mm"]), **arrays)
