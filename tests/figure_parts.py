"""Small cases, scores and logs for the tests of the figures."""

import numpy as np
import pandas as pd

from organnet import figures
from organnet.datasets.case import Case
from organnet.evaluation import metrics_table
from organnet.metrics import score_case
from organnet.organs import ORGAN_NAMES, ORGANS, UNKNOWN
from organnet.volume import Volume

SPACING_MM = (3.0, 1.5, 1.0)


def a_case(name="tiny", labels=range(1, 10), direction=None):
    """Organs in a row along x, each three voxels wide, in a body of water."""
    array = np.zeros((24, 48, 64), np.uint8)
    for label in labels:
        array[8:16, 20:28, 6 * label : 6 * label + 4] = label
    ct = np.full(array.shape, -1000, np.int16)
    ct[2:-2, 4:-4, 3:-3] = 40
    identity = direction is None
    grid = Volume(ct, SPACING_MM) if identity else Volume(ct, SPACING_MM, (0.0,) * 3, direction)
    drawn = frozenset(organ.name for organ in ORGANS if organ.label in labels)
    return Case(name, grid, grid.with_array(array), drawn)


def shifted(case, by=2):
    return case.labels.with_array(np.roll(case.labels.array, by, 2))


def scores(cases, by=2):
    return metrics_table(
        {
            case.name: score_case(
                case.labels.array, shifted(case, by).array, case.labels.spacing_mm, case.drawn
            )
            for case in cases
        }
    )


def a_log(epochs=12):
    epoch = np.arange(1, epochs + 1)
    log = pd.DataFrame({"epoch": epoch, "step": 4 * epoch, "seconds": 1.0})
    log["learning_rate"] = np.where(epoch <= 5, 1e-3, np.where(epoch <= 10, 1e-4, 1e-5))
    log["focal_loss"], log["dice_loss"] = 1 / epoch, 2 / epoch
    log["loss"] = log["focal_loss"] + log["dice_loss"]
    scored = epoch % 4 == 0
    for name in ("mean", *ORGAN_NAMES):
        log[f"dsc_{name}"] = np.where(scored, 1 - 1 / epoch, np.nan)
    log["dsc_Chiasm"] = np.nan  # drawn in no validation case
    return log


def a_patch_figure(n=3):
    case = a_case()
    labels = np.stack([case.labels.array] * n)
    labels[0, :3] = UNKNOWN
    ct = np.clip(case.ct.array / 300, -1, 1).astype(np.float32)
    return figures.patch_gallery(np.stack([ct] * n), labels, SPACING_MM)
