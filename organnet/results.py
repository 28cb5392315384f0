"""Every published number in one table: the paper's, its competitors', people's, and ours.

Ours are computed from the tables of scores that are kept in results/, not typed.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from organnet.evaluation import read_metrics
from organnet.experiment import project_root
from organnet.organs import ORGAN_NAMES
from organnet.paper import PAPER, PAPER_RESULTS

PDDCA_CASES = 10
OBSERVERS = "observers/metrics.csv"
SHORT = dict(
    zip(
        ORGAN_NAMES,
        (
            *("brain stem", "chiasm", "mandible", "ON L", "ON R"),
            *("parotid L", "parotid R", "SMG L", "SMG R"),
        ),
        strict=True,
    )
)
"""Heads of the table's columns."""


@dataclass(frozen=True)
class Stored:
    """Scores of ours that lie in results/.

    Attributes:
        name: whose they are.
        data: on what.
        files: tables below results/, read as one.
    """

    name: str
    data: str
    files: tuple[str, ...]


STORED = (
    Stored("two observers", "35 scans of PDDCA and TCGA", (OBSERVERS,)),
    Stored("ours, shipped weights", "OpenKBP", ("openkbp/metrics.csv",)),
    Stored(
        "ours, cross-validated",
        "matched",
        tuple(f"matched/fold{fold}/metrics.csv" for fold in range(4)),
    ),
    Stored("ours, shipped weights", "0522c0014, PDDCA's drawing", ("0522c0014/pddca.csv",)),
    Stored("ours, shipped weights", "0522c0014, oncologist", ("0522c0014/oncologist.csv",)),
    Stored("ours, shipped weights", "0522c0014, radiographer", ("0522c0014/radiographer.csv",)),
    Stored("ours, `make reproduce`", "phantom", ("phantom/metrics.csv",)),
)


def results_folder() -> Path | None:
    """results/ of the repository a reader works in, else of the one this package lies in."""
    roots = (project_root(), Path(__file__).parent.parent)
    return next((r / "results" for r in roots if (r / "results").is_dir()), None)


def observers_scores() -> pd.DataFrame | None:
    """Scores of two people who drew the same scans; None outside the repository."""
    root = results_folder()
    return read_metrics(root / OBSERVERS) if root else None


def results_table(root: Path) -> pd.DataFrame:
    """DSC in %, mean over cases, one row per method and data set; `root` is results/.

    Columns: method, data, n (most cases with a score of one organ), the nine organs, mean (of the
    organs in the row) and hd95_mm (mean of the organs' means; NaN where it is not known).
    Raises OrganNetError where a table is missing or no table of scores.
    """
    rows = [
        {
            "method": f"**{name}** (the paper)" if name == PAPER else name,
            "data": "PDDCA",
            "n": PDDCA_CASES,
            **dsc,
        }
        for name, dsc in PAPER_RESULTS.items()
    ]
    for stored in STORED:
        scores = pd.concat([read_metrics(root / file) for file in stored.files])
        scores = scores[scores["status"] != "not drawn"]
        by_organ = scores.groupby("organ")
        rows.append(
            {
                "method": stored.name,
                "data": stored.data,
                "n": int(by_organ.size().max()),
                **(100 * by_organ["dsc"].mean()),
                "hd95_mm": by_organ["hd95_mm"].mean().mean(),
            }
        )
    table = pd.DataFrame(rows, columns=["method", "data", "n", *ORGAN_NAMES, "hd95_mm"])
    table.insert(len(table.columns) - 1, "mean", table[list(ORGAN_NAMES)].mean(axis=1))
    return table


def as_markdown(table: pd.DataFrame) -> str:
    """The table of `results_table` as it stands in README.md; a dash where there is no number."""
    heads = ["method", "data", "n", *SHORT.values(), "mean", "HD95 mm"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for _, row in table.iterrows():
        numbers = [*(row[name] for name in ORGAN_NAMES), row["mean"], row["hd95_mm"]]
        cells = ["-" if pd.isna(value) else f"{value:.1f}" for value in numbers]
        lines.append("| " + " | ".join([row["method"], row["data"], str(row["n"]), *cells]) + " |")
    return "\n".join(lines)
