"""OrganNet2.5D: Fig. 1 (the network) and Fig. 2 (ResSE) of the paper, row by row.

Shapes in the comments are channels x (z, y, x) for the paper's 48 x 256 x 256 patch and width 16.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from organnet.errors import OrganNetError
from organnet.layers import CUBE, FLAT, MaxPool, by_slices, convolutions, initialise
from organnet.organs import BACKGROUND, CLASSES
from organnet.settings import ModelSettings

IN_PLANE = (1, 2, 2)  # strides, z y x
ISOTROPIC = (2, 2, 2)
PRIOR = 0.95
"""Probability of background before training (ours). The focal loss's own paper (Lin et al., ICCV
2017) starts so, lest the many voxels of background drown the first hundreds of steps."""


class OrganNet(nn.Module):
    """CT patch in, one logit per class (background and nine organs) and voxel out.

    The patch's size must be a multiple of `patch_multiple`; any such size will do.
    """

    def __init__(self, settings: ModelSettings):
        super().__init__()
        s = settings
        w = s.width
        flat = FLAT if s.flat_blocks else CUBE
        deep = s.downsamplings == 4  # the classic U-Net pools where the paper dilates
        if s.downsamplings not in (2, 4):
            raise OrganNetError(f"downsamplings is {s.downsamplings}: choose 2 (the paper) or 4")

        def flat_block(i: int, o: int) -> nn.Module:
            return convolutions(i, o, flat, (1, 1), s.norm)

        def coarse_block(i: int, o: int) -> nn.Module:
            return ResSE(i, o, (1, 1), s)

        def fine_block(i: int, o: int) -> nn.Module:
            return ResSE(i, o, s.hdc_rates, s)

        def mix(i: int, o: int) -> nn.Module:
            return up(i, o, ISOTROPIC) if deep else nn.Conv3d(i, o, 1)

        self.slices_stay_apart = s.flat_blocks and s.norm == "batch"
        self.patch_multiple = (8, 16, 16) if deep else (2, 4, 4)
        self.row_1 = flat_block(1, w)  # 16 x (48, 256, 256)
        self.row_2 = MaxPool(IN_PLANE)  # 16 x (48, 128, 128)
        self.row_3 = coarse_block(w, 2 * w)  # 32 x (48, 128, 128)
        self.row_4 = MaxPool(ISOTROPIC)  # 32 x (24, 64, 64)
        self.row_5 = coarse_block(2 * w, 4 * w)  # 64 x (24, 64, 64)
        self.pool_5 = MaxPool(ISOTROPIC) if deep else nn.Identity()
        self.row_6 = fine_block(4 * w, 8 * w)  # 128 x (24, 64, 64)
        self.pool_6 = MaxPool(ISOTROPIC) if deep else nn.Identity()
        self.row_7 = fine_block(8 * w, 16 * w)  # 256 x (24, 64, 64)
        self.row_8 = mix(16 * w, 8 * w)  # 128 x (24, 64, 64)
        self.row_9 = fine_block(16 * w, 8 * w)  # concat 6: 256 -> 128 x (24, 64, 64)
        self.row_10 = mix(8 * w, 4 * w)  # 64 x (24, 64, 64)
        self.row_11 = coarse_block(8 * w, 4 * w)  # concat 5: 128 -> 64 x (24, 64, 64)
        self.row_12 = up(4 * w, 2 * w, ISOTROPIC)  # 32 x (48, 128, 128)
        self.row_13 = coarse_block(4 * w, 2 * w)  # concat 3: 64 -> 32 x (48, 128, 128)
        self.row_14 = up(2 * w, w, IN_PLANE)  # 16 x (48, 256, 256)
        self.row_15 = flat_block(2 * w, 2 * w)  # concat 1: 32 -> 32 x (48, 256, 256)
        self.row_16 = nn.Conv3d(2 * w, CLASSES, 1)  # 10 x (48, 256, 256)
        self.apply(initialise)
        with torch.no_grad():
            self.row_16.bias[BACKGROUND] = math.log(PRIOR / ((1 - PRIOR) / (CLASSES - 1)))
        self.to(memory_format=torch.channels_last_3d)  # same numbers, a third faster on a CPU

    def forward(self, patch: Float[Tensor, "b 1 z y x"]) -> Float[Tensor, "b 10 z y x"]:
        """Logits of background and the nine organs for CT patches in network units."""
        row_1 = self.at_full_resolution(self.row_1, patch)
        row_3 = self.row_3(self.row_2(row_1))
        row_5 = self.row_5(self.row_4(row_3))
        row_6 = self.row_6(self.pool_5(row_5))
        x = self.row_7(self.pool_6(row_6))
        x = concat(self.row_8(x), row_6)
        del row_6  # let go once it is used: a whole CT's windows are large
        x = self.row_9(x)
        x = concat(self.row_10(x), row_5)
        del row_5
        x = self.row_11(x)
        x = concat(self.row_12(x), row_3)
        del row_3
        x = self.row_13(x)
        return self.at_full_resolution(self.last_rows, x, row_1)

    def last_rows(
        self, x: Float[Tensor, "b c z q r"], row_1: Float[Tensor, "b s z y x"]
    ) -> Float[Tensor, "b 10 z y x"]:
        """Rows 14 to 16."""
        x = concat(self.row_14(x), row_1)
        x = self.row_15(x)
        return self.row_16(x)

    def at_full_resolution(self, rows: Callable, *volumes: Float[Tensor, "b _ z _ _"]) -> Tensor:
        """Flat rows of these volumes; where nothing is learned they mix no slices: by slices."""
        together = self.training or not self.slices_stay_apart
        return rows(*volumes) if together else by_slices(rows, *volumes)


class ResSE(nn.Module):
    """Fig. 2: convolutions give F; pooled, squeezed and excited into s; the output is F * s + F.

    `rates` are the dilations of its 3 x 3 x 3 convolutions: (1, 1) in a coarse block, the hybrid
    dilated convolution's rates in a fine one (Wang et al., WACV 2018).
    """

    def __init__(self, i: int, o: int, rates: tuple[int, ...], settings: ModelSettings):
        super().__init__()
        self.features = convolutions(i, o, CUBE, rates, settings.norm)
        hidden = max(1, o // settings.se_reduction)
        self.excite = (
            nn.Sequential(nn.Linear(o, hidden), nn.ReLU(), nn.Linear(hidden, o), nn.Sigmoid())
            if settings.residual_se
            else None
        )

    def forward(self, x: Float[Tensor, "b i z y x"]) -> Float[Tensor, "b o z y x"]:
        """F * s + F, or F alone in the variant without ResSE."""
        features = self.features(x)
        if self.excite is None:
            return features
        scale = self.excite(features.mean((2, 3, 4)))[:, :, None, None, None]
        return torch.addcmul(features, features, scale)


def up(i: int, o: int, stride: tuple[int, int, int]) -> nn.Module:
    """The transposed convolution that undoes a pooling of the same stride."""
    return nn.ConvTranspose3d(i, o, stride, stride)


def concat(x: Float[Tensor, "b c z y x"], skip: Float[Tensor, "b s z y x"]) -> Tensor:
    """The grey arrows of Fig. 1: channels of a decoder row beside those of its encoder row."""
    return torch.cat([x, skip], 1)


def parameter_count(model: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in model.parameters())
