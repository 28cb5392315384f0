"""A whole CT through the network and back onto its own grid."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy import ndimage
from torch import Tensor

from organnet.boxes import Box
from organnet.errors import OrganNetError
from organnet.grids import between, grid_size, resize
from organnet.head import head_box, longer_box
from organnet.organs import BACKGROUND
from organnet.volume import Volume, on_grid_of, to_lps, write_volume
from organnet.weights import Network
from organnet.windows import likeliest, window_probabilities

STRAY_SHARE = 0.1
"""Of an organ's largest piece; chosen on held-out training patients."""
STRAY_MM = 50.0
"""From an organ's largest piece. No gap in a CT is so wide that a jaw in two would lose a half."""
SMALLEST_ML = 0.1
"""Of all of an organ: a third of the smallest drawing of any (organnet.batch.expected)."""
ROUNDING = 1e-4
"""More than what float32 can lose of a probability when it is interpolated."""


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

    The head is found, resized to the network's spacing and covered with overlapping windows; where
    no organ is found there, or one goes on below, so is what lies further down. An organ's stray
    pieces are dropped. With `deep`: more overlap, each window also mirrored
    left-right (organs swapped back), as a network's settings may ask for anyway, and an
    entropy map. Several networks' probabilities are averaged. The CT is in HU, air -1000, which is
    not checked here: `read_ct` does so.

    Raises OrganNetError where the networks were trained on different grids or HU windows.
    """
    lps = to_lps(ct)
    box = head_box(lps)
    seen = _within(networks, lps, box, deep)
    found = seen.labels.array[box]
    if box[0].start > 0 and (not found.any() or found[0].any()):
        # What was taken for the top of the head may be raised arms
        further = _within(networks, lps, longer_box(lps, box), deep)
        if len(np.unique(further.labels.array)) >= len(np.unique(found)):
            seen = further
    entropy = None if seen.entropy is None else on_grid_of(seen.entropy, ct)
    return Prediction(on_grid_of(seen.labels, ct), entropy)


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


def label_map(
    probabilities: Float[Tensor, "10 z y x"], shape: tuple[int, ...]
) -> UInt8[np.ndarray, "p q r"]:
    """The likeliest class per voxel of a finer (or coarser) grid over the same box.

    Probabilities are interpolated, not labels, so that edges stay smooth; slice by slice, so that
    ten volumes of the fine grid never exist.
    """
    labels = np.zeros(shape, np.uint8)
    z, y, x = (between(*sizes) for sizes in zip(shape, probabilities.shape[1:], strict=True))
    for n in range(shape[0]):
        plane = probabilities[:, z.below[n]].lerp(probabilities[:, z.above[n]], z.share[n])
        # What is less likely than background wherever it is known is so in between as well
        likely = plane >= plane[BACKGROUND] - ROUNDING
        rivals = likely.flatten(1).any(1).nonzero()[:, 0]
        if len(rivals) > 1:
            organs = likely[BACKGROUND + 1 :].any(0)
            rows, columns = y.touching(organs.any(1)), x.touching(organs.any(0))
            fine = plane[rivals]
            fine = fine[:, y.below[rows]].lerp(fine[:, y.above[rows]], y.share[rows, None])
            fine = fine[..., x.below[columns]].lerp(fine[..., x.above[columns]], x.share[columns])
            labels[n, rows, columns] = rivals[likeliest(fine)].numpy()
    return labels


def drop_stray_pieces(
    labels: UInt8[np.ndarray, "z y x"], spacing_mm: tuple[float, float, float]
) -> None:
    """Turn an organ's connected pieces (26 neighbours) that are no part of it to background.

    Those are pieces under STRAY_SHARE of its largest, or with more than STRAY_MM between their
    boxes; and all of it, where what is left is less than SMALLEST_ML. Not all but the largest:
    where the CT has a gap, one jaw is two pieces.
    """
    smallest = SMALLEST_ML * 1000 / np.prod(spacing_mm)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        part = labels[box]
        pieces, _ = ndimage.label(part == label, np.ones((3, 3, 3)))
        voxels = np.bincount(pieces.ravel())
        voxels[0] = 0
        stray = voxels < STRAY_SHARE * voxels.max()
        stray[0] = False
        places = ndimage.find_objects(pieces)
        largest = places[voxels.argmax() - 1]
        for n in np.flatnonzero(~stray[1:]):
            stray[n + 1] = _between_mm(places[n], largest, spacing_mm) > STRAY_MM
        if voxels[~stray].sum() < smallest:
            stray[1:] = True
        part[stray[pieces]] = 0


def _between_mm(a: Box, b: Box, spacing_mm: tuple[float, float, float]) -> float:
    """From one box to the other; 0 where they touch or overlap."""
    apart = [max(p.start - q.stop, q.start - p.stop, 0) for p, q in zip(a, b, strict=True)]
    return float(np.linalg.norm(np.multiply(apart, spacing_mm)))


def entropy_nats(probabilities: Float[Tensor, "10 z y x"]) -> Float[np.ndarray, "z y x"]:
    """-sum p ln p per voxel, in nats."""
    return torch.special.entr(probabilities).sum(0).numpy()


def _within(networks: list[Network], lps: Volume, box: Box, deep: bool) -> Prediction:
    """What the networks say of a part of a CT, on the whole CT's grid."""
    cropped = lps.array[box]
    size = grid_size(cropped.shape, lps.spacing_mm, _common_patches(networks).spacing_mm)
    probabilities = _mean_probabilities(networks, resize(cropped, size), deep)
    labels = np.zeros(lps.shape, np.uint8)
    labels[box] = label_map(probabilities, cropped.shape)
    drop_stray_pieces(labels[box], lps.spacing_mm)
    entropy = None
    if deep:
        values = np.zeros(lps.shape, np.float32)
        values[box] = resize(entropy_nats(probabilities), cropped.shape)
        entropy = lps.with_array(values)
    return Prediction(lps.with_array(labels), entropy)


def _mean_probabilities(
    networks: list[Network], hu: np.ndarray, deep: bool
) -> Float[Tensor, "10 z y x"]:
    def seen_by(network: Network) -> Float[Tensor, "10 z y x"]:
        inference = network.settings.inference
        overlap = inference.deep_overlap if deep else inference.overlap
        return window_probabilities(network, hu, overlap, deep or inference.mirror)

    total = seen_by(networks[0])
    for network in networks[1:]:
        total += seen_by(network)
    total /= len(networks)
    return total


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
