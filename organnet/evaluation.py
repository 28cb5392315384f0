"""Tables of scores: one row per case and organ, their summary, and the text a reader sees."""

import itertools
import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from organnet.datasets import observers, pddca
from organnet.errors import OrganNetError, shortened
from organnet.files import atomic_path, visible
from organnet.layout import IMAGE_FORMATS, SEGMENTATION, STRUCTURES, image_stem
from organnet.metrics import DEFINITIONS, OrganScore, score_case
from organnet.organs import CLASSES, ORGAN_NAMES, ORGANS, UNKNOWN
from organnet.paper import PAPER, PAPER_RESULTS, mean_dsc
from organnet.volume import Volume, read_volume, same_grid, to_lps

METRIC_COLUMNS = ("case", *(field.name for field in fields(OrganScore)))
METRICS = ("dsc", "hd95_mm", "surface_dice")
STATUSES = ("scored", "not drawn", "both empty", "reference empty", "prediction empty")


@dataclass(frozen=True)
class Pairs:
    """Predictions and references that belong together.

    Attributes:
        matched: case name to (prediction, reference), each a label-map file or a case folder.
        unmatched: names that only one of the two sides has.
    """

    matched: dict[str, tuple[Path, Path]]
    unmatched: tuple[str, ...]


def evaluate(prediction: Path, reference: Path) -> pd.DataFrame:
    """Score predictions against references; a table with METRIC_COLUMNS.

    Each of the two is a label-map file (.nrrd, .nii.gz, .mha), a case folder in PDDCA's layout
    (structures/*.nrrd) or the two observers' (segmentations/*.nrrd), or a folder of such; see
    `match_cases`. Raises OrganNetError where nothing matches, or as `score_pairs`.
    """
    return score_pairs(match_cases(prediction, reference).matched)


def score_pairs(pairs: Mapping[str, tuple[Path, Path]]) -> pd.DataFrame:
    """Score by case name a (prediction, reference), each a label-map file or a case folder.

    In a reference's case folder the drawn organs are those with a file that is not empty. In a
    reference label map they are those that occur: an organ without a voxel is taken as not drawn,
    thus unknown, since a label map cannot say more. A prediction has every organ; but an observer's
    folder is a person's drawing, and an organ that it lacks is not scored.

    Raises OrganNetError where a file is faulty or no label map, or a prediction lies on another
    grid than its reference.
    """
    scores = {}
    for case, (predicted_path, reference_path) in tqdm(
        pairs.items(), "scoring", unit="case", disable=None
    ):
        predicted, found = _read(predicted_path)
        truth, drawn = _read(reference_path)
        if not same_grid(predicted, truth):
            raise OrganNetError(
                f"{predicted_path} lies on another grid than {reference_path}: "
                "resample the prediction to the reference's grid, or name its own case"
            )
        if observers.is_drawing(predicted_path):
            drawn &= found
        scores[case] = score_case(truth.array, predicted.array, truth.spacing_mm, drawn)
    return metrics_table(scores)


def match_cases(prediction: Path, reference: Path) -> Pairs:
    """Pair predictions with references by case name: a case folder's, or a file's without suffix.

    One file or case against one other needs no common name; a case's folder of drawings stands for
    the case. Raises OrganNetError where a path
    holds no label map, or no name occurs on both sides.
    """
    prediction, reference = _whole_case(prediction), _whole_case(reference)
    sides = _label_maps(prediction), _label_maps(reference)
    if not (_holds_many(prediction) or _holds_many(reference)):
        (predicted,), ((case, truth),) = sides[0].values(), sides[1].items()
        return Pairs({case: (predicted, truth)}, ())
    common = sorted(set(sides[0]) & set(sides[1]))
    if not common:
        found = [shortened(sorted(side)) for side in sides]
        raise OrganNetError(
            f"no case of {prediction} ({found[0]}) is in {reference} ({found[1]}): "
            "give both the same case names"
        )
    unmatched = tuple(sorted(set(sides[0]) ^ set(sides[1])))
    return Pairs({case: (sides[0][case], sides[1][case]) for case in common}, unmatched)


def metrics_table(scores: Mapping[str, Sequence[OrganScore]]) -> pd.DataFrame:
    """Scores by case name as a table, one row per case and organ, with METRIC_COLUMNS."""
    rows = [
        {"case": case, **asdict(score)} for case, of_case in scores.items() for score in of_case
    ]
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def write_metrics(table: pd.DataFrame, path: Path) -> None:
    """Write metrics.csv, six decimals; an organ that is not drawn has empty scores."""
    with atomic_path(path) as temporary:
        table.to_csv(
            temporary, columns=list(METRIC_COLUMNS), index=False, float_format="%.6f", na_rep=""
        )


def refuse_to_replace(path: Path) -> None:
    """Raise OrganNetError where a table may not be written: another file is there, or no .csv."""
    if path.suffix != ".csv":
        raise OrganNetError(f"{path} is no name for a table: end it in .csv")
    if path.exists():
        try:
            read_metrics(path)
        except OrganNetError as error:
            raise OrganNetError(f"{path} is no table of scores: choose another --out") from error


def read_metrics(path: Path) -> pd.DataFrame:
    """Read what write_metrics wrote; OrganNetError where it is missing or something else."""
    if not path.is_file():
        raise OrganNetError(f"{path} does not exist: run `organnet evaluate` to write it")
    empty = {metric: ["", "NA"] for metric in METRICS}  # R writes NA; a case may be called so
    try:
        table = pd.read_csv(path, dtype={"case": str}, keep_default_na=False, na_values=empty)
    except (OSError, ValueError) as error:  # ValueError: pandas' parser and unicode errors
        raise OrganNetError(f"{path} is no readable table: evaluate again") from error
    if tuple(table.columns) != METRIC_COLUMNS or not set(table["status"]) <= set(STATUSES):
        raise OrganNetError(
            f"{path} is no table of scores: its columns must be {', '.join(METRIC_COLUMNS)}"
        )
    try:
        return table.astype(dict.fromkeys(METRICS, float))
    except ValueError as error:
        raise OrganNetError(f"{path} has a score that is no number: evaluate again") from error


def summarise(table: pd.DataFrame) -> dict[str, Any]:
    """What summary.json holds; plain JSON types, None where there is nothing to average.

    Per organ: mean, standard deviation (n - 1) and median of each metric over the `n` cases in
    which it is drawn, empty masks among them, and how many cases had which status. "mean" is the
    mean of the organs' means, over the `organs` that were scored at all.
    """
    organs = {organ.name: _summarise_organ(table[table["organ"] == organ.name]) for organ in ORGANS}
    scored = [of_organ for of_organ in organs.values() if of_organ["n"]]
    mean: dict[str, Any] = {
        metric: float(np.mean([of_organ[metric]["mean"] for of_organ in scored]))
        if scored
        else None
        for metric in METRICS
    }
    return {
        "cases": int(table["case"].nunique()),
        "organs": organs,
        "mean": mean | {"organs": len(scored)},
        "definitions": DEFINITIONS,
    }


def table_text(summary: Mapping[str, Any], paper: bool = False) -> str:
    """The summary as aligned text: nine organs, their mean, and the definitions below.

    Dice and surface Dice in %, HD95 in mm. `paper` adds the paper's Dice, which is of PDDCA's
    off-site test cases and so comparable to a run on those alone.
    """
    header = f"{'organ':<16}{'DSC %':>14}{'HD95 mm':>15}{'surface DSC %':>16}{'n':>5}  remarks"
    if paper:
        header = header.replace("  remarks", f"{'paper DSC %':>13}  remarks")
    lines = [header, "-" * len(header)]
    for organ, row in summary["organs"].items():
        line = f"{organ:<16}{_three_cells(row)}{row['n']:>5}"
        if paper:
            line += f"{PAPER_RESULTS[PAPER].get(organ, math.nan):>13.1f}"
        lines.append(f"{line}  {_remarks(row)}".rstrip())
    mean = {metric: {"mean": summary["mean"][metric], "sd": None} for metric in METRICS}
    line = f"{'mean of organs':<16}{_three_cells(mean)}{'':>5}"
    if paper:
        line += f"{mean_dsc(PAPER):>13.1f}"
    count = summary["cases"]
    over = "One case." if count == 1 else f"Mean ± standard deviation over {count} cases."
    lines += ["-" * len(header), line.rstrip(), "", over]
    return "\n".join([*lines, *definition_lines(summary["definitions"].values())])


def definition_lines(definitions: Iterable[str]) -> list[str]:
    """Definitions below a table, in lines that a terminal holds."""
    wrapped = (textwrap.wrap(text, 88, subsequent_indent="  ") for text in definitions)
    return list(itertools.chain.from_iterable(wrapped))


def _summarise_organ(rows: pd.DataFrame) -> dict[str, Any]:
    counted = rows[rows["status"] != "not drawn"]
    summary: dict[str, Any] = {"n": len(counted)}
    for metric in METRICS:
        values = counted[metric].to_numpy(float)
        summary[metric] = {
            "mean": float(values.mean()) if len(values) else None,
            "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
            "median": float(np.median(values)) if len(values) else None,
        }
    for status in STATUSES:
        summary[status.replace(" ", "_")] = int((rows["status"] == status).sum())
    return summary


def _three_cells(row: Mapping[str, Any]) -> str:
    dsc, surface_dsc = _cells(row["dsc"], 100.0), _cells(row["surface_dice"], 100.0)
    return f"{dsc:>14}{_cells(row['hd95_mm'], 1.0):>15}{surface_dsc:>16}"


def _cells(values: Mapping[str, float | None], scale: float) -> str:
    mean, sd = values["mean"], values["sd"]
    if mean is None:
        return "-"
    return f"{mean * scale:.1f}" + ("" if sd is None else f" ± {sd * scale:4.1f}")


def _remarks(row: Mapping[str, Any]) -> str:
    """Statuses that a reader of a mean should know of."""
    remarks = [s for s in STATUSES[1:] if row[s.replace(" ", "_")]]
    return ", ".join(f"{status} in {row[status.replace(' ', '_')]}" for status in remarks)


def _whole_case(path: Path) -> Path:
    """The case folder, where its structures/ or segmentations/ was given."""
    case = path.absolute().parent
    drawings = path.is_dir() and path.name in (STRUCTURES, observers.SEGMENTATIONS)
    return case if drawings and _is_case(case) else path


def _holds_many(path: Path) -> bool:
    return path.is_dir() and not _is_case(path)


def _is_case(path: Path) -> bool:
    return (path / STRUCTURES).is_dir() or observers.is_drawing(path)


def _label_maps(path: Path) -> dict[str, Path]:
    """Case names and their label-map files or case folders, without reading any."""
    if not path.exists():
        raise OrganNetError(f"{path} does not exist: give a label map or a folder of cases")
    if path.is_file() and case_name(path) in ORGAN_NAMES:
        raise OrganNetError(f"{path} is the mask of one organ: give the folder of its case")
    if not _holds_many(path):
        return {case_name(path): path}
    found: dict[str, Path] = {}
    for child in visible(path):
        is_file = child.name.lower().endswith(tuple(IMAGE_FORMATS))
        if not (is_file or _is_case(child)):
            continue
        if child.name.lower().endswith(SEGMENTATION):  # 3D Slicer's, numbered in its own way
            continue
        if case_name(child).endswith("_entropy"):  # beside a prediction of `inference --deep`
            continue
        name = case_name(child)
        if name in found:
            raise OrganNetError(
                f"{found[name]} and {child} are one case twice: name one, or give a folder with one"
            )
        found[name] = child
    if not found:
        raise OrganNetError(
            f"{path} holds no label map ({', '.join(IMAGE_FORMATS)}) and no case "
            f"({STRUCTURES}/*.nrrd or {observers.SEGMENTATIONS}/*.nrrd): check the path"
        )
    return found


def case_name(path: Path) -> str:
    """Name of a case folder, or of an image file without its suffix."""
    path = Path(os.path.abspath(path))  # not resolved: a link has a name of its own
    return path.name if path.is_dir() else image_stem(path.name)


def _read(path: Path) -> tuple[Volume, frozenset[str]]:
    """A label map in LPS order and the organs drawn in it."""
    if path.is_dir():
        layout = observers if observers.is_drawing(path) else pddca
        volume, drawn = layout.read_labels(path)
        return to_lps(volume), drawn
    volume = to_lps(read_volume(path))
    present = np.unique(volume.array)
    if not np.isin(present, [*range(CLASSES), UNKNOWN]).all():
        odd = present[~np.isin(present, [*range(CLASSES), UNKNOWN])][0]
        raise OrganNetError(
            f"{path} is no label map (it holds the value {odd:g}): use 0 for background, "
            f"1 to {CLASSES - 1} for the organs and {UNKNOWN} for unknown"
        )
    drawn = frozenset(organ.name for organ in ORGANS if organ.label in present)
    return volume.with_array(volume.array.astype(np.uint8, copy=False)), drawn
