"""The paper's two formulas, against plain float64 loops and by gradcheck."""

import math

import numpy as np
import pytest
import torch

from organnet.losses import ALPHA, SMOOTH, organ_loss
from organnet.settings import LossSettings

GRID = (3, 4, 5)


def example(seed: int, drawn_all: bool, b: int = 2) -> tuple[torch.Tensor, ...]:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 3, (b, 10, *GRID)))
    drawn = np.ones((b, 10), bool)
    if not drawn_all:
        drawn[:, 1:] = rng.random((b, 9)) < 0.6
    labels = rng.integers(0, 10, (b, *GRID)).astype(np.uint8)
    for n in range(b):  # an organ that is not drawn is labelled background
        labels[n][~drawn[n][labels[n]]] = 0
    labels[rng.random(labels.shape) < 0.1] = 255
    return logits, torch.from_numpy(labels), torch.from_numpy(drawn)


def plain_loss(logits, labels, drawn, settings) -> tuple[float, float, float]:
    """The formulas as one would write them on paper, voxel by voxel."""
    logits, labels, drawn = (t.numpy() for t in (logits, labels, drawn))
    focal, known = 0.0, 0
    overlap, size = np.zeros(10), np.zeros(10)
    for n, z, y, x in np.ndindex(labels.shape):
        label = labels[n, z, y, x]
        if label == 255:
            continue
        known += 1
        e = np.exp(logits[n, :, z, y, x] - logits[n, :, z, y, x].max())
        p = e / e.sum()
        p[0] = sum(p[c] for c in range(10) if c == 0 or not drawn[n, c])
        focal -= ALPHA[label] * (1 - p[label]) ** settings.gamma * math.log(p[label])
        for c in range(10):
            if drawn[n, c]:
                overlap[c] += p[c] * (label == c)
                size[c] += p[c] + (label == c)
    focal /= known
    taught = [c for c in range(10) if drawn[:, c].any()]
    dice = 1 - np.mean([(2 * overlap[c] + SMOOTH) / (size[c] + SMOOTH) for c in taught])
    return settings.focal_weight * focal + settings.dice_weight * dice, focal, dice


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("drawn_all", [True, False])
@pytest.mark.parametrize("settings", [LossSettings(), LossSettings(1.5, 0.3, 2.0)])
def test_loss_is_the_plain_formula(seed: int, drawn_all: bool, settings: LossSettings) -> None:
    inputs = example(seed, drawn_all)
    loss = organ_loss(*inputs, settings)
    expected = plain_loss(*inputs, settings)
    for value, plain in zip((loss.total, loss.focal, loss.dice), expected, strict=True):
        assert value.item() == pytest.approx(plain, rel=1e-10)


@pytest.mark.parametrize("settings", [LossSettings(), LossSettings(dice_weight=0.0)])
def test_gradcheck(settings: LossSettings) -> None:
    logits, labels, drawn = example(1, drawn_all=False)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: organ_loss(x, labels, drawn, settings).total, (logits,)
    )


def test_an_organ_not_drawn_is_neither_wanted_nor_unwanted() -> None:
    """Moving probability between background and an undrawn organ changes nothing."""
    logits = torch.zeros(1, 10, *GRID, dtype=torch.float64)
    labels = torch.zeros(1, *GRID, dtype=torch.uint8)
    drawn = torch.ones(1, 10, dtype=torch.bool)
    drawn[0, 8] = False
    found = logits.clone()
    found[:, 8], found[:, 0] = math.log(1.5), math.log(0.5)
    settings = LossSettings()
    before = organ_loss(logits, labels, drawn, settings).total
    torch.testing.assert_close(organ_loss(found, labels, drawn, settings).total, before)
    drawn[0, 8] = True
    assert organ_loss(found, labels, drawn, settings).total > before


def test_unknown_voxels_have_no_gradient() -> None:
    logits, labels, drawn = example(2, drawn_all=True)
    logits.requires_grad_()
    organ_loss(logits, labels, drawn, LossSettings()).total.backward()
    unknown = (labels == 255)[:, None].expand_as(logits)
    assert (logits.grad[unknown] == 0).all()
    assert (logits.grad[~unknown] != 0).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_stays_finite_at_the_extremes(dtype: torch.dtype) -> None:
    logits = torch.full((1, 10, *GRID), -6e4, dtype=dtype)
    logits[:, 3] = 6e4
    logits.requires_grad_()
    labels = torch.zeros(1, *GRID, dtype=torch.uint8)  # as wrong as can be
    labels[0, 0] = 3  # and as right
    loss = organ_loss(logits, labels, torch.ones(1, 10, dtype=torch.bool), LossSettings())
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert torch.isfinite(logits.grad).all()


def test_perfect_prediction_costs_nothing() -> None:
    labels = torch.arange(60, dtype=torch.uint8).reshape(1, *GRID) % 10
    logits = 50.0 * torch.nn.functional.one_hot(labels.long(), 10).permute(0, 4, 1, 2, 3)
    loss = organ_loss(logits, labels, torch.ones(1, 10, dtype=torch.bool), LossSettings())
    assert loss.total.item() == pytest.approx(0, abs=1e-6)


def test_a_patch_of_unknown_voxels_alone_is_finite() -> None:
    logits, labels, drawn = example(3, drawn_all=True)
    loss = organ_loss(logits, torch.full_like(labels, 255), drawn, LossSettings())
    assert torch.isfinite(loss.total)
