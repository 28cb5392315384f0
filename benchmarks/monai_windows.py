"""MONAI's side of inference.py. Apart, so that our side's memory holds no MONAI."""

import math
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from benchmarks.clock import network_time
from benchmarks.inference import MONAI_OVERLAP, network_on
from organnet.grids import grid_size, resize
from organnet.head import head_box
from organnet.hu import network_units
from organnet.inference import drop_stray_pieces
from organnet.volume import on_grid_of, read_ct, to_lps, write_volume
from organnet.windows import VOXELS_AT_ONCE, likeliest, probabilities_in


@torch.inference_mode()
def theirs(image: str, weights: str, grid: str, box: bool, out: str) -> dict[str, float]:
    """Segment a CT file into OUT with windows over the whole volume, or over the head's box.

    In the box they overlap as ours do.

    As MONAI's bundles do it: softmax, probabilities back onto the CT's grid, arg-max.
    """
    network = network_on(grid, weights)
    patches, inference = network.settings.patches, network.settings.inference
    ct = read_ct(Path(image))
    lps = to_lps(ct)
    where = head_box(lps) if box else (slice(None),) * 3
    part = lps.array[where]
    hu = torch.from_numpy(resize(part, grid_size(part.shape, lps.spacing_mm, patches.spacing_mm)))
    with network_time(network.model) as spent:
        probabilities = sliding_window_inference(
            network_units(hu, patches.hu_window)[None, None],
            roi_size=patches.size,
            sw_batch_size=max(1, VOXELS_AT_ONCE // math.prod(patches.size)),
            predictor=lambda patch: probabilities_in(network, patch, inference.mirror),
            overlap=inference.overlap if box else MONAI_OVERLAP,
            mode="gaussian",
            padding_mode="constant",
            cval=-1.0,
        )
    fine = torch.nn.functional.interpolate(probabilities, part.shape, mode="trilinear")
    labels = np.zeros(lps.shape, np.uint8)
    labels[where] = likeliest(fine[0]).numpy()
    drop_stray_pieces(labels[where], lps.spacing_mm)
    write_volume(on_grid_of(lps.with_array(labels), ct), Path(out))
    return {"network": spent.seconds, "windows": spent.windows}
