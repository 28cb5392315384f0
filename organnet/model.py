"""OrganNet2.5D: Fig. 1 (the network) and Fig. 2 (ResSE) of the paper, row by row.

Shapes in the comments are channels x (z, y, x) for the paper's 48 x 256 x 256 patch and width 16.
"""

import functools
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from organnet.errors import OrganNetError
from organnet.organs import BACKGROUND, CLASSES
from organnet.settings import ModelSettings

FLAT = (1, 3, 3)  # the 2D convolution at full in-plane resolution
CUBE = (3, 3, 3)
IN_PLANE = (1, 2, 2)  # strides, z y x
ISOTROPIC = (2, 2, 2)
SLICES = 8
"""So many go through the flat rows at once where nothing is learned. With batch norms these mix no
slices, and no other rows take as much memory."""
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
        # Skips are let go once they are used: a whole CT's windows are large
        skips = [self.by_slices(self.row_1, patch)]
        skips.append(self.row_3(self.row_2(skips[-1])))
        skips.append(self.row_5(self.row_4(skips[-1])))
        skips.append(self.row_6(self.pool_5(skips[-1])))
        x = self.row_7(self.pool_6(skips[-1]))
        x = concat(self.row_8(x), skips.pop())  # row 6
        x = self.row_9(x)
        x = concat(self.row_10(x), skips.pop())  # row 5
        x = self.row_11(x)
        x = concat(self.row_12(x), skips.pop())  # row 3
        x = self.row_13(x)
        return self.by_slices(self.last_rows, x, skips.pop())  # row 1

    def last_rows(
        self, x: Float[Tensor, "b c z q r"], skip: Float[Tensor, "b s z y x"]
    ) -> Float[Tensor, "b 10 z y x"]:
        """Rows 14 to 16."""
        x = concat(self.row_14(x), skip)  # row 1
        x = self.row_15(x)
        return self.row_16(x)

    def by_slices(self, rows: Callable, *volumes: Float[Tensor, "b _ z _ _"]) -> Tensor:
        """Flat rows of these volumes; a few slices at a time where nothing is learned.

        What lies between the rows then stays small.
        """
        if self.training or not self.slices_stay_apart:
            return rows(*volumes)
        parts = zip(*(volume.split(SLICES, 2) for volume in volumes), strict=True)
        first = rows(*next(parts))
        shape = (*first.shape[:2], volumes[0].shape[2], *first.shape[3:])
        last = first.is_contiguous(memory_format=torch.channels_last_3d)
        layout = torch.channels_last_3d if last else torch.contiguous_format
        out = torch.empty(shape, dtype=first.dtype, device=first.device, memory_format=layout)
        out[:, :, :SLICES] = first
        for n, part in enumerate(parts, start=1):
            out[:, :, n * SLICES : (n + 1) * SLICES] = rows(*part)
        return out


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


class FlatConv(nn.Conv3d):
    """A FLAT convolution; on a GPU one of images, since cuDNN is slow at flat ones in 3D.

    Of stride 1 and one group, as all of the network's.
    """

    def forward(self, x: Float[Tensor, "b i z y x"]) -> Float[Tensor, "b o z y x"]:
        """The same numbers on either, but for rounding."""
        return self.of_images(x) if x.is_cuda else super().forward(x)

    def of_images(self, x: Float[Tensor, "b i z y x"]) -> Float[Tensor, "b o z y x"]:
        """Slices as images of one batch; with channels last they lie in memory as they are."""
        images = x.transpose(1, 2).flatten(0, 1)
        padding, rates = self.padding[1:], self.dilation[1:]
        made = functional.conv2d(
            images, self.weight[:, :, 0], self.bias, padding=padding, dilation=rates
        )
        return made.unflatten(0, (-1, x.shape[2])).transpose(1, 2)


class MaxPool(nn.Module):
    """Max pooling whose stride is its size.

    By maxima axis after axis, because the backward pass of max_pool3d is not deterministic on CUDA.
    """

    def __init__(self, stride: tuple[int, int, int]):
        super().__init__()
        self.stride = stride

    def forward(self, x: Float[Tensor, "b c z y x"]) -> Float[Tensor, "b c p q r"]:
        """The largest value of each block of voxels."""
        for axis, stride in enumerate(self.stride, start=2):
            neighbours = x.unflatten(axis, (-1, stride)).unbind(axis + 1)
            x = functools.reduce(torch.maximum, neighbours)
        return x


def convolutions(
    i: int, o: int, kernel: tuple[int, int, int], rates: tuple[int, ...], norm: str
) -> nn.Sequential:
    """Convolution, norm and ReLU, once per dilation rate, the grid kept ("same" padding)."""
    layers: list[nn.Module] = []
    for n, rate in enumerate(rates):
        padding = tuple(rate * (size // 2) for size in kernel)
        channels = i if n == 0 else o
        kind = FlatConv if kernel == FLAT else nn.Conv3d
        conv = kind(channels, o, kernel, padding=padding, dilation=rate, bias=False)
        layers += [conv, make_norm(norm, o), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def make_norm(norm: str, channels: int) -> nn.Module:
    """Batch (the paper's), instance or group normalisation; OrganNetError for another word."""
    if norm == "batch":
        return nn.BatchNorm3d(channels)
    if norm == "instance":
        return nn.InstanceNorm3d(channels, affine=True)
    if norm == "group":
        return nn.GroupNorm(min(8, channels), channels)
    raise OrganNetError(f"unknown norm '{norm}': choose one of batch, instance, group")


def up(i: int, o: int, stride: tuple[int, int, int]) -> nn.Module:
    """The transposed convolution that undoes a pooling of the same stride."""
    return nn.ConvTranspose3d(i, o, stride, stride)


def concat(x: Float[Tensor, "b c z y x"], skip: Float[Tensor, "b s z y x"]) -> Tensor:
    """The grey arrows of Fig. 1: channels of a decoder row beside those of its encoder row."""
    return torch.cat([x, skip], 1)


def initialise(module: nn.Module) -> None:
    """He initialisation of convolutions (ours: the paper does not say)."""
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def parameter_count(model: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in model.parameters())
