"""What others compute of two masks of an organ, each as its documentation says to call it."""

import numpy as np
import torch
from jaxtyping import Bool
from medpy.metric.binary import dc
from medpy.metric.binary import hd95 as medpy_hd95
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
from surface_distance import metrics

from organnet.metrics import TOLERANCE_MM as TOLERANCE

Mask = Bool[np.ndarray, "z y x"]
Pairs = dict[str, tuple[Mask, Mask]]
Scores = dict[str, tuple[float, ...]]
"""By organ: DSC, HD95 in mm, surface DSC (MedPy has none)."""
Spacing = tuple[float, float, float]


def by_monai(pairs: Pairs, spacing_mm: Spacing) -> Scores:
    """MONAI's functions, organ by organ, so that one-hot volumes of nine need no memory."""
    scores = {}
    for name, masks in pairs.items():
        a, b = (torch.from_numpy(mask)[None, None] for mask in masks)
        options = {"include_background": True, "spacing": spacing_mm}
        scores[name] = (
            compute_dice(b, a, include_background=True).item(),
            compute_hausdorff_distance(b, a, percentile=95, **options).item(),
            compute_surface_dice(b, a, class_thresholds=[TOLERANCE], **options).item(),
        )
    return scores


def by_medpy(pairs: Pairs, spacing_mm: Spacing) -> Scores:
    """MedPy's dc and hd95."""
    return {name: (float(dc(b, a)), medpy_hd95(b, a, spacing_mm)) for name, (a, b) in pairs.items()}


def by_deepmind(pairs: Pairs, spacing_mm: Spacing) -> Scores:
    """DeepMind's three functions over its surface distances."""
    scores = {}
    for name, (a, b) in pairs.items():
        distances = metrics.compute_surface_distances(a, b, spacing_mm)
        near = metrics.compute_surface_dice_at_tolerance(distances, TOLERANCE)
        far = metrics.compute_robust_hausdorff(distances, 95)
        scores[name] = (float(metrics.compute_dice_coefficient(a, b)), float(far), float(near))
    return scores
