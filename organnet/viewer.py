"""A case in 3D, to turn and slice in JupyterLab. Nothing else imports this room."""

from typing import Any

import SimpleITK as sitk

from organnet.datasets import Case
from organnet.organs import ORGANS
from organnet.volume import Volume, same_grid, to_lps

NAMES = [(organ.label, organ.name) for organ in ORGANS]


def view_case(case: Case, labels: Volume | None = None) -> Any:
    """The itkwidgets viewer of a CT with its organs; show it by making it a cell's last line.

    `labels` (uint8, on the CT's grid) are what was drawn, unless a prediction is given. Proportions
    are those of the patient, whatever the spacing. Raises ValueError for labels of another grid.
    """
    from itkwidgets import view  # slow to import, and of no use without a browser

    labels = case.labels if labels is None else labels
    if not same_grid(case.ct, labels):
        raise ValueError(f"the labels do not lie on the grid of {case.name}'s CT")
    return view(_image(case.ct), label_image=_image(labels), label_image_names=NAMES)


def _image(volume: Volume) -> sitk.Image:
    lps = to_lps(volume)
    image = sitk.GetImageFromArray(lps.array)
    image.SetSpacing(lps.spacing_mm[::-1])
    return image
