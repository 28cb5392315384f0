"""Weights: found by path or name, shared in half the space, started from, put to the test."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from organnet import weights as module
from organnet.errors import OrganNetError
from organnet.experiment import Run, evaluate_run, open_run, train_run
from organnet.files import read_json, sha256, write_json
from organnet.layout import CHECKPOINT_NAME, find_weights
from organnet.model import OrganNet
from organnet.organs import ORGAN_NAMES
from organnet.scoring import METRICS_NAME, score_weights
from organnet.settings import VARIANTS, Settings, as_read_today, make_settings
from organnet.tensors import load_tensors, save_tensors
from organnet.training import START_NAME
from organnet.weights import autocast, export_weights, folded, load_network, save_weights

SETTINGS = make_settings("phantom", "smoke")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    torch.manual_seed(1)
    save_weights(path, OrganNet(SETTINGS.model), SETTINGS)
    return path


def test_found_by_run_by_file_and_by_name(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("organnet.layout.SHIPPED", tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    file_in_run = file.rename(run / "weights.safetensors")
    assert find_weights(run) == file_in_run == find_weights(file_in_run)
    export_weights(run, file)
    monkeypatch.chdir(run)
    assert find_weights(Path("some")) == find_weights("some") == file
    with pytest.raises(OrganNetError, match=r"no weights at other: .* organnet \(some\)"):
        find_weights(Path("other"))
    file_in_run.rename(run / CHECKPOINT_NAME)
    with pytest.raises(OrganNetError, match=r"training in .*run is not finished"):
        find_weights(run)


@pytest.mark.parametrize("variant", VARIANTS)
def test_loading_draws_no_random_weights_and_leaves_none_unset(
    variant: str, tmp_path: Path
) -> None:
    settings = make_settings("phantom", "smoke", variant)
    saved = OrganNet(settings.model).eval()
    path = tmp_path / "some.safetensors"
    save_weights(path, saved, settings)
    before = torch.get_rng_state()
    loaded = load_network(path, torch.device("cpu")).model
    assert torch.equal(torch.get_rng_state(), before)
    patch = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad():
        assert torch.allclose(loaded(patch), folded(saved)(patch), atol=1e-6)
    before = torch.get_rng_state()
    OrganNet(settings.model)
    assert not torch.equal(torch.get_rng_state(), before)  # a new network is drawn again


def test_exported_weights_are_half_as_large_and_nearly_the_same(file: Path, tmp_path: Path) -> None:
    smaller = tmp_path / "smaller.safetensors"
    export_weights(file, smaller)
    assert smaller.stat().st_size < 0.6 * file.stat().st_size
    whole, half = load_tensors(file)[0], load_tensors(smaller)[0]
    for key, value in whole.items():
        if value.ndim > 1:
            assert half[key].dtype == torch.float16
            assert torch.allclose(half[key].float(), value, rtol=2**-11, atol=2**-24)
        else:
            assert torch.equal(half[key], value), key
    network = load_network(smaller)
    assert network.settings == SETTINGS
    assert all(p.dtype == torch.float32 for p in network.model.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_folded_network_says_the_same(variant: str) -> None:
    """Every batch norm is in a convolution; its statistics are no longer those of a new network."""
    torch.manual_seed(0)
    model = OrganNet(make_settings("phantom", "smoke", variant).model).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm3d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.normal_(norm.bias)
    patch, narrow = torch.randn(1, 1, 16, 16, 16), folded(copy.deepcopy(model))
    with torch.inference_mode():
        logits, again = model(patch), narrow(patch)
        with autocast(torch.device("cpu"), "bfloat16"):
            rounded, rounded_again = model(patch), narrow(patch)
    assert again.sub(logits).abs().max() < 1e-4 * logits.abs().max()
    off, off_again = (one.float().sub(logits).square().mean() for one in (rounded, rounded_again))
    assert 0 < off_again < 2 * off  # in bfloat16 no worse than it was
    assert not [m for m in narrow.modules() if isinstance(m, nn.BatchNorm3d)]


@pytest.mark.parametrize("fast", ["bfloat16", "float32"])
def test_bfloat16_is_left_where_the_processor_lacks_it(
    fast: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = dataclasses.replace(SETTINGS.training, precision="bfloat16")
    settings = dataclasses.replace(SETTINGS, training=training)
    save_weights(file, OrganNet(settings.model), settings)
    monkeypatch.setattr(module, "fast_precision", lambda _: fast)
    assert load_network(file).settings.training.precision == fast


def test_exported_weights_replace_nothing_but_weights(file: Path, tmp_path: Path) -> None:
    save_weights(file, OrganNet(SETTINGS.model), SETTINGS)
    for name in ("img.nrrd", "mine.safetensors"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(OrganNetError, match=rf"{name} is no(t a whole| name)"):
            export_weights(file, tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"
    for _ in range(2):
        export_weights(file, tmp_path / "half.safetensors")


def test_a_precision_that_is_none_is_refused() -> None:
    with pytest.raises(OrganNetError, match="unknown precision 'float16': choose one of float32"):
        autocast(torch.device("cpu"), "float16")


def test_settings_newer_than_a_file_are_as_before_and_unknown_ones_are_refused(file: Path) -> None:
    tensors, about = load_tensors(file)
    content = json.loads(about["settings"])
    del content["loss"]["gamma"]
    save_tensors(file, tensors, {"settings": json.dumps(content)})
    assert load_network(file).settings == SETTINGS
    content["model"]["depth"] = 3
    save_tensors(file, tensors, {"settings": json.dumps(content)})
    with pytest.raises(OrganNetError, match=r"not of this version of organnet .*depth"):
        load_network(file)


@pytest.mark.parametrize("change", [{"extra": {}}, {"model": None}, {"model": "deep"}])
def test_parts_of_settings_that_are_not_known_are_not_passed_over(change: dict) -> None:
    content = SETTINGS.to_dict() | change
    with pytest.raises(OrganNetError, match="not of this version of organnet"):
        Settings.from_dict(content)
    assert as_read_today(content) == content  # so that it can be said what differs


def test_weights_of_other_organs_are_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though they fit: their second channel would be called what it is not."""
    others = ("BrainStem", "SpinalCord", *ORGAN_NAMES[2:])
    monkeypatch.setattr(module, "ORGAN_NAMES", others)
    for weights in (file, Path("openkbp")):
        with pytest.raises(OrganNetError, match="draws other organs"):
            load_network(weights)
    with pytest.raises(OrganNetError, match="draws other organs"):
        open_run("phantom", "smoke", tmp_path, tmp_path / "run", start=file)
    save_weights(file, OrganNet(SETTINGS.model), SETTINGS)
    assert load_network(file).settings == SETTINGS


@pytest.mark.parametrize(
    ("profile", "variant", "advice"),
    [
        ("smoke", "organnet", "choose --profile tune or gpu or paper$"),
        ("gpu", "unet", "leave --start out, or name weights of such a one$"),
    ],
)
def test_a_training_from_weights_that_do_not_fit_says_what_would(
    profile: str, variant: str, advice: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(OrganNetError, match=f"openkbp does not fit .*{variant}: {advice}"):
        open_run("phantom", profile, tmp_path, out, variant, start=Path("openkbp"))
    assert not list(tmp_path.iterdir())


def test_a_run_goes_on_from_other_weights(smoke_run: Run, tmp_path: Path) -> None:
    root = smoke_run.dataset.root
    run = open_run("phantom", "smoke", root, tmp_path, seed=1, start=smoke_run.folder)
    assert run.settings.training.start == sha256(smoke_run.folder / "weights.safetensors")
    assert sha256(tmp_path / START_NAME) == run.settings.training.start
    assert open_run("phantom", "smoke", root, tmp_path, seed=1).settings == run.settings
    content = read_json(tmp_path / "settings.json")
    del content["settings"]["inference"]["mirror"]  # as before there was such a setting
    write_json(tmp_path / "settings.json", content)
    assert open_run("phantom", "smoke", root, tmp_path, seed=1).settings == run.settings
    train_run(run)
    assert run.log["loss"][0] < smoke_run.log["loss"][0]
    with pytest.raises(OrganNetError, match=r"other settings \(training.start .* for "):
        open_run("phantom", "smoke", root, tmp_path, seed=1, start=tmp_path)


def test_scores_of_weights_are_those_of_their_run(smoke_run: Run, tmp_path: Path) -> None:
    evaluate_run(smoke_run)
    score_weights([smoke_run.folder], smoke_run.dataset, "test", tmp_path, deep=False)
    for name in (METRICS_NAME, "summary.json"):
        assert (tmp_path / name).read_bytes() == (smoke_run.folder / name).read_bytes()
    with pytest.raises(OrganNetError, match="other weights, cases or data"):
        score_weights([smoke_run.folder], smoke_run.dataset, "validation", tmp_path, deep=False)
    with pytest.raises(OrganNetError, match="holds scores of other weights"):
        open_run("phantom", "smoke", smoke_run.dataset.root, tmp_path)
    assert (tmp_path / METRICS_NAME).exists()


@pytest.mark.parametrize("there", ["settings.json", "metrics.csv", "predictions/a.nrrd"])
def test_scores_are_not_mixed_with_what_lies_there(
    there: str, smoke_run: Run, tmp_path: Path
) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("{}")
    with pytest.raises(OrganNetError, match=r"is a run|holds other scores"):
        score_weights([smoke_run.folder], smoke_run.dataset, "test", tmp_path, deep=False)
    assert not (tmp_path / "scored.json").exists()


def test_a_finished_run_opens_on_a_machine_of_another_precision(
    smoke_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = smoke_run.dataset.root
    monkeypatch.setattr("organnet.experiment.fast_precision", lambda device: "bfloat16")
    open_run("phantom", "demo", root, tmp_path)
    monkeypatch.setattr("organnet.experiment.fast_precision", lambda device: "float32")
    with pytest.raises(OrganNetError, match=r"training\.precision bfloat16 for float32"):
        open_run("phantom", "demo", root, tmp_path)  # it would go on otherwise
    (tmp_path / "weights.safetensors").touch()
    assert open_run("phantom", "demo", root, tmp_path).settings.training.precision == "bfloat16"


def test_a_split_without_cases_is_refused(smoke_run: Run, tmp_path: Path) -> None:
    empty = dataclasses.replace(smoke_run.dataset, splits={"test": ()})
    with pytest.raises(OrganNetError, match="no test cases"):
        score_weights([smoke_run.folder], empty, "test", tmp_path, deep=False)
