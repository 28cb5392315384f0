"""What the network sees: patches that favour small organs, drawn from (seed, index)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from organnet.augment import between_knots, sampling_knots_mm, vary_intensity, vary_resolution
from organnet.hu import AIR_HU, TISSUE_FROM_HU, network_units
from organnet.organs import FLIPPED_LABELS, swap_left_right
from organnet.prepared import PreparedCase
from organnet.settings import PatchSettings

CPU = torch.device("cpu")
FLIP_TABLE = torch.from_numpy(swap_left_right(np.arange(256, dtype=np.uint8)))
ROUND = 1
"""Keeps the key of a round's order, (seed, round, 1), apart from a patch's, (seed, index), which is
(seed, index, 0) to NumPy."""
TRIES = 1000
"""Voxels looked at to find one of tissue: a box around a head that misses it so often has none."""


@dataclass(frozen=True, eq=False)
class Patch:
    """One training sample: CT in network units, its label map, and which classes are known."""

    ct: Float[Tensor, "1 z y x"]
    labels: UInt8[Tensor, "z y x"]
    drawn: Bool[Tensor, "10"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Several patches, stacked."""

    ct: Float[Tensor, "b 1 z y x"]
    labels: UInt8[Tensor, "b z y x"]
    drawn: Bool[Tensor, "b 10"]


def stack(patches: list[Patch]) -> Batch:
    """Patches of one size as a batch."""
    return Batch(
        torch.stack([patch.ct for patch in patches]),
        torch.stack([patch.labels for patch in patches]),
        torch.stack([patch.drawn for patch in patches]),
    )


class Patches(torch.utils.data.Dataset):
    """The patches of a training; item i is the same whoever asks for it, and in whatever order.

    They are drawn where all the cases are put, on `device`. A GPU's noise is not a CPU's.
    """

    def __init__(
        self,
        cases: list[PreparedCase],
        settings: PatchSettings,
        count: int,
        seed: int,
        device: torch.device = CPU,
    ):
        self.cases = cases
        self.settings = settings
        self.count = count
        self.seed = seed
        self.volumes = {case: volumes_on(device, case) for case in dict.fromkeys(cases)}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Patch:
        rng = np.random.default_rng((self.seed, index))
        case = self.cases[self.case_of(index)]
        return draw_patch(case, self.settings, rng, self.volumes[case])

    def case_of(self, index: int) -> int:
        """Which case item `index` is of: in every round each case once, in a new order."""
        number, place = divmod(index, len(self.cases))
        order = np.random.default_rng((self.seed, number, ROUND)).permutation(len(self.cases))
        return int(order[place])


def volumes_on(device: torch.device, case: PreparedCase) -> tuple[Tensor, Tensor]:
    """A case's CT and labels on a device; on the CPU they share its memory."""
    return torch.from_numpy(case.ct).to(device), torch.from_numpy(case.labels).to(device)


def draw_patch(
    case: PreparedCase,
    settings: PatchSettings,
    rng: np.random.Generator,
    volumes: tuple[Tensor, Tensor] | None = None,
) -> Patch:
    """One augmented patch around a voxel of a random drawn organ, or of tissue anywhere.

    It is sampled where the case's volumes lie (`volumes_on`; without them, on the CPU). A GPU is
    not waited for, so that it may still be learning from the patches before.
    """
    ct, truth = volumes or volumes_on(CPU, case)
    centre = _centre(case, settings, rng)
    flip = bool(rng.random() < settings.flip_share)
    knots_mm = sampling_knots_mm(settings, flip, rng)
    knots = knots_mm / torch.tensor(case.spacing_mm) + torch.tensor(centre)
    box, unit_knots = _box_and_unit(knots, case.ct.shape)
    unit = between_knots(unit_knots.to(ct.device, non_blocking=True), settings.size)
    hu = _sample(ct[box], unit, "bilinear", outside=AIR_HU)
    labels = _sample(truth[box], unit, "nearest", outside=0).to(torch.uint8)
    drawn = torch.from_numpy(case.drawn.copy())
    if flip:
        labels = FLIP_TABLE.to(labels.device, non_blocking=True)[labels.int()]
        drawn = drawn[list(FLIPPED_LABELS)]
    seen = vary_intensity(vary_resolution(hu, settings, rng), settings, rng)
    return Patch(network_units(seen, settings.hu_window)[None], labels, drawn)


def _centre(
    case: PreparedCase, settings: PatchSettings, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Voxel (z, y, x) around which to cut.

    Of a drawn organ, each as likely as any other; else of the head, where there is no air.
    """
    if case.organ_voxels and rng.random() < settings.organ_share:
        voxels = case.organ_voxels[rng.choice(list(case.organ_voxels))]
        flat = voxels[rng.integers(len(voxels))]
    else:
        anywhere = rng.integers(case.ct.size, size=TRIES)
        tissue = anywhere[case.ct.ravel()[anywhere] > TISSUE_FROM_HU]
        flat = tissue[0] if len(tissue) else anywhere[0]
    centre = np.unravel_index(flat, case.ct.shape)
    shift = rng.uniform(-settings.shift_mm, settings.shift_mm, 3) / case.spacing_mm
    z, y, x = (float(c + s) for c, s in zip(centre, shift, strict=True))
    return z, y, x


def _sample(
    part: Tensor, unit: Float[Tensor, "z y x 3"], mode: str, outside: int
) -> Float[Tensor, "z y x"]:
    """Values of a box at positions of `_box_and_unit`; `outside` beyond its faces."""
    values = part.float() - outside
    sampled = torch.nn.functional.grid_sample(
        values[None, None], unit[None], mode, "zeros", align_corners=False
    )
    return sampled[0, 0] + outside


def _box_and_unit(
    voxels: Float[Tensor, "a b c 3"], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], Float[Tensor, "a b c 3"]]:
    """The part of a volume that holds fractional positions (z, y, x), and where in it they lie.

    The box is a voxel wider, and one voxel at least. Positions are grid_sample's: (x, y, z), with
    -1 and 1 for the box's faces.
    """
    first, last = zip(*(axis.aminmax() for axis in voxels.unbind(-1)), strict=True)
    low = [min(max(int(a.floor()) - 1, 0), n - 1) for a, n in zip(first, shape, strict=True)]
    high = [max(min(int(b.ceil()) + 2, n), a + 1) for a, b, n in zip(low, last, shape, strict=True)]
    size = torch.tensor(high) - torch.tensor(low)
    unit = (2 * (voxels - torch.tensor(low)) + 1) / size - 1
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), unit.flip(-1)
