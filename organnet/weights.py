"""Trained weights: one safetensors file that carries the settings it was trained with."""

import dataclasses
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from organnet.errors import OrganNetError, choose
from organnet.layout import find_weights
from organnet.model import OrganNet
from organnet.organs import ORGAN_NAMES
from organnet.paper import PAPER_ORGANS
from organnet.settings import ModelSettings, Settings
from organnet.tensors import load_tensors, save_tensors

EARLIER_ORGANS = json.dumps(PAPER_ORGANS)
"""What weights draw that were written before their organs were written with them."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network ready to segment, and the settings that say what it wants to see."""

    model: OrganNet
    settings: Settings


def save_weights(path: Path, model: OrganNet, settings: Settings) -> None:
    """Write the weights and the settings, whole or not at all."""
    about = {"settings": json.dumps(settings.to_dict()), "organs": json.dumps(ORGAN_NAMES)}
    save_tensors(path, model.state_dict(), about)


def export_weights(named: Path | str, out: Path) -> None:
    """Write weights, named as in `find_weights`, to `out` in half the space, to be shared.

    The convolutions' weights, which are nearly all, are kept in half precision; norms and biases
    stay as they are, since a running variance may lie beyond what half can hold.
    Raises what `load_network` raises, and OrganNetError where `out` is not called as a weights
    file, or is another file that is there.
    """
    if out.suffix != ".safetensors":
        raise OrganNetError(f"{out} is no name for weights: end it in .safetensors")
    load_network(named)  # whole, and of this version
    if out.exists():
        read_weights(out)  # what is there is weights too, or an error
    state, about = load_tensors(find_weights(named))
    smaller = {key: value.half() if value.ndim > 1 else value for key, value in state.items()}
    save_tensors(out, smaller, about)


def load_network(named: Path | str, device: torch.device | None = None) -> Network:
    """Read weights, named as in `find_weights`, in evaluation mode.

    A network trained in bfloat16 runs in float32 where the processor has no bfloat16.
    Raises OrganNetError as `read_weights`, or where they do not fit the network of their settings.
    """
    device = device or pick_device()
    state, settings = read_weights(named)
    with _NothingDrawn():
        model = OrganNet(settings.model)
    load_state(model, state, find_weights(named))
    training = settings.training
    if training.precision == "bfloat16":
        training = dataclasses.replace(training, precision=fast_precision(device))
    settings = dataclasses.replace(settings, training=training)
    return Network(on_device(folded(model.eval()), device), settings)


def read_weights(named: Path | str) -> tuple[dict[str, torch.Tensor], Settings]:
    """The tensors of weights, named as in `find_weights`, and what they were trained with.

    Raises OrganNetError where the file is absent, is no safetensors file, carries no settings or
    draws other organs.
    """
    path = find_weights(named)
    state, about = load_tensors(path)
    try:
        settings = Settings.from_dict(json.loads(about["settings"]))
        organs = json.loads(about.get("organs", EARLIER_ORGANS))
    except (KeyError, ValueError) as error:
        raise OrganNetError(
            f"{path} carries no settings: use a weights file that organnet has written"
        ) from error
    if organs != list(ORGAN_NAMES):
        raise OrganNetError(
            f"{path} draws other organs than this organnet: use the version that wrote it"
        )
    return state, settings


def shapes(settings: ModelSettings) -> dict[str, torch.Size]:
    """Of the tensors of such a network, by their names."""
    with torch.device("meta"):
        return {key: value.shape for key, value in OrganNet(settings).state_dict().items()}


class _NothingDrawn(TorchFunctionMode):
    """Inside, a new network's weights stay unset: a file will fill them, and drawing takes time."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (nn.init.kaiming_uniform_, nn.init.uniform_, torch.Tensor.normal_):
            return None
        return func(*args, **(kwargs or {}))


def folded(model: OrganNet) -> OrganNet:
    """A model that only infers, with each batch norm folded into the convolution before it.

    It draws the same, but for rounding, in nine tenths of the time on a CPU.
    """
    for block in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for n, (before, norm) in enumerate(itertools.pairwise(list(block))):
            if isinstance(norm, nn.BatchNorm3d):
                block[n], block[n + 1] = fuse_conv_bn_eval(before, norm), nn.Identity()
    return model.to(memory_format=torch.channels_last_3d)


def load_state(model: OrganNet, state: dict[str, torch.Tensor], path: Path) -> None:
    """Put a state into a model; OrganNetError with the first thing that does not fit."""
    wanted = model.state_dict()
    for key in sorted(wanted.keys() | state.keys()):
        have = tuple(state[key].shape) if key in state else "nothing"
        want = tuple(wanted[key].shape) if key in wanted else "nothing"
        if have != want:
            raise OrganNetError(
                f"{path} holds a network of another width or variant "
                f"({key}: {have}, expected {want}): use the settings it was trained with"
            )
    model.load_state_dict(state)


def pick_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(model: OrganNet, device: torch.device) -> OrganNet:
    """The model on the device, in the memory layout in which its convolutions are fast there.

    On an H100 a training step in bfloat16 takes a third of the time with channels last.
    """
    model.to(device)
    if device.type == "cuda":
        model.to(memory_format=torch.channels_last_3d)
    return model


def fast_precision(device: torch.device) -> str:
    """bfloat16 where the processor multiplies it in hardware, else float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    has_bfloat16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bfloat16" if has_bfloat16() else "float32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bfloat16 where it is exact enough, or float32 throughout."""
    choose("precision", precision, ("float32", "bfloat16"))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
