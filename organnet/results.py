"""Scores that are kept in the repository's results/, to stand beside a run's own."""

from pathlib import Path

import pandas as pd

from organnet.evaluation import read_metrics
from organnet.experiment import project_root

OBSERVERS = "observers/metrics.csv"


def results_folder() -> Path | None:
    """results/ of the repository a reader works in, else of the one this package lies in."""
    roots = (project_root(), Path(__file__).parent.parent)
    return next((r / "results" for r in roots if (r / "results").is_dir()), None)


def observers_scores() -> pd.DataFrame | None:
    """Scores of two people who drew the same scans; None outside the repository."""
    root = results_folder()
    return read_metrics(root / OBSERVERS) if root else None
