"""Networks whose answers are known beforehand, and a CT to show them."""

import numpy as np
import torch

from organnet.model import OrganNet
from organnet.settings import ModelSettings, make_settings
from organnet.volume import Volume
from organnet.weights import Network

SETTINGS = make_settings("phantom", "smoke")


class StandIn(OrganNet):
    """In the network's place: what it answers is known beforehand."""

    def __init__(self) -> None:
        super().__init__(ModelSettings(width=1))
        self.anchor = torch.nn.Parameter(torch.zeros(()))


class Threshold(StandIn):
    """Calls voxels of about 250 HU brain stem."""

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(patch), 10, *patch.shape[2:])
        logits[:, 0] = 4
        dense = (patch[:, 0] > 0.3) & (patch[:, 0] < 0.7)
        logits[:, 1][dense] = 8
        return logits + self.anchor


def network(model: OrganNet) -> Network:
    return Network(model.eval(), SETTINGS)


def block_ct(shape=(40, 60, 60), spacing_mm=(3.0, 3.0, 3.0)) -> Volume:
    """Water with a dense block, off centre along every axis, in air."""
    ct = np.full(shape, -1000, np.int16)
    ct[2:-2, 6:-6, 6:-6] = 0
    ct[10:22, 14:30, 34:46] = 250
    return Volume(ct, spacing_mm)


class Sided(StandIn):
    """Calls whatever lies in the left half of its window Parotid_L, the rest Parotid_R."""

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(patch), 10, *patch.shape[2:])
        half = patch.shape[-1] // 2
        logits[..., half:][:, 6] = 9
        logits[..., :half][:, 7] = 9
        return logits + self.anchor
