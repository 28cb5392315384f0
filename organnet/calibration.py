"""How much less likely an organ must be made to come out as large as it is drawn.

The focal loss weighs the voxels of organs two to eight times background's (paper, loss section),
and the trained network draws organs too large. So an organ's odds are divided by the factor that
gives the best mean DSC over held-out cases: logit adjustment (Menon et al., ICLR 2021) by factors
that are measured. Ours: the paper is silent, and only the weights that ship have it.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from organnet.datasets import Dataset
from organnet.errors import OrganNetError
from organnet.head import head_box
from organnet.inference import head_probabilities, outlined
from organnet.metrics import dice
from organnet.organs import BACKGROUND, ORGANS, UNKNOWN, organ
from organnet.volume import to_lps
from organnet.weights import Network

FACTORS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
FEWEST_CASES = 5
"""An organ drawn in fewer keeps its odds."""
COLUMNS = ("case", "organ", "factor", "dsc")


def factor_scores(networks: list[Network], dataset: Dataset, names: Sequence[str]) -> pd.DataFrame:
    """DSC of every drawn organ of these cases at each of FACTORS, on the cases' own grids.

    All organs have the same factor at once, since organs hardly compete: what one loses goes to
    background.

    Columns: case, organ, factor, dsc. Raises OrganNetError where no organ is drawn in any case.
    """
    rows = []
    for name in tqdm(names, "cases", unit="case", disable=None):
        case = dataset.load(name)
        lps, truth = to_lps(case.ct), to_lps(case.labels).array
        box = head_box(lps)
        probabilities = head_probabilities(networks, lps, box)
        for factor in FACTORS:
            raised = probabilities.clone()
            raised[BACKGROUND] *= factor
            found = outlined(raised, lps, box).array
            found[truth == UNKNOWN] = UNKNOWN
            rows += [
                (name, o.name, factor, dice(truth == o.label, found == o.label))
                for o in ORGANS
                if o.name in case.drawn and (truth == o.label).any()
            ]
    if not rows:
        raise OrganNetError(f"{dataset.root} has no organ drawn in any of these cases")
    return pd.DataFrame(rows, columns=COLUMNS)


def best_factors(scores: pd.DataFrame) -> dict[str, float]:
    """By organ, the factor of the best mean DSC; left and right share one.

    Organs drawn in fewer than FEWEST_CASES cases are left out, and those whose best is 1.
    """
    by_pair = scores.assign(pair=[organ(n).partner for n in scores["organ"]])
    by_pair["pair"] = by_pair[["organ", "pair"]].min(axis=1)
    best = {}
    for pair, of_pair in by_pair.groupby("pair"):
        if of_pair["case"].nunique() < FEWEST_CASES:
            continue
        factor = float(of_pair.groupby("factor")["dsc"].mean().idxmax())
        best |= {name: factor for name in {pair, organ(str(pair)).partner} if factor != 1}
    return {o.name: best[o.name] for o in ORGANS if o.name in best}


def read_factor_scores(paths: Sequence[Path]) -> pd.DataFrame:
    """Tables that `organnet calibrate` wrote, one after another.

    Raises OrganNetError where one is absent or another table.
    """
    tables = []
    for path in paths:
        try:
            tables.append(pd.read_csv(path)[list(COLUMNS)])
        except (OSError, ValueError, KeyError) as error:
            raise OrganNetError(f"{path} is no table of organnet calibrate: {error}") from error
    return pd.concat(tables, ignore_index=True)


def table_text(scores: pd.DataFrame) -> str:
    """Mean DSC in % by organ and factor, as a terminal shows it."""
    means = 100 * scores.pivot_table(index="organ", columns="factor", values="dsc")
    cases = scores.groupby("organ")["case"].nunique()
    lines = [f"{'organ':<17}{'n':>4}" + "".join(f"{f:>7g}" for f in means.columns)]
    for name in (o.name for o in ORGANS if o.name in means.index):
        cells = "".join(f"{value:>7.1f}" for value in means.loc[name])
        lines.append(f"{name:<17}{cases[name]:>4}{cells}")
    return "\n".join(lines)
