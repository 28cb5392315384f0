"""How well two people agree who drew the same scans: what a network can be measured by at most."""

from pathlib import Path

import pandas as pd

from organnet.datasets.observers import drawn_twice
from organnet.evaluation import score_pairs


def observer_agreement(root: Path) -> pd.DataFrame:
    """Score the radiographer's drawings against the oncologist's; a table with METRIC_COLUMNS.

    The scores are the same either way round. An organ that one of the two left empty is not
    scored: nobody knows whether it was absent or just not drawn. Raises OrganNetError where
    `root` does not hold such scans, or as `score_pairs`.
    """
    return score_pairs(drawn_twice(root))
