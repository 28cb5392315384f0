"""Look at a case: its organs in 3D, and its slices. Widgets for a reader, pictures elsewhere.

Both functions take a `Case`, or a CT and label maps as `Volume`s on one grid. In a notebook that
somebody has open they return a widget; under papermill, nbval, nbconvert or plain Python, where
nobody would answer it, they return the same scene as a figure, and no widget is ever made.
"""

from typing import Any

from organnet.datasets.case import Case
from organnet.figures.panel import HU_WINDOW
from organnet.figures.scene import case_scene
from organnet.viewer.frontends import front_end
from organnet.viewer.shown import shown_case
from organnet.volume import Volume


def overlay(
    ct: Case | Volume, labels: Volume | None = None, prediction: Volume | None = None
) -> Any:
    """The CT and its organs in 3D, each organ in its colour and with its name.

    Args:
        ct: a case, or a CT in HU, (z, y, x).
        labels: label map on the CT's grid; the case's own where left out.
        prediction: another one. The two then stand side by side and turn together.

    Returns an ipywidget or a matplotlib Figure; a notebook shows either as a cell's last line.
    Raises OrganNetError, in one line, for label maps that lie on another grid than the CT.
    """
    case, prediction = shown_case(ct, labels, prediction)
    where = front_end()
    if where == "3d":
        from organnet.viewer.three_d import three_d

        return three_d(case, prediction)
    if where == "widgets":
        print("This front end cannot show itkwidgets in 3D (JupyterLab 4 can): slices instead.")
        return slices(case, None, prediction)
    return case_scene(case, prediction)


def slices(
    ct: Case | Volume,
    reference: Volume | None = None,
    prediction: Volume | None = None,
    hu_window: tuple[float, float] = HU_WINDOW,
) -> Any:
    """Axial, coronal and sagittal slices to browse, with the organs' contours.

    Args:
        ct: a case, or a CT in HU, (z, y, x).
        reference: label map on the CT's grid, drawn solid; the case's own where left out.
        prediction: another one, drawn dashed.
        hu_window: HU shown black and white at first.

    Returns an ipywidget or a matplotlib Figure; a notebook shows either as a cell's last line.
    Raises OrganNetError, in one line, for label maps that lie on another grid than the CT.
    """
    case, prediction = shown_case(ct, reference, prediction)
    hu_window = (float(hu_window[0]), float(hu_window[1]))
    if front_end() == "none":
        return case_scene(case, prediction, hu_window)
    from organnet.viewer.browser import SliceBrowser

    return SliceBrowser(case, prediction, hu_window).widget


__all__ = ["overlay", "slices"]
