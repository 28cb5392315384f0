"""The paper's loss: focal plus average Dice, over what is known of each case.

An organ that was not drawn is unknown. Its probability is added to background's, so that the
network is neither punished nor rewarded for finding it (a marginal loss; ours, since the paper is
silent), and it has no Dice term. A voxel labelled UNKNOWN counts nowhere.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from organnet.organs import BACKGROUND, BACKGROUND_ALPHA, CLASSES, ORGANS, UNKNOWN
from organnet.settings import LossSettings

ALPHA = (BACKGROUND_ALPHA, *(organ.alpha for organ in ORGANS))
SMOOTH = 1e-5
"""Voxels added to both halves of a Dice ratio, so that an organ outside the patch has one."""


@dataclass(frozen=True)
class Loss:
    """The sum that is minimised, and its two terms before weighting."""

    total: Float[Tensor, ""]
    focal: Float[Tensor, ""]
    dice: Float[Tensor, ""]


def organ_loss(
    logits: Float[Tensor, "b 10 z y x"],
    labels: UInt8[Tensor, "b z y x"],
    drawn: Bool[Tensor, "b 10"],
    settings: LossSettings,
) -> Loss:
    """L = L_focal + lambda * L_avgdice (paper, loss section).

    Args:
        logits: the network's output, in any precision; the loss is computed in float32 or better.
        labels: 0 background, 1 to 9 organs, 255 unknown.
        drawn: which classes are known in each patch; background (column 0) always is.
        settings: gamma and the weights of the two terms.
    """
    log_p = torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=1)
    log_p = undrawn_into_background(log_p, drawn)
    known = labels != UNKNOWN
    target = labels.masked_fill(~known, BACKGROUND).long()
    focal = focal_loss(log_p, target, known, settings.gamma)
    dice = average_dice_loss(log_p.exp(), target, known, drawn)
    return Loss(settings.focal_weight * focal + settings.dice_weight * dice, focal, dice)


def undrawn_into_background(
    log_p: Float[Tensor, "b 10 z y x"], drawn: Bool[Tensor, "b 10"]
) -> Float[Tensor, "b 10 z y x"]:
    """Add the probability of every organ that is not drawn to that of background."""
    elsewhere = drawn.clone()
    elsewhere[:, BACKGROUND] = False
    added = (~elsewhere).any(0).nonzero()[:, 0]  # background, and what some patch leaves undrawn
    if len(added) == 1:
        return log_p
    elsewhere = elsewhere[:, added, None, None, None]
    of_background = log_p[:, added].masked_fill(elsewhere, -torch.inf)
    return torch.cat([of_background.logsumexp(1, keepdim=True), log_p[:, 1:]], 1)


def focal_loss(
    log_p: Float[Tensor, "b 10 z y x"],
    target: Tensor,
    known: Bool[Tensor, "b z y x"],
    gamma: float,
) -> Float[Tensor, ""]:
    """-(1/N) sum_n alpha_c (1 - p_nc)^gamma log p_nc, c the true class of voxel n."""
    log_p_true = log_p.gather(1, target[:, None])[:, 0]
    alpha = log_p.new_tensor(ALPHA)[target]
    missed = -torch.expm1(log_p_true)  # 1 - p, exact where p is close to 1
    return -(alpha * missed.pow(gamma) * log_p_true * known).sum() / known.sum().clamp(min=1)


def average_dice_loss(
    p: Float[Tensor, "b 10 z y x"],
    target: Tensor,
    known: Bool[Tensor, "b z y x"],
    drawn: Bool[Tensor, "b 10"],
) -> Float[Tensor, ""]:
    """1 - (1/C) sum_c 2 sum_n p y / sum_n (p + y) over the classes drawn in the batch.

    The paper typesets the ratio inside the sum over voxels; the ratio of sums is meant. The sums
    run over the whole batch, which steadies the smallest organs.
    """
    classes = torch.arange(CLASSES, device=p.device)[None, :, None, None, None]
    counted = known[:, None] & drawn[:, :, None, None, None]
    y = (target[:, None] == classes) & counted
    p = p * counted
    overlap = (p * y).sum((0, 2, 3, 4))
    voxels = y.to(p.dtype).sum((0, 2, 3, 4))  # torch is slow to count truth values
    size = p.sum((0, 2, 3, 4)) + voxels
    dice = (2 * overlap + SMOOTH) / (size + SMOOTH)
    return 1 - dice[drawn.any(0)].mean()
