"""DSC, HD95 and surface DSC of two observers' organs: ours against MONAI, MedPy and DeepMind."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from benchmarks.brute_force import by_brute_force
from benchmarks.clock import Spent, here, in_turn, ratios, seconds
from benchmarks.limits import memory_rate
from benchmarks.metric_peers import Pairs, Scores, Spacing, by_deepmind, by_medpy, by_monai
from benchmarks.options import Options, there
from benchmarks.report import Table
from organnet.datasets.observers import drawn_twice, read_labels
from organnet.metrics import score_case
from organnet.organs import ORGANS

TITLE = "Metrics"
OURS, MONAI, MEDPY, DEEPMIND = "organnet", "MONAI", "MedPy", "DeepMind surface-distance"
TIMES_FASTER = {MONAI: 15, MEDPY: 300, DEEPMIND: 1.2}
Labels = UInt8[np.ndarray, "z y x"]


def run(options: Options) -> list[Table]:
    """Seconds for all organs that both observers drew, and every tool's numbers."""
    drawings = drawn_twice(there(options.observers))[options.case.name]
    (first, drawn), (second, also_drawn) = (read_labels(folder) for folder in drawings)
    a, b, spacing_mm = first.array, second.array, first.spacing_mm
    pairs = organ_pairs(a, b, drawn & also_drawn)
    spent = in_turn(sides(a, b, pairs, spacing_mm), options.repeats)
    results = {tool: turns[0].result for tool, turns in spent.items()}
    check(results, pairs, spacing_mm)
    shape = " x ".join(str(n) for n in a.shape)
    note = (
        f"{options.case.name}, two observers' label maps on the full grid ({shape}, z y x), the "
        f"{len(pairs)} organs that both drew. We start from the label maps; the others are handed "
        "every organ's two masks ready made. MedPy has no surface DSC and takes the other two. "
        "*Limit*: reading the two label maps once at the machine's copying rate."
    )
    note_values = (
        "DSC, HD95 in mm and surface DSC at 2 mm. Ours equal a brute-force check, in which every "
        "surface voxel is held against every other, to 1e-9; the DSC of all tools are equal. What "
        "HD95 and surface DSC are differs between tools."
    )
    return [
        _times(spent, 2 * a.size / memory_rate(), note),
        _values(results, note_values),
    ]


def organ_pairs(a: Labels, b: Labels, drawn: frozenset[str]) -> Pairs:
    """Both masks of every organ that is in both label maps."""
    return {o.name: (a == o.label, b == o.label) for o in ORGANS if o.name in drawn}


def sides(a: Labels, b: Labels, pairs: Pairs, spacing_mm: Spacing) -> dict[str, Callable]:
    """All four tools at the same work."""

    def ours() -> Scores:
        scores = score_case(a, b, spacing_mm, pairs.keys())
        return {s.organ: (s.dsc, s.hd95_mm, s.surface_dice) for s in scores if s.status == "scored"}

    peers = {MONAI: by_monai, MEDPY: by_medpy, DEEPMIND: by_deepmind}
    return {
        OURS: here(ours),
        **{name: here(lambda f=score: f(pairs, spacing_mm)) for name, score in peers.items()},
    }


def check(results: dict[str, Scores], pairs: Pairs, spacing_mm: Spacing) -> None:
    """Raise AssertionError unless ours equal brute force and all tools' DSC are equal."""
    for name, (a, b) in pairs.items():
        np.testing.assert_allclose(
            results[OURS][name], by_brute_force(a, b, spacing_mm), rtol=0, atol=1e-9
        )
        for scores in results.values():
            np.testing.assert_allclose(scores[name][0], results[OURS][name][0], atol=1e-6)


def _times(spent: dict[str, list[Spent]], limit: float, note: str) -> Table:
    rows = [(OURS, f"{seconds(spent[OURS]):.3g} s", "", "", f"{limit:.3g} s")]
    for peer, wanted in TIMES_FASTER.items():
        faster = ratios(spent[peer], spent[OURS])
        rows.append((peer, f"{seconds(spent[peer]):.3g} s", faster, wanted, ""))
    return Table(("tool", "seconds", "we are times faster", "must reach", "limit"), rows, note)


def _values(results: dict[str, Scores], note: str) -> Table:
    rows = [
        (
            name,
            *(", ".join(f"{value:.4g}" for value in scores[name]) for scores in results.values()),
        )
        for name in results[OURS]
    ]
    return Table(("organ", *results), rows, note)
