"""The plainest test of a learner: it can learn one case by heart."""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from organnet.phantom import PhantomSize, make_case
from organnet.prepared import prepare
from organnet.settings import make_settings
from organnet.training import train, validation_scores
from organnet.weights import fast_precision, load_network


def test_one_case_is_learnt_by_heart(tmp_path: Path) -> None:
    case = prepare(make_case(0, 2, PhantomSize(matrix=120, fov_mm=270.0, slice_mm=3.0)), (3.0,) * 3)
    base = make_settings("phantom", "smoke")
    settings = dataclasses.replace(
        base,
        model=dataclasses.replace(base.model, width=8),
        patches=dataclasses.replace(
            base.patches,
            spacing_mm=(3.0, 3.0, 3.0),
            size=(24, 32, 32),
            organ_share=1.0,
            flip_share=0.0,
            rotation_degrees=0.0,
            scale_share=0.0,
            elastic_mm=0.0,
            brightness_hu=0.0,
            contrast_share=0.0,
            noise_hu=0.0,
        ),
        training=dataclasses.replace(
            base.training,
            epochs=4,
            steps=100,
            learning_rate=3e-3,
            drop_every=3,
            validate_every=4,
            precision=fast_precision(torch.device("cpu")),
        ),
        inference=dataclasses.replace(base.inference, overlap=0.5),
    )
    train(tmp_path, settings, [case], [])
    scores = validation_scores(load_network(tmp_path), [case])
    assert len(scores) == 9
    assert np.mean(list(scores.values())) > 0.9, scores
