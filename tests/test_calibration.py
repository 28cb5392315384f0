"""Odds of organs divided until they come out as large as they are drawn."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from stand_ins import StandIn, block_ct, network
from typer.testing import CliRunner

from organnet.calibration import (
    COLUMNS,
    FACTORS,
    best_factors,
    factor_scores,
    read_factor_scores,
    table_text,
)
from organnet.cli import app
from organnet.datasets import Case, Dataset
from organnet.errors import OrganNetError
from organnet.experiment import Run
from organnet.model import OrganNet
from organnet.organs import UNKNOWN
from organnet.settings import make_settings
from organnet.tensors import load_tensors
from organnet.weights import FACTORS_KEY, export_weights, load_network, save_weights

BLOCK = (slice(10, 22), slice(14, 30), slice(34, 46))
ODDS_AROUND = 2.5


class Generous(StandIn):
    """Calls the dense block brain stem for sure, and water that with odds of 2.5 to 1."""

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        logits = torch.full((len(patch), 10, *patch.shape[2:]), -20.0)
        hu = patch[:, 0]
        logits[:, 0] = 0
        logits[:, 1] = torch.where(hu > -0.5, np.log(ODDS_AROUND), -20.0)
        logits[:, 1][hu > 0.3] = 9
        return logits + self.anchor


def data_set(labels_of: list[np.ndarray], tmp_path: Path) -> Dataset:
    ct = block_ct()
    cases = {
        f"case-{n}": Case(f"case-{n}", ct, ct.with_array(labels), frozenset({"BrainStem"}))
        for n, labels in enumerate(labels_of)
    }
    splits = {"training": (), "validation": tuple(cases), "test": ()}
    folders = {name: tmp_path / name for name in cases}
    return Dataset("phantom", tmp_path, splits, folders, lambda folder: cases[folder.name])


def drawn(unknown: bool = False) -> np.ndarray:
    labels = np.zeros(block_ct().shape, np.uint8)
    if unknown:
        labels[:] = UNKNOWN
    labels[BLOCK] = 1
    return labels


def test_what_is_less_likely_than_the_factor_goes(tmp_path: Path) -> None:
    dataset = data_set([drawn()], tmp_path)
    table = factor_scores([network(Generous())], dataset, dataset.splits["validation"])
    assert tuple(table.columns) == COLUMNS and tuple(table["factor"]) == FACTORS
    dsc = table.set_index("factor")["dsc"]
    assert dsc[[f for f in FACTORS if f < ODDS_AROUND]].max() < 0.2
    assert dsc[[f for f in FACTORS if f > ODDS_AROUND]].min() > 0.9
    assert "BrainStem" in table_text(table)


def test_where_the_truth_is_unknown_nothing_counts(tmp_path: Path) -> None:
    dataset = data_set([drawn(unknown=True)], tmp_path)
    table = factor_scores([network(Generous())], dataset, dataset.splits["validation"])
    assert table["dsc"].min() > 0.9


def test_cases_without_any_organ_are_refused(tmp_path: Path) -> None:
    dataset = data_set([np.zeros(block_ct().shape, np.uint8)], tmp_path)
    with pytest.raises(OrganNetError, match="no organ drawn"):
        factor_scores([network(Generous())], dataset, dataset.splits["validation"])


def scores(organ: str, dsc: dict[float, float], cases: int = 5) -> list[tuple]:
    pairs = itertools.product(range(cases), dsc.items())
    return [(f"c{n}", organ, factor, d) for n, (factor, d) in pairs]


def test_the_best_factor_is_of_all_cases_and_of_both_sides() -> None:
    rows = [
        *scores("BrainStem", {1.0: 0.5, 2.0: 0.7, 4.0: 0.6}),
        *scores("Parotid_L", {1.0: 0.5, 2.0: 0.6, 4.0: 0.8}),
        *scores("Parotid_R", {1.0: 0.9, 2.0: 0.8, 4.0: 0.5}),  # means 0.7, 0.7 and 0.65
        *scores("OpticNerve_R", {0.5: 0.4, 1.0: 0.3}),
        *scores("Mandible", {1.0: 0.9, 2.0: 0.8}),
        *scores("Chiasm", {1.0: 0.1, 2.0: 0.8}, cases=4),
    ]
    rows += [("c9", "Parotid_L", f, d) for f, d in {1.0: 0.1, 2.0: 0.2, 4.0: 0.1}.items()]
    found = best_factors(pd.DataFrame(rows, columns=COLUMNS))
    assert list(found.items()) == [
        *(("BrainStem", 2.0), ("OpticNerve_L", 0.5), ("OpticNerve_R", 0.5)),
        *(("Parotid_L", 2.0), ("Parotid_R", 2.0)),
    ]


def test_exported_odds_are_divided_once(tmp_path: Path) -> None:
    settings = make_settings("phantom", "smoke")
    torch.manual_seed(3)
    model = OrganNet(settings.model).eval()
    names = ("whole", "plain", "calibrated")
    whole, plain, out = (tmp_path / f"{name}.safetensors" for name in names)
    save_weights(whole, model, settings)
    export_weights(whole, plain)
    export_weights(whole, out, {"BrainStem": 4.0, "Chiasm": 0.5})
    patch = torch.randn(1, 1, 8, 16, 16)
    with torch.inference_mode():
        before, after = (load_network(path).model(patch).softmax(1) for path in (plain, out))
    odds = (after / after[:, :1]) / (before / before[:, :1])
    for label, expected in enumerate([1, 1 / 4, 2, *[1] * 7]):
        assert torch.allclose(odds[:, label], torch.tensor(float(expected)), rtol=1e-3), label
    assert json.loads(load_tensors(out)[1][FACTORS_KEY]) == {"BrainStem": 4.0, "Chiasm": 0.5}
    with pytest.raises(OrganNetError, match="has been calibrated"):
        export_weights(out, tmp_path / "again.safetensors", {"BrainStem": 2.0})
    export_weights(out, tmp_path / "copy.safetensors")  # as it is


def test_calibrate_then_export_from_the_command_line(smoke_run: Run, tmp_path: Path) -> None:
    table, out = tmp_path / "factors.csv", tmp_path / "out.safetensors"
    data = ["--dataset", "phantom", "--data", str(smoke_run.dataset.root)]
    command = ["calibrate", "--weights", str(smoke_run.folder), *data, "--out", str(table)]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0 and "Mandible" in said.stdout
    names = smoke_run.dataset.splits["validation"]
    kept = read_factor_scores([table])
    drawn = sum(len(smoke_run.dataset.load(name).drawn) for name in names)
    assert set(kept["case"]) == set(names) and len(kept) == len(FACTORS) * drawn
    many = pd.concat([kept.assign(case=f"{n}") for n in range(5)])
    many["dsc"] = many["factor"].rsub(10)  # the least factor is best
    many.to_csv(table, index=False)
    command = ["export", str(smoke_run.folder), str(out), "--calibration", str(table)]
    said = CliRunner().invoke(app, command)
    assert "BrainStem: odds divided by 0.25" in said.stdout
    before, after = (load_network(path) for path in (smoke_run.folder, out))
    gain = after.model.row_16.bias - before.model.row_16.bias
    assert gain[0] == 0 and torch.allclose(gain[1], torch.tensor(np.log(4)).float())


@pytest.mark.parametrize("content", [None, "", "a,b\n1,2\n", "\x00\xff"])
def test_what_is_no_table_of_it_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "factors.csv"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    with pytest.raises(OrganNetError, match=r"factors.csv is no table of organnet calibrate"):
        read_factor_scores([path])
