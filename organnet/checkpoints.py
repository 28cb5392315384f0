"""The whole state of a training in one safetensors file, so that it goes on as if never stopped."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from organnet.errors import OrganNetError, RunError
from organnet.settings import Settings, as_read_today
from organnet.tensors import load_tensors, save_tensors
from organnet.weights import load_state


@dataclass
class Clock:
    """Where a training stands, and what it has logged.

    Attributes:
        epoch: the epoch under way, from 0.
        step: optimiser steps done in it.
        sums: what the steps of this epoch add up to.
        seconds: time spent so far in this epoch.
        rows: the finished epochs' rows of log.csv.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class TrainingState:
    """Everything that the next step depends on."""

    model: torch.nn.Module
    optimiser: torch.optim.Adam
    clock: Clock


def save_checkpoint(path: Path, state: TrainingState, settings: Settings) -> None:
    """Write the state, whole or not at all.

    Raises RunError where the last step has left weights that are not finite.
    """
    if not all(torch.isfinite(parameter).all() for parameter in state.model.parameters()):
        raise RunError(
            f"the weights are not finite in epoch {state.clock.epoch + 1}; the last good "
            "checkpoint is kept: lower the learning rate or train in float32"
        )
    tensors = {f"model.{key}": value for key, value in state.model.state_dict().items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": value for key, value in moments.items()}
    about = {
        "settings": json.dumps(settings.to_dict()),
        "clock": json.dumps(vars(state.clock)),
    }
    save_tensors(path, tensors, about)


def load_checkpoint(path: Path, state: TrainingState, settings: Settings) -> None:
    """Bring `state` to where the checkpoint stopped; does nothing where there is none.

    Raises OrganNetError for a broken file, or one that was trained with other settings.
    """
    if not path.exists():
        return
    tensors, about = load_tensors(path)
    try:
        trained_with = as_read_today(json.loads(about["settings"]))
        clock = json.loads(about["clock"])
    except (KeyError, ValueError) as error:
        raise OrganNetError(f"{path} is no checkpoint: delete it to start again") from error
    if trained_with != settings.to_dict():
        raise OrganNetError(
            f"{path} was trained with other settings: choose another --out, or delete it"
        )
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    load_state(state.model, weights, path)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    groups = state.optimiser.state_dict()["param_groups"]
    state.optimiser.load_state_dict({"state": moments, "param_groups": groups})
    state.clock = Clock(**clock)
