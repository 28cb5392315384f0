"""Three small cases, and a short training on them: what the tests of trainings share."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from organnet.layout import WEIGHTS_NAME
from organnet.prepared import PreparedCase, drawn_classes
from organnet.settings import Settings, make_settings


def ball_case(name: str, seed: int) -> PreparedCase:
    """Two bright balls, left and right, in grey."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:20, :36, :48]
    ct = rng.normal(0, 20, z.shape)
    labels = np.zeros(z.shape, np.uint8)
    for label, middle in ((6, 34), (7, 13)):
        ball = (z - 10) ** 2 + (y - 18) ** 2 + (x - middle + rng.integers(-2, 3)) ** 2 < 36
        ct[ball] += 150
        labels[ball] = label
    drawn = drawn_classes(("Parotid_L", "Parotid_R"))
    return PreparedCase(name, ct.astype(np.int16), labels, drawn, (5.0, 5.0, 5.0))


def settings(epochs: int = 4, **changes: object) -> Settings:
    base = make_settings("phantom", "smoke")
    plan = dataclasses.replace(base.training, epochs=epochs, steps=3, **changes)
    return dataclasses.replace(base, training=plan)


CASES = [ball_case(f"ball{n}", n) for n in range(3)]


def same_weights(a: Path, b: Path) -> bool:
    one, two = load_file(a / WEIGHTS_NAME), load_file(b / WEIGHTS_NAME)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
