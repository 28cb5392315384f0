"""The nine organs' colours: told apart on a dark CT, by every eye."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from organnet.organs import ORGANS, organ

AS_SEEN = {
    "every colour": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Of linear sRGB by those who lack a cone (Machado et al. 2009, doi 10.1109/TVCG.2009.113)."""
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
WHITE = [0.9505, 1.0, 1.089]


def cielab(colour: str, eye: str = "every colour") -> np.ndarray:
    """L*, a*, b* of an sRGB colour as such an eye sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array(TO_XYZ) @ np.clip(np.array(AS_SEEN[eye]) @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_cielab_of_known_colours():
    assert cielab("#ffffff") == pytest.approx([100, 0, 0], abs=0.02)
    assert cielab("#ff0000") == pytest.approx([53.2, 80.1, 67.2], abs=0.1)
    assert cielab("#808080", "no green") == pytest.approx(cielab("#808080"), abs=0.1)  # grey


@pytest.mark.parametrize("eye", AS_SEEN)
def test_no_two_organs_are_alike(eye: str):
    """A difference of 2.3 can just be noticed; of 15 also between thin lines."""
    for one, other in itertools.combinations(ORGANS, 2):
        apart = np.linalg.norm(cielab(one.colour, eye) - cielab(other.colour, eye))
        assert apart > 15, (one.name, other.name)


def test_organs_are_bright_enough_for_a_ct_and_a_pair_shares_a_hue():
    for one in ORGANS:
        lightness, *ab = cielab(one.colour)
        assert lightness > 45
        if one.name.endswith("_L"):
            darker, *others = cielab(organ(one.partner).colour)
            assert lightness - darker > 20
            hues = [np.degrees(np.arctan2(b, a)) for a, b in (ab, others)]
            assert abs(hues[0] - hues[1]) < 20
