"""HU, and what the network sees of them."""

from jaxtyping import Float
from torch import Tensor

AIR_HU = -1000
TISSUE_FROM_HU = -500
"""Between air or couch foam and fat. A window without anything denser is background unseen."""


def network_units(
    hu: Float[Tensor, "*grid"], window: tuple[float, float]
) -> Float[Tensor, "*grid"]:
    """Clip HU to the window and map it to [-1, 1]."""
    low, high = window
    return (hu.clamp(low, high) - low) * (2 / (high - low)) - 1


def hounsfield(
    values: Float[Tensor, "*grid"], window: tuple[float, float]
) -> Float[Tensor, "*grid"]:
    """HU of values in network units, as far as the window left them: undoes `network_units`."""
    low, high = window
    return (values + 1) * ((high - low) / 2) + low
