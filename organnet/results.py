"""Scores that are kept in the repository's results/, and the one table that they make together."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from organnet.ablation import ablation_table
from organnet.evaluation import read_metrics, summarise
from organnet.experiment import project_root
from organnet.organs import ORGAN_NAMES
from organnet.paper import PAPER, PAPER_RESULTS

ABLATION = "ablation"
OBSERVERS = "observers/metrics.csv"
PAPER_CASES = 10
ORGAN_HEADS = {
    "BrainStem": "brain stem",
    "Chiasm": "chiasm",
    "Mandible": "mandible",
    "OpticNerve_L": "ON L",
    "OpticNerve_R": "ON R",
    "Parotid_L": "parotid L",
    "Parotid_R": "parotid R",
    "Submandibular_L": "SMG L",
    "Submandibular_R": "SMG R",
}
HEADS = ("on", "cases", "organs", *ORGAN_HEADS.values(), "mean", "HD95 mm")


@dataclass(frozen=True)
class Stored:
    """Scores of ours: who drew or found what, on which data, and the files that hold them."""

    who: str
    data: str
    files: str


STORED = (
    Stored("two observers", "35 scans drawn twice", OBSERVERS),
    Stored("an oncologist", "OpenKBP's drawing of 11 patients", "observers/openkbp.csv"),
    Stored(
        "ours, `--weights openkbp`",
        "OpenKBP, 32 of its 40 validation patients",
        "openkbp/metrics.csv",
    ),
    Stored("ours, `--weights openkbp`", "3 CTs of OpenKBP, an oncologist's", "unseen/metrics.csv"),
    Stored(
        "ours, four earlier folds", "12 such CTs, these 3 among them", "matched/fold?/metrics.csv"
    ),
    Stored("ours, `--weights openkbp`", "0522c0014, PDDCA's drawing", "0522c0014/pddca.csv"),
    Stored("ours, `--weights openkbp`", "0522c0014, oncologist's", "0522c0014/oncologist.csv"),
    Stored("ours, `--weights openkbp`", "0522c0014, radiographer's", "0522c0014/radiographer.csv"),
    Stored("ours, `make reproduce`", "phantom, no real CT", "phantom/metrics.csv"),
)
"""In the order of the table; a row whose files are not there yet is left out."""


def results_folder() -> Path | None:
    """results/ of the repository a reader works in, else of the one this package lies in."""
    roots = (project_root(), Path(__file__).parent.parent)
    return next((r / "results" for r in roots if (r / "results" / OBSERVERS).is_file()), None)


def observers_scores() -> pd.DataFrame | None:
    """Scores of two people who drew the same scans; None outside the repository."""
    root = results_folder()
    return read_metrics(root / OBSERVERS) if root else None


def stored_ablation() -> pd.DataFrame | None:
    """Table of the variants trained on real CT, of `ablation_table`; None outside the repository.

    Raises OrganNetError as that does.
    """
    root = results_folder()
    return ablation_table(root / ABLATION) if root else None


def results_table(root: Path | None) -> pd.DataFrame:
    """Rows of the literature on PDDCA, of people, and ours, from files below `root` if any.

    Columns: who, data, cases, organs (how many are scored), mean DSC in % per organ (NaN where no
    case has it drawn), mean of these, and hd95_mm, the mean of the organs' mean HD95 (NaN where it
    is not reported). Rows of different data do not compare. Raises OrganNetError for a file that
    is no table of scores.
    """
    rows = [
        {
            "who": f"**{method}, the paper**" if method == PAPER else method,
            "data": "PDDCA, off-site test",
            "cases": PAPER_CASES,
            "organs": len(dsc),
            **dsc,
            "mean": sum(dsc.values()) / len(dsc),
        }
        for method, dsc in PAPER_RESULTS.items()
    ]
    return pd.DataFrame(
        [*rows, *(_stored_rows(root) if root else ())],
        columns=["who", "data", "cases", "organs", *ORGAN_NAMES, "mean", "hd95_mm"],
    )


def as_markdown(table: pd.DataFrame) -> str:
    """The table as README and 03_evaluation show it: one decimal, a dash for what is unknown."""
    head = ["", *HEADS]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in table.itertuples(index=False):
        who, data, cases, organs, *scores = row
        cells = ["-" if pd.isna(score) else f"{score:.1f}" for score in scores]
        lines.append(_line([who, data, str(cases), str(organs), *cells]))
    return "\n".join(lines)


def _stored_rows(root: Path) -> Iterator[dict]:
    for stored in STORED:
        paths = sorted(root.glob(stored.files))
        if not paths:
            continue
        summary = summarise(pd.concat([read_metrics(path) for path in paths]))
        scored = {name: organ for name, organ in summary["organs"].items() if organ["n"]}
        yield {
            "who": stored.who,
            "data": stored.data,
            "cases": summary["cases"],
            "organs": len(scored),
            **{name: 100 * organ["dsc"]["mean"] for name, organ in scored.items()},
            "mean": 100 * summary["mean"]["dsc"],
            "hd95_mm": summary["mean"]["hd95_mm"],
        }


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
