"""Networks put to the test: every test case of a data set segmented and scored."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from organnet.datasets import Dataset
from organnet.errors import OrganNetError
from organnet.evaluation import metrics_table, summarise, write_metrics
from organnet.files import atomic_path, make_folder, read_json, sha256, write_json
from organnet.inference import predict
from organnet.layout import SETTINGS_NAME, find_weights
from organnet.metrics import score_case
from organnet.sides import count_sides, left_right_agrees
from organnet.volume import read_volume, write_volume
from organnet.weights import Network, load_network

METRICS_NAME = "metrics.csv"
SUMMARY_NAME = "summary.json"
SIDES_NAME = "sides.csv"
SCORED_NAME = "scored.json"
PREDICTIONS = "predictions"


def prediction_path(folder: Path, case_name: str) -> Path:
    """Where the label map predicted for a case lies in a folder of scores."""
    return folder / PREDICTIONS / f"{case_name}.nrrd"


def has_scores(folder: Path) -> bool:
    """Whether somebody's predictions or scores lie in a folder."""
    return any((folder / name).exists() for name in (PREDICTIONS, METRICS_NAME, SCORED_NAME))


def score_cases(
    networks: list[Network],
    dataset: Dataset,
    names: Sequence[str],
    folder: Path,
    deep: bool = False,
) -> pd.DataFrame:
    """Segment and score these cases.

    Leaves predictions/, metrics.csv, summary.json and sides.csv (what the voxels of every paired
    organ are called, and whether left and right agree with the anatomy) in `folder`. A prediction
    that is there already is not made again. Raises OrganNetError where no organ is drawn in any of
    the cases.
    """
    scores, sides = {}, []
    for name in tqdm(names, "test cases", unit="case", disable=None):
        case = dataset.load(name)
        path = prediction_path(folder, name)
        if not path.exists():
            write_volume(predict(networks, case.ct, deep).labels, path)
        predicted = read_volume(path)
        array = predicted.array
        scores[name] = score_case(case.labels.array, array, case.labels.spacing_mm, case.drawn)
        counts = count_sides([(case, array)])
        sides.append(counts.assign(agrees_with_anatomy=left_right_agrees(predicted)))
    table = metrics_table(scores)
    if table["dsc"].isna().all():
        raise OrganNetError(f"{dataset.root} has no organ drawn in any of these cases")
    with atomic_path(folder / SIDES_NAME) as temporary:
        pd.concat(sides).to_csv(temporary, index=False)
    write_metrics(table, folder / METRICS_NAME)
    write_json(folder / SUMMARY_NAME, summarise(table))  # last: with it a run counts as scored
    return table


def score_weights(
    weights: list[Path], dataset: Dataset, split: str, folder: Path, deep: bool
) -> pd.DataFrame:
    """Score weights on a split of a data set they were not trained on; goes on where it stopped.

    Raises OrganNetError where the split is empty, or `folder` holds a run, or scores of other
    weights, other cases or data, or another kind of inference.
    """
    names = dataset.splits[split]
    if not names:
        raise OrganNetError(f"{dataset.root} has no {split} cases: choose another --split")
    scored = {
        "weights": [sha256(find_weights(path)) for path in weights],
        "dataset": dataset.name,
        "cases": list(names),
        "data": dataset.sha256(names),
        "deep": deep,
    }
    note = make_folder(folder) / SCORED_NAME
    if (folder / SETTINGS_NAME).exists():
        raise OrganNetError(f"{folder} is a run, which has scores of its own: choose another --out")
    if note.exists() and read_json(note) != scored:
        raise OrganNetError(f"{note} is of other weights, cases or data: choose another --out")
    if not note.exists() and has_scores(folder):
        raise OrganNetError(f"{folder} holds other scores: choose another --out")
    write_json(note, scored)
    return score_cases([load_network(path) for path in weights], dataset, names, folder, deep)
