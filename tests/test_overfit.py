"""The plainest test of a learner: it can learn one case by heart."""

import dataclasses

import numpy as np
import torch

from organnet.hu import network_units
from organnet.metrics import dice
from organnet.organs import ORGANS
from organnet.patches import Patch, stack
from organnet.phantom import PhantomSize, make_case
from organnet.prepared import PreparedCase, prepare
from organnet.settings import make_settings
from organnet.training import set_rate, start_state, train_step

CPU = torch.device("cpu")


def around_the_organs(case: PreparedCase, multiple: tuple[int, int, int]) -> tuple[slice, ...]:
    """The box of all organs, grown until it can be pooled."""
    box = []
    for axis, step in enumerate(multiple):
        at = np.flatnonzero((case.labels > 0).any(tuple({0, 1, 2} - {axis})))
        size = -(-(at[-1] + 1 - at[0]) // step) * step
        first = max(0, min(at[0], case.labels.shape[axis] - size))
        box.append(slice(first, first + size))
    return tuple(box)


def test_one_case_is_learnt_by_heart() -> None:
    case = prepare(make_case(0, 2, PhantomSize(matrix=120, fov_mm=270.0, slice_mm=3.0)), (3.6,) * 3)
    base = make_settings("phantom", "demo")
    plan = dataclasses.replace(base.training, learning_rate=4e-3, drop_every=3, precision="float32")
    settings = dataclasses.replace(base, training=plan)
    state = start_state(settings, CPU)
    box = around_the_organs(case, state.model.patch_multiple)
    hu, labels = torch.from_numpy(case.ct[box].astype(np.float32)), case.labels[box]
    ct = network_units(hu, settings.patches.hu_window)[None]
    patch = Patch(ct, torch.from_numpy(labels.copy()), torch.from_numpy(case.drawn))
    batch = stack([patch, patch])  # torch is slower with a small patch alone than with two
    for epoch in range(4):
        set_rate(state.optimiser, plan, epoch)
        for _ in range(60):
            train_step(state, batch, settings, CPU)
    with torch.inference_mode():
        found = state.model.eval()(ct[None])[0].argmax(0).numpy()
    scores = {o.name: dice(labels == o.label, found == o.label) for o in ORGANS}
    assert min(scores.values()) > 0.7, scores
    assert np.mean(list(scores.values())) > 0.9, scores
