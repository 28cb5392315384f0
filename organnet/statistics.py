"""Is one network better than another on the same cases? Differences, their spread, and tests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """One method against another, case by case.

    Attributes:
        cases: how many cases have a score in both.
        difference: mean over these cases of the first method's score less the second's.
        low: lower end of the bootstrap's 95 % interval of that mean, cases drawn with replacement.
        high: upper end.
        p: of Wilcoxon's signed-rank test, two-sided; 1 where no case differs.
    """

    cases: int
    difference: float
    low: float
    high: float
    p: float


def case_means(metrics: pd.DataFrame, column: str) -> pd.Series:
    """Mean of `column` over the organs drawn in each case, by case name."""
    return metrics[metrics["status"] != "not drawn"].groupby("case")[column].mean()


def compare(one: pd.Series, other: pd.Series, seed: int = 0) -> Comparison:
    """Compare scores of two methods, each by case name, over the cases that both have.

    Raises ValueError where they have no case in common.
    """
    difference = (one - other).dropna().to_numpy(float)
    if not len(difference):
        raise ValueError("no case has a score of both methods")
    low, high = bootstrap_interval(difference, seed)
    differs = np.any(difference != 0)
    p = float(stats.wilcoxon(difference).pvalue) if differs else 1.0
    return Comparison(len(difference), float(difference.mean()), low, high, p)


def bootstrap_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean of values (one per case), cases drawn with replacement.

    A single value, or values that do not differ, give an interval of no width.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return float(values.mean()), float(values.mean())
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number by Holm's step-down method (Scand J Stat 1979).

    The smallest is multiplied by their number n, the next by n - 1, and so on; none exceeds 1 or
    falls below the one before it.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return corrected
