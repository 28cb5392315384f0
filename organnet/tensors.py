"""Tensors on disk: safetensors files that are either whole or absent. Nothing is pickled."""

from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file

from organnet.errors import OrganNetError
from organnet.files import atomic_path


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
    """Write named tensors and a note about them.

    Raises OrganNetError where the folder cannot be written or the disk is full.
    """
    # safetensors writes memory as it lies, whatever the strides say
    dense = {key: value.contiguous() for key, value in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(dense, temporary, about)
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote.

    Raises OrganNetError where the file cannot be read, is broken, cut short or of another kind.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except OSError as error:  # the disk's or the user's fault, not the file's
        raise OrganNetError(
            f"{path} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    except (safetensors.SafetensorError, ValueError) as error:
        raise OrganNetError(
            f"{path} is not a whole safetensors file: name another, or make it again"
        ) from error
