"""Training: it learns, it resumes bitwise, it stops in good order."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from training_parts import CASES, same_weights, settings

from organnet.errors import OrganNetError, RunError
from organnet.layout import CHECKPOINT_NAME, WEIGHTS_NAME
from organnet.patches import CPU
from organnet.settings import make_settings
from organnet.tensors import load_tensors, save_tensors
from organnet.training import (
    LOG_COLUMNS,
    set_rate,
    stop_on_signal,
    train,
    write_log,
)
from organnet.weights import load_network


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed")
    train(run, settings(), CASES, CASES[:1])
    return run


@pytest.mark.parametrize("after", [1, 6, 8])
def test_resume_is_bitwise(
    after: int, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by a real signal at the end of an epoch or within, it goes on the same."""
    import organnet.training as module

    calls = 0
    real_step = module.train_step

    def step_then_signal(*args: object) -> None:
        nonlocal calls
        real_step(*args)
        calls += 1
        if calls == after:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module, "train_step", step_then_signal)
    with pytest.raises(RunError, match="same command"):
        train(tmp_path, settings(), CASES, CASES[:1])
    assert not (tmp_path / WEIGHTS_NAME).exists()
    monkeypatch.undo()
    torch.manual_seed(99)  # the global generator must not matter
    train(tmp_path, settings(), CASES, CASES[:1])
    assert same_weights(tmp_path, undisturbed)
    columns = [c for c in LOG_COLUMNS if c != "seconds"]
    logs = [pd.read_csv(run / "log.csv")[columns] for run in (tmp_path, undisturbed)]
    pd.testing.assert_frame_equal(*logs, check_exact=True)


def test_a_log_that_was_not_written_any_more_is_made_up_for(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the last checkpoint and its row of the log."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("organnet.training.write_log", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, settings(epochs=1), CASES, CASES[:1])
    monkeypatch.undo()
    train(tmp_path, settings(epochs=1), CASES, CASES[:1])
    assert len(pd.read_csv(tmp_path / "log.csv")) == 1


@pytest.mark.parametrize("kind", [signal.SIGHUP, signal.SIGINT])
def test_every_wish_to_end_is_heeded(
    kind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that comes when the last step is done: what was to follow does not begin."""
    monkeypatch.setattr(
        "organnet.training.validation_scores", lambda *_: os.kill(os.getpid(), kind) or {}
    )
    before = signal.signal(kind, signal.default_int_handler)  # the tests may run under nohup
    try:
        with pytest.raises(RunError, match="stopped when the training was done"):
            train(tmp_path, settings(epochs=1), CASES, CASES[:1])
    finally:
        signal.signal(kind, before)
    assert (tmp_path / WEIGHTS_NAME).exists()


def test_nohup_is_heeded() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_workers_do_not_matter_and_start_once(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import organnet.training as module

    seen: set[int] = set()
    real_step = module.train_step

    def step(*args: object) -> None:
        real_step(*args)
        seen.update(child.pid for child in multiprocessing.active_children())

    monkeypatch.setattr(module, "train_step", step)
    monkeypatch.setattr(module, "pick_device", lambda: CPU)  # a GPU takes no workers
    train(tmp_path, settings(workers=2), CASES, CASES[:1])
    assert same_weights(tmp_path, undisturbed)
    assert len(seen) == 2 and not multiprocessing.active_children()


def test_workers_end_with_a_training_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import organnet.training as module

    def fail(*_: object) -> None:
        assert len(multiprocessing.active_children()) == 2
        raise RunError("the loss is not finite")

    monkeypatch.setattr(module, "train_step", fail)
    monkeypatch.setattr(module, "pick_device", lambda: CPU)
    with pytest.raises(RunError) as kept:  # as a notebook keeps the last error
        train(tmp_path, settings(workers=2), CASES, [])
    assert not multiprocessing.active_children() and kept.traceback


def test_settings_that_are_newer_than_a_training_do_not_end_it(
    undisturbed: Path, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed, tmp_path / "run")
    (tmp_path / "run" / WEIGHTS_NAME).unlink()
    path = tmp_path / "run" / CHECKPOINT_NAME
    tensors, about = load_tensors(path)
    earlier = json.loads(about["settings"])
    del earlier["inference"]["mirror"]
    save_tensors(path, tensors, about | {"settings": json.dumps(earlier)})
    train(tmp_path / "run", settings(), CASES, CASES[:1])
    assert same_weights(tmp_path / "run", undisturbed)


def test_another_seed_is_another_training(undisturbed: Path, tmp_path: Path) -> None:
    train(tmp_path, settings(seed=1), CASES, CASES[:1])
    assert not same_weights(tmp_path, undisturbed)


def test_log_has_a_row_per_epoch_and_a_score_per_drawn_organ(undisturbed: Path) -> None:
    log = pd.read_csv(undisturbed / "log.csv")
    assert list(log.columns) == LOG_COLUMNS
    assert log["epoch"].tolist() == [1, 2, 3, 4]
    assert log["step"].tolist() == [3, 6, 9, 12]
    assert log[["dsc_Parotid_L", "dsc_Parotid_R", "dsc_mean"]].notna().all().all()
    assert log["dsc_Mandible"].isna().all()
    assert np.allclose(log["loss"], log["focal_loss"] + log["dice_loss"])


def test_weights_carry_their_settings(undisturbed: Path) -> None:
    network = load_network(undisturbed)
    assert network.settings == settings()
    assert not network.model.training


def test_rate_drops_by_tens_to_its_floor() -> None:
    plan = make_settings("pddca", "paper").training
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    rates = []
    for epoch in (0, 49, 50, 99, 100, 149, 150, 400):
        set_rate(optimiser, plan, epoch)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5, 1e-5])


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import organnet.training as module

    train(tmp_path, settings(epochs=2), CASES, [])
    (tmp_path / WEIGHTS_NAME).unlink()
    kept = (tmp_path / CHECKPOINT_NAME).read_bytes()
    real_loss = module.organ_loss

    def broken(*args: object):
        loss = real_loss(*args)
        return dataclasses.replace(loss, total=loss.total * float("nan"))

    monkeypatch.setattr(module, "organ_loss", broken)
    monkeypatch.setattr(module, "load_checkpoint", lambda *_: None)
    with pytest.raises(RunError, match="not finite in epoch 1, step 1"):
        train(tmp_path, settings(epochs=2), CASES, [])
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == kept


def test_a_checkpoint_of_other_settings_is_refused(undisturbed: Path) -> None:
    with pytest.raises(OrganNetError, match="other settings"):
        train(undisturbed, settings(epochs=5), CASES, [])


def test_a_truncated_checkpoint_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    whole = (undisturbed / CHECKPOINT_NAME).read_bytes()
    (tmp_path / CHECKPOINT_NAME).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OrganNetError, match="not a whole safetensors file"):
        train(tmp_path, settings(), CASES, [])


def test_a_new_term_of_the_loss_is_logged(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "loss": 0.5, "boundary_loss": 0.25}]
    write_log(tmp_path / "log.csv", rows)
    log = pd.read_csv(tmp_path / "log.csv")
    assert list(log.columns) == [*LOG_COLUMNS, "boundary_loss"]
    assert log["boundary_loss"].item() == 0.25


def test_no_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrganNetError, match="no training cases"):
        train(tmp_path, settings(), [], [])


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 4096])
def test_broken_weights_are_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(OrganNetError, match=r"^[^\n]*broken\.safetensors[^\n]*$"):
        load_network(path)


def test_weights_that_may_not_be_read_are_not_called_broken(
    undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("safetensors.safe_open", refused)
    with pytest.raises(OrganNetError, match=r"cannot be read \(Permission denied\): check"):
        load_tensors(undisturbed / WEIGHTS_NAME)


def test_weights_of_another_width_are_refused(undisturbed: Path, tmp_path: Path) -> None:
    import json

    from safetensors.torch import save_file

    wider = dataclasses.replace(settings().model, width=6)
    about = dataclasses.replace(settings(), model=wider).to_dict()
    path = tmp_path / "weights.safetensors"
    save_file(load_file(undisturbed / WEIGHTS_NAME), path, {"settings": json.dumps(about)})
    with pytest.raises(OrganNetError, match="another width"):
        load_network(path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(OrganNetError, match="no weights at"):
        load_network(tmp_path)
