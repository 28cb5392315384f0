"""The 3D view keeps the patient's proportions and names the organs."""

import numpy as np
import pytest

from organnet.datasets import Case
from organnet.viewer import view_case
from organnet.volume import Volume

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # itkwidgets' own


@pytest.fixture
def case() -> Case:
    ct = Volume(np.full((4, 5, 6), -1000, np.int16), (3.0, 1.0, 1.0))
    labels = Volume(np.zeros((4, 5, 6), np.uint8), (3.0, 1.0, 1.0))
    labels.array[1:3, 1:3, 1:3] = 3
    return Case("any", ct, labels, frozenset({"Mandible"}))


def test_proportions_and_names(case: Case):
    viewer = view_case(case)
    assert list(viewer.image.GetSpacing()) == [1.0, 1.0, 3.0]
    assert (3, "Mandible") in list(viewer.label_image_names)


def test_another_grid_is_refused(case: Case):
    with pytest.raises(ValueError, match="grid"):
        view_case(case, Volume(np.zeros((4, 5, 5), np.uint8), (3.0, 1.0, 1.0)))
