"""RTSTRUCT and SEG on series that were read from files and are no plain grid of their own."""

from pathlib import Path

import numpy as np
import pytest
from ball_parts import check_ball
from dicom_parts import ct_series, head_hu, proper_rotation, write_images

from organnet.dicom.ct import read_dicom_ct

SHAPE, SPACING = (14, 30, 32), (2.0, 1.0, 1.1)
CENTRE, RADIUS = np.array([5.0, 7.0, -3.0]), 8.0
STRAIGHT, TURNED = np.eye(3), proper_rotation(5)
ALONG, LEANING = np.array([2.0, 0.0, 0.0]), np.array([2.0, 0.47, -0.3])
"""From one image to the next: along the normal, down the rows, along the columns; mm."""


@pytest.mark.parametrize(
    ("direction", "step", "missing", "warnings", "least_dsc"),
    [
        pytest.param(TURNED, ALONG, (), 0, 1.0, id="oblique"),
        pytest.param(STRAIGHT, LEANING, (), 1, 0.99, id="tilted"),
        pytest.param(TURNED, LEANING, (), 1, 0.99, id="tilted and oblique"),
        pytest.param(STRAIGHT, ALONG, (5, 8), 1, 0.95, id="two of eight missing"),
        pytest.param(TURNED, LEANING, (5, 8, 9), 2, 0.9, id="all at once, three missing"),
    ],
)
def test_a_ball_lies_where_it_was_drawn(
    direction: np.ndarray,
    step: np.ndarray,
    missing: tuple[int, ...],
    warnings: int,
    least_dsc: float,
    tmp_path: Path,
) -> None:
    step = direction @ step
    to_centre = 6.5 * step + direction @ [0, 14.3 * SPACING[1], 15.4 * SPACING[2]]
    images = ct_series(head_hu(SHAPE), SPACING, tuple(CENTRE - to_centre), direction, step)
    kept = [image for n, image in enumerate(images) if n not in missing]
    write_images(kept, tmp_path / "ct")
    series = read_dicom_ct(tmp_path / "ct")
    assert (len(series.warnings), len(series.images)) == (warnings, len(kept))
    assert check_ball(series, tmp_path / "ct", CENTRE, RADIUS, tmp_path) >= least_dsc
