"""Comparisons of methods: closed forms, and a simulation that the interval must pass."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from organnet.statistics import bootstrap_interval, case_means, compare, holm


def series(*values: float) -> pd.Series:
    return pd.Series(values, [f"case{n}" for n in range(len(values))], dtype=float)


def test_holm_by_hand() -> None:
    """0.01 x 3, 0.02 x 2, 0.04 x 1; then a smaller product is raised to the one before it."""
    assert holm([0.01, 0.04, 0.02]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.03, 0.04, 0.5]) == pytest.approx([0.09, 0.09, 0.5])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_uncorrected_and_bonferroni(p: list[float]) -> None:
    for corrected, raw in zip(holm(p), p, strict=True):
        assert raw <= corrected <= min(1.0, raw * len(p)) + 1e-12


def test_wilcoxon_by_hand() -> None:
    """Five differences of one sign: the two extreme ones of 2^5 sign patterns, p = 2 / 32."""
    other = series(0.1, 0.2, 0.3, 0.4, 0.5)
    better = other.add([0.01, 0.02, 0.03, 0.04, 0.05])
    found = compare(better, other)
    assert found.p == pytest.approx(2 / 32)
    assert found.difference == pytest.approx(0.03)
    assert found.low >= 0.01 and found.high <= 0.05
    assert found.low < 0.03 < found.high
    back = compare(other, better)
    assert (back.p, back.difference) == (found.p, -found.difference)


def test_only_cases_of_both_count() -> None:
    found = compare(series(0.5, 0.6, 0.7), series(0.5, 0.5))
    assert found.cases == 2
    assert found.difference == pytest.approx(0.05)
    with pytest.raises(ValueError, match="no case"):
        compare(pd.Series({"a": 1.0}), pd.Series({"b": 1.0}))


def test_methods_that_never_differ() -> None:
    found = compare(series(0.5, 0.6), series(0.5, 0.6))
    assert (found.p, found.difference, found.low, found.high) == (1.0, 0.0, 0.0, 0.0)


def test_the_interval_is_that_of_the_mean_of_many() -> None:
    """Of 400 normal values the bootstrap must give mean +- 1.96 sd / 20, the closed form."""
    values = np.random.default_rng(3).normal(5.0, 2.0, 400)
    half = norm.ppf(0.975) * values.std() / 20
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)
    assert (low, high) == bootstrap_interval(values)  # the seed decides
    assert bootstrap_interval(np.array([0.5])) == (0.5, 0.5)


def test_case_means_leave_out_what_was_not_drawn() -> None:
    rows = [
        ("a", "scored", 0.8),
        ("a", "prediction empty", 0.0),
        ("a", "not drawn", np.nan),
        ("b", "scored", 0.5),
    ]
    table = pd.DataFrame(rows, columns=["case", "status", "dsc"])
    assert case_means(table, "dsc").to_dict() == {"a": 0.4, "b": 0.5}
