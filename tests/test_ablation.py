"""The network beside its ablations: one budget, seeds averaged first, compared case by case."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from organnet import figures
from organnet.ablation import ablation_table, as_markdown, as_text, model_cost, run_variants
from organnet.errors import OrganNetError
from organnet.evaluation import metrics_table, write_metrics
from organnet.experiment import open_run
from organnet.metrics import OrganScore
from organnet.model import OrganNet
from organnet.phantom import SIZES, write_phantom
from organnet.settings import VARIANTS, make_settings

CASES = [f"case{n}" for n in range(6)]


def scored(
    root: Path, variant: str, dsc: list[float], seed: int = 0, data: str = "d", test: str = "t"
) -> None:
    """A finished run of smoke settings in which each case has a mandible of that DSC."""
    folder = root / f"{variant}-seed{seed}"
    settings = make_settings("phantom", "smoke", variant, seed)
    folder.mkdir(parents=True)
    content = {"settings": settings.to_dict(), "data": {"sha256": data, "cases": {"test": [test]}}}
    (folder / "settings.json").write_text(json.dumps(content))
    nothing = OrganScore("BrainStem", np.nan, np.nan, np.nan, 0, 0, "not drawn")
    scores = {
        case: [nothing, OrganScore("Mandible", value, 10 * (1 - value), 0.5, 9, 9, "scored")]
        for case, value in zip(CASES, dsc, strict=True)
    }
    write_metrics(metrics_table(scores), folder / "metrics.csv")


def test_rows_are_compared_case_by_case(tmp_path: Path) -> None:
    base = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.4])
    scored(tmp_path, "organnet", list(base))
    scored(tmp_path, "unet", list(base - [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]))
    scored(tmp_path, "no-hdc", list(np.add(base, [0.01, -0.02, 0.03, -0.04, 0.05, -0.06])))
    table = ablation_table(tmp_path)
    assert list(table.index) == ["organnet", "no-hdc", "unet"]  # the order of VARIANTS
    ours, unet = table.loc["organnet"], table.loc["unet"]
    assert ours["dsc"] == pytest.approx(base.mean())
    assert ours["hd95_mm"] == pytest.approx(10 * (1 - base.mean()))
    assert ours["dsc_Mandible"] == pytest.approx(base.mean())
    assert np.isnan(ours["dsc_BrainStem"]) and np.isnan(ours["p"])
    assert unet["difference"] == pytest.approx(-0.035)
    assert -0.06 <= unet["difference_low"] < -0.035 < unet["difference_high"] <= -0.01
    assert unet["p"] == pytest.approx(2 / 64)  # all six of one sign
    assert unet["p_holm"] == pytest.approx(4 / 64)  # the smaller of two
    assert table.loc["no-hdc", "p_holm"] == pytest.approx(table.loc["no-hdc", "p"])
    assert unet["cases"] == 6


def test_seeds_are_averaged_before_cases_are_compared(tmp_path: Path) -> None:
    for seed, dsc in enumerate((0.4, 0.6)):
        scored(tmp_path, "organnet", [dsc] * 6, seed)
        scored(tmp_path, "unet", [0.5] * 6, seed)
    table = ablation_table(tmp_path)
    assert table.loc["organnet", "seeds"] == 2
    assert table.loc["organnet", "dsc"] == pytest.approx(0.5)
    assert table.loc["unet", "difference"] == pytest.approx(0)
    assert table.loc["unet", "cases"] == 6


def test_a_seed_that_one_variant_lacks_is_left_out(tmp_path: Path) -> None:
    for seed, dsc in enumerate((0.4, 0.6)):
        scored(tmp_path, "organnet", [dsc] * 6, seed)
    scored(tmp_path, "unet", [0.5] * 6, seed=1)
    table = ablation_table(tmp_path)
    assert list(table["seeds"]) == [1, 1]
    assert table.loc["organnet", "dsc"] == pytest.approx(0.6)
    scored(tmp_path, "no-hdc", [0.5] * 6, seed=2)
    with pytest.raises(OrganNetError, match="no seed that all variants have"):
        ablation_table(tmp_path)


def test_the_table_as_text_has_every_variant(tmp_path: Path) -> None:
    scored(tmp_path, "organnet", [0.5, 0.6, 0.7, 0.8, 0.9, 0.4])
    scored(tmp_path, "unet", [0.4, 0.5, 0.6, 0.7, 0.8, 0.3])
    _, ours, unet, _, *below = as_text(ablation_table(tmp_path)).splitlines()
    assert "the larger of both directed" in " ".join(below)
    assert ours.split() == ["organnet", "65.0", "3.5"]
    assert unet.split() == ["unet", "55.0", "4.5", "-10.0", "(-10.0", "to", "-10.0)", "0.031"]


def test_a_new_variant_is_shown_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VARIANTS, "resse-4", {"model": {"se_reduction": 4}})
    scored(tmp_path, "organnet", [0.5, 0.6, 0.7, 0.8, 0.9, 0.4])
    scored(tmp_path, "resse-4", [0.4, 0.5, 0.6, 0.7, 0.8, 0.3])
    table = ablation_table(tmp_path)
    assert as_markdown(table).splitlines()[-1].startswith("| resse-4 | ")
    shown = [text.get_text() for axes in figures.ablation(table, "").axes for text in axes.texts]
    assert "resse-4" in shown and "OrganNet2.5D" in shown


def test_a_variant_that_cannot_be_compared_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VARIANTS, "unflipped", {"patches": {"flip_share": 0.0}})
    with pytest.raises(OrganNetError, match="variant unflipped changes more than network and loss"):
        run_variants("phantom", "smoke", None, tmp_path / "all", 1)
    assert not (tmp_path / "all").exists()


def test_variants_are_not_trained_in_two_precisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, root = tmp_path / "data", tmp_path / "variants"
    write_phantom(data, 3, 0, SIZES["smoke"])
    monkeypatch.setattr("organnet.experiment.fast_precision", lambda _: "bfloat16")
    done = open_run("phantom", "demo", data, root / "organnet-seed0")
    (done.folder / "weights.safetensors").touch()
    monkeypatch.setattr("organnet.experiment.fast_precision", lambda _: "float32")
    monkeypatch.setattr("organnet.ablation.evaluate_run", pytest.fail)
    with pytest.raises(OrganNetError, match=r"organnet-seed0 in bfloat16, .* in float32"):
        run_variants("phantom", "demo", data, root, 1)


def test_the_table_as_markdown_has_the_organs_that_are_scored(tmp_path: Path) -> None:
    scored(tmp_path, "organnet", [0.5, 0.6, 0.7, 0.8, 0.9, 0.4])
    scored(tmp_path, "unet", [0.4, 0.5, 0.6, 0.7, 0.8, 0.3])
    head, _, ours, unet = as_markdown(ablation_table(tmp_path)).splitlines()
    assert head.count("|") == unet.count("|") == ours.count("|")
    assert "| Mandible |" in head and "BrainStem" not in head
    assert ours.endswith("| 65.0 / 3.5 | 65.0 / 3.5 | - | - |")
    assert unet.endswith("| 55.0 / 4.5 | 55.0 / 4.5 | -10.0 (-10.0 to -10.0) | 0.031 |")


def test_runs_of_other_data_are_not_compared(tmp_path: Path) -> None:
    scored(tmp_path, "organnet", [0.5] * 6)
    scored(tmp_path, "unet", [0.5] * 6, data="another")
    with pytest.raises(OrganNetError, match="other data"):
        ablation_table(tmp_path)
    scored(tmp_path / "splits", "organnet", [0.5] * 6)
    scored(tmp_path / "splits", "unet", [0.5] * 6, test="another")
    with pytest.raises(OrganNetError, match="other data"):
        ablation_table(tmp_path / "splits")


def test_without_the_papers_network_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    scored(tmp_path, "unet", [0.5] * 6)
    with pytest.raises(OrganNetError, match="no scores of organnet"):
        ablation_table(tmp_path)


def test_cost_is_that_of_the_convolutions_by_hand() -> None:
    """Of a smoke network's rows 1 and 16: 2 x kernel x channels in x out x voxels."""
    settings = make_settings("phantom", "smoke")
    cost = model_cost(settings)
    voxels = np.prod(settings.patches.size)
    width = settings.model.width
    rows_1_and_16 = 2 * voxels * (9 * width + 9 * width**2 + 2 * width * 10)
    total = 0
    model = OrganNet(settings.model)

    def count(module, inputs, output) -> None:
        nonlocal total
        weight = module.weight
        work = weight[0].numel() * output.numel()  # a transposed one has a tap per output voxel
        if isinstance(module, torch.nn.ConvTranspose3d):
            work = weight.shape[0] * output.numel()
        total += 2 * work

    for module in model.modules():
        if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d | torch.nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(1, 1, *settings.patches.size))
    assert cost["gflop"] == pytest.approx(total / 1e9)
    assert cost["gflop"] > rows_1_and_16 / 1e9
    assert cost["parameters"] == pytest.approx(sum(p.numel() for p in model.parameters()) / 1e6)
    assert pd.Series(cost).notna().all()
