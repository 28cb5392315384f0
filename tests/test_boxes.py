"""Boxes of organs are those that a search of the whole label map finds."""

import numpy as np
import pytest
from scipy.ndimage import find_objects

from organnet.boxes import organ_boxes
from organnet.organs import UNKNOWN


@pytest.mark.parametrize("seed", range(20))
def test_boxes_are_those_of_the_whole_label_map(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 15, 18), np.uint8)
    for _ in range(rng.integers(0, 12)):
        z, y, x = (rng.integers(0, n) for n in labels.shape)
        labels[z, y, x] = rng.choice([*range(1, 10), UNKNOWN])
    assert organ_boxes(labels) == find_objects(labels, max_label=9)


def test_a_label_map_without_organs_has_no_boxes() -> None:
    assert organ_boxes(np.zeros((3, 4, 5), np.uint8)) == [None] * 9
