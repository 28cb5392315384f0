"""The network beside its ablations: each trained and scored alike, then compared case by case."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from organnet import figures
from organnet.errors import OrganNetError
from organnet.evaluation import METRICS, definition_lines, read_metrics
from organnet.experiment import Run, evaluate_run, open_run
from organnet.figures.ablation import p_text, variant_title
from organnet.files import atomic_path, read_json
from organnet.layout import SETTINGS_NAME
from organnet.metrics import DEFINITIONS
from organnet.model import OrganNet, parameter_count
from organnet.organs import ORGAN_NAMES
from organnet.scoring import METRICS_NAME
from organnet.settings import VARIANTS, Settings
from organnet.statistics import bootstrap_interval, case_means, compare, holm

OURS = "organnet"
ABOUT = (
    "Means over cases of each one's mean of organs; the difference is to the paper's network, p of "
    "Wilcoxon's paired test over cases, Holm-corrected."
)


def run_variants(dataset: str, profile: str, data: Path | None, root: Path, seeds: int) -> str:
    """Train and score every variant with seeds 0 to `seeds` - 1, in ROOT/VARIANT-seedN.

    All have the same data, budget and patches. What is finished is not done again, so a stopped
    job goes on where it was. Leaves the table as ROOT/ablation.csv and ROOT/ablation.png, and
    returns it as text. Raises what `experiment.open_run` and `evaluate_run` raise, and
    OrganNetError for a variant that could not be compared with the others.
    """
    for variant, changes in VARIANTS.items():
        if not changes.keys() <= {"model", "loss"}:
            raise OrganNetError(
                f"variant {variant} changes more than network and loss: train it alone, with "
                "--variant, since a table compares what was trained on the same patches and budget"
            )
    names = {f"{name}-seed{seed}": (name, seed) for seed in range(seeds) for name in VARIANTS}
    runs = {name: open_run(dataset, profile, data, root / name, *of) for name, of in names.items()}
    _refuse_mixed_precision(runs)
    for name, run in runs.items():
        print(f"{name.replace('-seed', ', seed ')}:", flush=True)
        evaluate_run(run)
    table = ablation_table(root)
    with atomic_path(root / "ablation.csv") as temporary:
        table.to_csv(temporary, index_label="variant")
    picture = figures.save(
        figures.ablation(table, f"{dataset}, profile {profile}"), root / "ablation.png"
    )
    return f"{as_text(table)}\n\n{picture}"


def _refuse_mixed_precision(runs: dict[str, Run]) -> None:
    """A finished run keeps the precision of its machine, which may not be this one's."""
    used = {run.settings.training.precision: name for name, run in runs.items()}
    if len(used) > 1:
        those = ", ".join(f"{name} in {precision}" for precision, name in used.items())
        raise OrganNetError(
            f"not all would be trained alike ({those}): go on where they were begun, or choose "
            "another --out"
        )


def ablation_table(root: Path) -> pd.DataFrame:
    """One row per variant below `root`, in the order of VARIANTS.

    Columns: seeds; parameters (millions); gflop, for one patch forward; dsc and hd95_mm, each the
    mean over cases of each one's mean of the organs drawn, averaged over seeds first (not the mean
    of organs that a table of scores gives); of dsc the bootstrap interval
    low, high over cases; dsc_ORGAN and hd95_mm_ORGAN; and the comparison of dsc with the paper's
    network: cases, difference, difference_low, difference_high, p, p_holm (NaN in its own row).

    Seeds that one of the variants lacks are left out. Raises OrganNetError where `root` holds no
    scores of the paper's network, no seed that all have, or runs of different data, patches or
    schedules.
    """
    runs = _scored_runs(root)
    if OURS not in runs:
        raise OrganNetError(
            f"{root} holds no scores of {OURS}: run `organnet training --all --out {root}`"
        )
    averaged = {name: _over_seeds(tables) for name, (_, tables) in runs.items()}
    by_case = {name: case_means(scores, "dsc") for name, scores in averaged.items()}
    compared = {
        name: compare(scores, by_case[OURS]) for name, scores in by_case.items() if name != OURS
    }
    p_holm = dict(zip(compared, holm([c.p for c in compared.values()]), strict=True))
    rows = {
        name: {"seeds": len(tables), **model_cost(settings), **_means(averaged[name])}
        for name, (settings, tables) in runs.items()
    }
    for name, c in compared.items():
        rows[name] |= {
            "cases": c.cases,
            "difference": c.difference,
            "difference_low": c.low,
            "difference_high": c.high,
            "p": c.p,
            "p_holm": p_holm[name],
        }
    return pd.DataFrame(rows).T.astype(float)


def _means(scores: pd.DataFrame) -> dict[str, float | None]:
    """Columns dsc to hd95_mm_ORGAN of one variant."""
    by_case = case_means(scores, "dsc")
    low, high = bootstrap_interval(by_case.to_numpy())
    hd95_mm = case_means(scores, "hd95_mm").mean()
    means = {"dsc": by_case.mean(), "low": low, "high": high, "hd95_mm": hd95_mm}
    for metric in ("dsc", "hd95_mm"):
        of_organ = scores.groupby("organ")[metric].mean()
        means |= {f"{metric}_{organ}": of_organ.get(organ) for organ in ORGAN_NAMES}
    return means


def as_text(table: pd.DataFrame) -> str:
    """The table as a terminal shows it: DSC in %, HD95 in mm, and the definitions below."""
    lines = [f"{'variant':<12}{'DSC %':>7}{'HD95 mm':>9}{'difference, 95 % interval':>27}{'p':>8}"]
    for name, row in table.iterrows():
        line = f"{name:<12}{100 * row['dsc']:>7.1f}{row['hd95_mm']:>9.1f}"
        interval, p = _compared(row)
        lines.append(f"{line}{interval:>27}{p:>8}".rstrip())
    definitions = [ABOUT, *(DEFINITIONS[name] for name in ("dsc", "hd95_mm", "missing"))]
    return "\n".join([*lines, "", *definition_lines(definitions)])


def as_markdown(table: pd.DataFrame) -> str:
    """The table as 03_evaluation shows it: DSC (%) / HD95 (mm) of each organ that is scored."""
    scored = [name for name in ORGAN_NAMES if table[f"dsc_{name}"].notna().any()]
    heads = ["", "parameters (M)", "GFLOP", *scored, "over cases", "difference, 95 %", "p (Holm)"]
    lines = [heads, ["---"] * len(heads)]
    for name, row in table.iterrows():
        both = [f"{100 * row[f'dsc_{o}']:.1f} / {row[f'hd95_mm_{o}']:.1f}" for o in scored]
        mean = f"{100 * row['dsc']:.1f} / {row['hd95_mm']:.1f}"
        compared = [words or "-" for words in _compared(row)]
        cost = [f"{row['parameters']:.2f}", f"{row['gflop']:.1f}"]
        lines.append([variant_title(str(name)), *cost, *both, mean, *compared])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _compared(row: pd.Series) -> tuple[str, str]:
    """Difference to the paper's network with its interval (%), and p; empty in its own row."""
    if np.isnan(row["difference"]):
        return "", ""
    low, middle, high = 100 * row[["difference_low", "difference", "difference_high"]]
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})", p_text(row["p_holm"])


def model_cost(settings: Settings) -> dict[str, float]:
    """Size of a network (millions of parameters) and its work for one patch forward (gflop).

    A multiply-add is two operations. Counted on shapes alone, nothing is computed.
    """
    with torch.device("meta"):
        model = OrganNet(settings.model)
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model(torch.empty(1, 1, *settings.patches.size))
    return {
        "parameters": parameter_count(model) / 1e6,
        "gflop": counter.get_total_flops() / 1e9,
    }


def _scored_runs(root: Path) -> dict[str, tuple[Settings, list[pd.DataFrame]]]:
    """Settings and tables of scores (one per seed) by variant, in the order of VARIANTS."""
    found: dict[str, dict[int, tuple[Settings, pd.DataFrame]]] = {}
    alike = None
    for path in sorted(root.glob(f"*/{METRICS_NAME}")):
        content = read_json(path.parent / SETTINGS_NAME)
        settings = Settings.from_dict(content["settings"])
        data = content["data"]["sha256"], content["data"]["cases"]
        same = (data, settings.patches, _but_seed(settings))
        if alike is not None and same != alike:
            raise OrganNetError(
                f"{path.parent} was trained on other data or otherwise than its neighbours: "
                "compare variants of one budget alone"
            )
        alike = same
        seeds = found.setdefault(settings.variant, {})
        seeds[settings.training.seed] = settings, read_metrics(path)
    common = set.intersection(*map(set, found.values())) if found else set()
    if found and not common:
        raise OrganNetError(f"{root} has no seed that all variants have: finish training them")
    return {
        name: (found[name][min(common)][0], [found[name][seed][1] for seed in sorted(common)])
        for name in VARIANTS
        if name in found
    }


def _but_seed(settings: Settings) -> dict:
    plan = dict(vars(settings.training))
    plan.pop("seed")
    return plan


def _over_seeds(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Scores of each case and organ, averaged over seeds; the rest as in the first table."""
    keys = ["case", "organ"]
    scores = list(METRICS)
    means = pd.concat(tables).groupby(keys, sort=False)[scores].mean()
    return tables[0].drop(columns=scores).join(means, on=keys)
