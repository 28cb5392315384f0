"""How well two people agree who drew the same scans: what a network can be measured by at most."""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from organnet.datasets import openkbp
from organnet.datasets.matched import draw_again, folders_of_pairs, nothing_shared
from organnet.datasets.observers import drawn_twice
from organnet.evaluation import metrics_table, score_pairs
from organnet.metrics import score_case


def observer_agreement(root: Path) -> pd.DataFrame:
    """Score the radiographer's drawings against the oncologist's; a table with METRIC_COLUMNS.

    The scores are the same either way round. An organ that one of the two left empty is not
    scored: nobody knows whether it was absent or just not drawn. Raises OrganNetError where
    `root` does not hold such scans, or as `score_pairs`.
    """
    return score_pairs(drawn_twice(root))


def agreement_with_openkbp(observers_root: Path, openkbp_root: Path) -> pd.DataFrame:
    """Score the oncologist's drawings against OpenKBP's of the same scans, on OpenKBP's voxels.

    A table with METRIC_COLUMNS: how a person does at what a network is scored on there. Cases are
    SCAN__pt_N, of the pairs whose patient and scan are both there; an organ that one of the two did
    not draw is not scored. Distances are in mm of OpenKBP's own spacing, as a network's are. The
    roots are as cloned, or their folders nrrds and provided-data. Raises OrganNetError where they
    share no scan, or a file is faulty.
    """
    there = folders_of_pairs(openkbp_root, observers_root)
    if not there:
        raise nothing_shared(openkbp_root, observers_root)
    scores = {}
    for pair, (patient, scan) in tqdm(there.items(), "scoring", unit="case", disable=None):
        case = openkbp.read_case(patient)
        again = draw_again(pair, case.ct, scan)
        drawn = case.drawn & again.drawn
        labels = case.labels
        scores[pair.name] = score_case(labels.array, again.labels.array, labels.spacing_mm, drawn)
    return metrics_table(scores)
