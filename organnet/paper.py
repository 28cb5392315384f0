"""What the literature reports on PDDCA's ten off-site test cases, to print beside our own numbers.

Only the Dice of the paper is known here; its 95 % Hausdorff distances and its ablation tables
could not be had, so nothing stands in for them.
"""

PAPER_ORGANS = (
    *("BrainStem", "Chiasm", "Mandible", "OpticNerve_L", "OpticNerve_R", "Parotid_L", "Parotid_R"),
    *("Submandibular_L", "Submandibular_R"),
)
"""In the paper's order, which is PDDCA's."""
PAPER = "OrganNet2.5D"
"""The row of the paper that this repository reproduces."""


def _row(*dsc: float) -> dict[str, float]:
    return dict(zip(PAPER_ORGANS, dsc, strict=True))


PAPER_RESULTS: dict[str, dict[str, float]] = {
    PAPER: _row(87.2, 66.3, 92.2, 75.0, 74.1, 86.7, 85.8, 82.1, 82.1),
    "MICCAI 2015 best": _row(88.0, 55.7, 93.0, 64.4, 63.9, 82.7, 81.4, 72.3, 72.3),
    "AnatomyNet": _row(86.7, 53.2, 92.5, 72.1, 70.6, 88.1, 87.4, 85.2, 81.3),
    "FocusNet": _row(87.5, 59.6, 93.5, 73.5, 74.4, 86.3, 87.9, 79.8, 80.1),
    "best public re-implementation": _row(60.6, 0.0, 77.5, 0.0, 0.0, 71.5, 72.6, 47.3, 49.3),
}
"""Method, organ, mean Dice in %."""

PAPER_SOURCES: dict[str, str] = {
    PAPER: "Chen et al., MICCAI 2021, doi 10.1007/978-3-030-87193-2_54, as a re-implementer "
    "quotes it",
    "MICCAI 2015 best": "the best entry per organ of the challenge, Raudaschl et al., Medical "
    "Physics 2017, doi 10.1002/mp.12197",
    "AnatomyNet": "Zhu et al., Medical Physics 2019; its left submandibular gland is printed as "
    "85.2, but 81.4 fits its printed mean",
    "FocusNet": "Gao et al., MICCAI 2019",
    "best public re-implementation": "thomas100z/DLgroup79 on GitHub, of OrganNet2.5D",
}
"""Where each row of PAPER_RESULTS comes from."""


def mean_dsc(method: str) -> float:
    """Mean Dice in % over the nine organs, computed from the row; KeyError for another method."""
    row = PAPER_RESULTS[method]
    return sum(row.values()) / len(row)
