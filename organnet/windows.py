"""A CT on the network's grid, seen through overlapping windows: probabilities of each class."""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int16, Int64
from torch import Tensor

from organnet.boxes import Box
from organnet.grids import Size
from organnet.hu import AIR_HU, TISSUE_FROM_HU, network_units
from organnet.memory import kept_memory
from organnet.organs import CLASSES, FLIPPED_LABELS
from organnet.weights import Network, autocast

STRETCH = 0.125
"""By this share a window may be longer than a training patch where fewer then cover a CT."""
VOXELS_AT_ONCE = 500_000
"""Small windows go through the network together, up to this many voxels: torch leaves the 3D
convolutions of one alone to a routine that takes three times as long."""
VOXELS_KEPT = 4_000_000
"""Windows of this many voxels share the memory that they need, which is given back after them."""


def window_probabilities(
    network: Network,
    hu: Float[np.ndarray, "z y x"] | Int16[np.ndarray, "z y x"],
    overlap: float,
    mirror: bool = False,
) -> Float[Tensor, "10 z y x"]:
    """Probabilities of the ten classes from overlapping windows with Gaussian weights.

    Windows without tissue are background unseen.

    Args:
        network: the model and its settings.
        hu: CT on the network's grid.
        overlap: least share by which neighbouring windows overlap, 0 to 1.
        mirror: also look at every window mirrored along x, left and right organs swapped back.
    """
    patch, multiple = network.settings.patches.size, network.model.patch_multiple
    axes = [window_starts(*axis, overlap) for axis in zip(hu.shape, patch, multiple, strict=True)]
    window = tuple(length for length, _ in axes)
    ct = _padded(torch.from_numpy(np.ascontiguousarray(hu, dtype=np.float32)), window)
    has_tissue = ct > TISSUE_FROM_HU
    places = [
        tuple(slice(start, start + n) for start, n in zip(corner, window, strict=True))
        for corner in itertools.product(*(starts for _, starts in axes))
    ]
    seen = [place for place in places if has_tissue[place].any()]
    weight = gaussian(window)
    total = torch.zeros(CLASSES, *hu.shape)
    total_weight = torch.zeros(hu.shape)
    at_once = max(1, VOXELS_AT_ONCE // weight.numel())
    turns = max(1, VOXELS_KEPT // (at_once * weight.numel()))
    for some in _portions(seen, turns * at_once):
        with kept_memory():  # of some alone: what piles up in holes goes back in between
            for few in _portions(some, at_once):
                _add(total, few, _seen_through(network, ct, few, mirror), weight)
    for place in seen:
        part = total_weight[place]
        part += within(weight, part)
    unseen = total_weight == 0
    total[0][unseen], total_weight[unseen] = 1, 1
    total /= total_weight
    return total


@torch.inference_mode()
def _add(
    total: Float[Tensor, "10 z y x"],
    places: list[Box],
    probabilities: Float[Tensor, "b 10 p q r"],
    weight: Float[Tensor, "p q r"],
) -> None:
    """Add what was seen through windows. Apart, so that it is let go before the next are seen."""
    for place, p in zip(places, probabilities, strict=True):
        part = total[:, *place]
        part.addcmul_(within(p, part), within(weight, part))


def within(window: Tensor, part: Tensor) -> Tensor:
    """The near corner of a window, as large as the part of the CT that it covers."""
    return window[..., *(slice(n) for n in part.shape[-3:])]


def window_starts(size: int, patch: int, multiple: int, overlap: float) -> tuple[int, list[int]]:
    """Length of the windows along an axis and their first voxels, evenly spread.

    The fewest windows that overlap by that share at least, each as long as a training patch or, by
    STRETCH at most, longer: a multiple of what the network can pool.
    """
    lengths = range(patch, patch + int(patch * STRETCH) + 1, multiple)
    count = _count(size, lengths[-1], overlap)
    length = next(n for n in lengths if _count(size, n, overlap) == count)
    return length, [round(n * (size - length) / max(1, count - 1)) for n in range(count)]


def likeliest(probabilities: Float[Tensor, "c *grid"]) -> Int64[Tensor, "*grid"]:
    """Which class is likeliest at each voxel, the first where several are.

    Not by argmax, which takes six times as long along a first axis and more on small planes.
    """
    return probabilities.max(0).indices


def _portions(places: list[Box], size: int) -> Iterator[list[Box]]:
    """The list cut into parts of that size; the last may be smaller."""
    return (places[first : first + size] for first in range(0, len(places), size))


def gaussian(window: Size) -> Float[Tensor, "z y x"]:
    """Weights that trust a window's centre more than its rim; sigma is an eighth of its size."""
    axes = [
        torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 8)) ** 2).clamp(min=1e-3)
        for n in window
    ]
    return axes[0][:, None, None] * axes[1][:, None] * axes[2]


def _count(size: int, length: int, overlap: float) -> int:
    """How many windows of this length it takes."""
    step = max(1, int(length * (1 - overlap)))
    return -(-max(0, size - length) // step) + 1


def _padded(ct: Float[Tensor, "z y x"], window: Size) -> Float[Tensor, "p q r"]:
    """Air added at the far faces until one window fits."""
    missing = [max(0, w - n) for n, w in zip(ct.shape, window, strict=True)]
    padding = (0, missing[2], 0, missing[1], 0, missing[0])
    return torch.nn.functional.pad(ct, padding, value=AIR_HU)


@torch.inference_mode()
def _seen_through(
    network: Network, ct: Float[Tensor, "z y x"], places: list[Box], mirror: bool
) -> Float[Tensor, "b 10 p q r"]:
    """Probabilities in these windows."""
    device = next(network.model.parameters()).device
    windows = torch.stack([ct[place] for place in places])[:, None]
    windows = network_units(windows, network.settings.patches.hu_window).to(device)
    return probabilities_in(network, windows, mirror).cpu()


def probabilities_in(
    network: Network, windows: Float[Tensor, "b 1 z y x"], mirror: bool
) -> Float[Tensor, "b 10 z y x"]:
    """Of the ten classes, in windows of network units.

    With `mirror` averaged with those of the mirrored windows, left and right organs swapped back.
    """
    p = _softmax(network, windows)
    if mirror:
        mirrored = _softmax(network, windows.flip(-1))
        p = (p + mirrored.flip(-1)[:, list(FLIPPED_LABELS)]) / 2
    return p


def _softmax(network: Network, windows: Float[Tensor, "b 1 z y x"]) -> Float[Tensor, "b 10 z y x"]:
    with autocast(windows.device, network.settings.training.precision):
        logits = network.model(windows)
    return logits.float().softmax(1)
