"""A whole CT through the network and back onto its own grid."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int16, UInt8
from scipy import ndimage
from torch import Tensor

from organnet.errors import OrganNetError
from organnet.grids import Size, grid_size, resize
from organnet.head import head_box
from organnet.organs import CLASSES, FLIPPED_LABELS
from organnet.patches import AIR_HU, TISSUE_FROM_HU, network_units
from organnet.volume import Volume, on_grid_of, to_lps, write_volume
from organnet.weights import Network, autocast

STRAY_SHARE = 0.1
"""Of an organ's largest piece; chosen on held-out training patients."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network says of a CT, on the CT's own grid.

    Attributes:
        labels: uint8, 0 background, 1 to 9 organs.
        entropy: of the ten probabilities, in nats (0 certain, 2.3 clueless); --deep only.
    """

    labels: Volume
    entropy: Volume | None


def predict(networks: list[Network], ct: Volume, deep: bool = False) -> Prediction:
    """Segment a CT of any orientation, spacing and extent.

    The head is found, resized to the network's spacing and covered with overlapping windows; an
    organ's stray pieces are dropped. With `deep`: more overlap, each window also mirrored
    left-right (organs swapped back), and an entropy map. Several networks' probabilities are
    averaged.

    Raises OrganNetError where the networks were trained on different grids or HU windows.
    """
    patches = _common_patches(networks)
    lps = to_lps(ct)
    box = head_box(lps)
    cropped = lps.array[box]
    size = grid_size(cropped.shape, lps.spacing_mm, patches.spacing_mm)
    hu = resize(cropped, size)
    inference = networks[0].settings.inference
    overlap = inference.deep_overlap if deep else inference.overlap
    probabilities = _mean_probabilities(networks, hu, overlap, mirror=deep)

    labels = np.zeros(lps.shape, np.uint8)
    labels[box] = label_map(probabilities, cropped.shape)
    drop_stray_pieces(labels)
    entropy = None
    if deep:
        values = np.zeros(lps.shape, np.float32)
        values[box] = resize(entropy_nats(probabilities), cropped.shape)
        entropy = on_grid_of(lps.with_array(values), ct)
    return Prediction(on_grid_of(lps.with_array(labels), ct), entropy)


def write_prediction(prediction: Prediction, out: Path, name: str) -> None:
    """Write OUT/NAME.nrrd, and OUT/NAME_entropy.nrrd where there is one: both or neither."""
    entropy = out / f"{name}_entropy.nrrd"
    if prediction.entropy is not None:
        write_volume(prediction.entropy, entropy)
    try:
        write_volume(prediction.labels, out / f"{name}.nrrd")
    except OrganNetError:
        entropy.unlink(missing_ok=True)
        raise


def window_probabilities(
    network: Network,
    hu: Float[np.ndarray, "z y x"] | Int16[np.ndarray, "z y x"],
    overlap: float,
    mirror: bool = False,
) -> Float[Tensor, "10 z y x"]:
    """Probabilities of the ten classes from overlapping windows with Gaussian weights.

    Args:
        network: the model and its settings.
        hu: CT on the network's grid.
        overlap: least share by which neighbouring windows overlap, 0 to 1.
        mirror: also look at every window mirrored along x, left and right organs swapped back.
    """
    model, settings = network.model, network.settings
    window = settings.patches.size
    device = next(model.parameters()).device
    ct = torch.from_numpy(np.ascontiguousarray(hu, dtype=np.float32))
    shape = ct.shape
    ct = _padded(ct, window)
    has_tissue = ct > TISSUE_FROM_HU
    weight = gaussian(window)
    total = torch.zeros(CLASSES, *ct.shape)
    total_weight = torch.zeros(ct.shape)
    for corner in itertools.product(
        *(window_starts(n, w, overlap) for n, w in zip(ct.shape, window, strict=True))
    ):
        where = tuple(slice(c, c + w) for c, w in zip(corner, window, strict=True))
        if has_tissue[where].any():
            patch = network_units(ct[where], settings.patches.hu_window)[None, None].to(device)
            p = _softmax(model, patch, settings.training.precision)
            if mirror:
                mirrored = _softmax(model, patch.flip(-1), settings.training.precision)
                p = (p + mirrored.flip(-1)[list(FLIPPED_LABELS)]) / 2
            total[:, *where] += p.cpu() * weight
            total_weight[where] += weight
    unseen = total_weight == 0
    total[0][unseen], total_weight[unseen] = 1, 1
    total /= total_weight
    return total[:, : shape[0], : shape[1], : shape[2]]


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """First voxels of the fewest evenly spread windows that overlap by at least that share."""
    if size <= window:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    count = -(-(size - window) // step) + 1
    return [round(n * (size - window) / (count - 1)) for n in range(count)]


def gaussian(window: Size) -> Float[Tensor, "z y x"]:
    """Weights that trust a window's centre more than its rim; sigma is an eighth of its size."""
    axes = [
        torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 8)) ** 2).clamp(min=1e-3)
        for n in window
    ]
    return axes[0][:, None, None] * axes[1][:, None] * axes[2]


def label_map(
    probabilities: Float[Tensor, "10 z y x"], shape: tuple[int, ...]
) -> UInt8[np.ndarray, "p q r"]:
    """The likeliest class per voxel of a finer (or coarser) grid over the same box.

    Probabilities are interpolated, not labels, so that edges stay smooth; slice by slice, so that
    ten volumes of the fine grid never exist.
    """
    labels = np.empty(shape, np.uint8)
    coarse = probabilities.shape[1]
    for z in range(shape[0]):
        position = min(max((z + 0.5) * coarse / shape[0] - 0.5, 0), coarse - 1)
        below = int(position)
        above = min(below + 1, coarse - 1)
        plane = probabilities[:, below].lerp(probabilities[:, above], position - below)
        fine = torch.nn.functional.interpolate(
            plane[None], size=tuple(shape[1:]), mode="bilinear", align_corners=False
        )
        labels[z] = fine[0].argmax(0).numpy()
    return labels


def drop_stray_pieces(labels: UInt8[np.ndarray, "z y x"]) -> None:
    """Turn connected pieces (26 neighbours) under STRAY_SHARE of an organ's largest to background.

    Not all but the largest: where the CT has a gap, one jaw is two pieces.
    """
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        part = labels[box]
        pieces, _ = ndimage.label(part == label, np.ones((3, 3, 3)))
        voxels = np.bincount(pieces.ravel())
        stray = voxels < STRAY_SHARE * voxels[1:].max()
        stray[0] = False
        part[stray[pieces]] = 0


def entropy_nats(probabilities: Float[Tensor, "10 z y x"]) -> Float[np.ndarray, "z y x"]:
    """-sum p ln p per voxel, in nats."""
    return torch.special.entr(probabilities).sum(0).numpy()


def _mean_probabilities(
    networks: list[Network], hu: np.ndarray, overlap: float, mirror: bool
) -> Float[Tensor, "10 z y x"]:
    total = window_probabilities(networks[0], hu, overlap, mirror)
    for network in networks[1:]:
        total += window_probabilities(network, hu, overlap, mirror)
    return total / len(networks)


def _common_patches(networks: list[Network]):
    first = networks[0].settings.patches
    for network in networks[1:]:
        other = network.settings.patches
        if (other.spacing_mm, other.hu_window) != (first.spacing_mm, first.hu_window):
            raise OrganNetError(
                f"weights of different grids or HU windows cannot be averaged "
                f"({first.spacing_mm} mm and {other.spacing_mm} mm): name weights of one profile"
            )
    return first


def _padded(ct: Float[Tensor, "z y x"], window: Size) -> Float[Tensor, "p q r"]:
    """Air added at the far faces until one window fits."""
    missing = [max(0, w - n) for n, w in zip(ct.shape, window, strict=True)]
    padding = (0, missing[2], 0, missing[1], 0, missing[0])
    return torch.nn.functional.pad(ct, padding, value=AIR_HU)


@torch.inference_mode()
def _softmax(model, patch: Float[Tensor, "1 1 z y x"], precision: str) -> Float[Tensor, "10 z y x"]:
    with autocast(patch.device, precision):
        logits = model(patch)
    return logits[0].float().softmax(0)
