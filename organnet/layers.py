"""The layers that OrganNet is made of, and how they run fast; rows and blocks are in `model`."""

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from organnet.errors import OrganNetError

FLAT = (1, 3, 3)  # the 2D convolution at full in-plane resolution
CUBE = (3, 3, 3)
SLICES = 8
"""So many go through flat rows at once where nothing is learned: no other rows take as much
memory."""


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


def make_norm(norm: str, channels: int) -> nn.Module:
    """Batch (the paper's), instance or group normalisation; OrganNetError for another word."""
    if norm == "batch":
        return nn.BatchNorm3d(channels)
    if norm == "instance":
        return nn.InstanceNorm3d(channels, affine=True)
    if norm == "group":
        return nn.GroupNorm(min(8, channels), channels)
    raise OrganNetError(f"unknown norm '{norm}': choose one of batch, instance, group")


def initialise(module: nn.Module) -> None:
    """He initialisation of convolutions (ours: the paper does not say)."""
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def by_slices(rows: Callable, *volumes: Float[Tensor, "b _ z _ _"]) -> Tensor:
    """Rows that mix no slices, over a few slices of these volumes at a time.

    What lies between the rows then stays small.
    """
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
