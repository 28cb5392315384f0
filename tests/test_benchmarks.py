"""The benchmarks' clock, document and checks at toy size; nothing here depends on how long."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import clock, gpu, inference, limits, network, start
from benchmarks.brute_force import by_brute_force
from benchmarks.network import row
from benchmarks.report import Table, machine, put_section
from organnet.datasets import pddca
from organnet.experiment import Run
from organnet.metrics import dice, hd95, surface_dice, surface_distances
from organnet.model import OrganNet
from organnet.settings import ModelSettings, make_settings
from organnet.tensors import load_tensors
from organnet.volume import read_volume, write_volume
from organnet.weights import fast_precision, load_state, save_weights


def test_sides_take_turns():
    order = []
    sides = {name: clock.here(lambda name=name: order.append(name)) for name in "ab"}
    spent = clock.in_turn(sides, 3)
    assert order == list("ababab")
    assert [len(turns) for turns in spent.values()] == [3, 3]


def test_ratios_go_turn_by_turn():
    slow = [clock.Spent(s, 0, None) for s in (4.0, 9.0, 10.0)]
    fast = [clock.Spent(s, 0, None) for s in (2.0, 3.0, 2.0)]
    assert clock.ratios(slow, fast) == clock.Spread(2.0, 3.0, 5.0)
    assert str(clock.Spread(0.0123456, 999.4, 3034.0)) == "999 (0.0123 to 3,034)"
    assert str(clock.ratios(slow, fast)) == "3 (2 to 5)"
    assert clock.seconds(slow) == 9.0


def test_a_process_tells_its_own_memory_and_result():
    held = np.ones(50_000_000)  # 400 MB that are ours and must not be counted as the child's
    spent = clock.in_process("json", "loads", s="[2, 3]")()
    assert spent.result == [2, 3]
    assert 0 < spent.peak_bytes < held.nbytes


def test_only_calls_of_the_network_are_counted():
    network = torch.nn.Identity()
    with clock.network_time(network) as spent:
        network(torch.zeros(2, 1, 3))
        network(torch.zeros(1, 1, 3))
    network(torch.zeros(1, 1, 3))
    assert (spent.windows, spent.voxels) == (3, 9)
    assert 0 <= spent.seconds < 60


def test_a_section_replaces_the_one_of_its_name_and_leaves_the_others(tmp_path: Path):
    path = tmp_path / "performance.md"
    table = Table(("organ", "s"), [("Chiasm", 1.5), ("Mandible", 2)], "Seconds.")
    put_section(path, "Start", "old")
    put_section(path, "Metrics", "kept")
    put_section(path, "Start", f"{machine()}\n\n{table.markdown()}")
    text = path.read_text()
    assert text.startswith("# Performance\n") and text.endswith("kept\n")
    assert text.count("## Start") == text.count("## Metrics") == 1 and "old" not in text
    assert "Seconds.\n\n| organ | s |\n| --- | --- |\n| Chiasm | 1.5 |\n| Mandible | 2 |" in text


def test_operations_grow_with_the_square_of_the_width():
    small, large = (
        limits.operations(dataclasses.replace(ModelSettings(), width=w), (4, 8, 8)) for w in (4, 8)
    )
    assert 3.5 < large / small < 4


def test_the_row_of_a_toy_network_has_all_its_cells():
    cells = row("float32", 1, ModelSettings(width=4), (4, 8, 8), 32)
    assert len(cells) == 6 and cells[0] == "float32"


def test_brute_force_agrees():
    a = np.zeros((8, 8, 8), bool)
    a[2:6, 2:6, 2:6] = True
    b = np.roll(a, 1, axis=2)
    distances = surface_distances(a, b, (2.5, 1.0, 1.0))
    ours = dice(a, b), hd95(*distances), surface_dice(*distances)
    assert np.allclose(by_brute_force(a, b, (2.5, 1.0, 1.0)), ours)


def test_a_benchmark_that_fails_stops_no_other(tmp_path: Path, monkeypatch, capsys):
    def fail(options) -> None:
        raise RuntimeError("out of memory")

    table = Table(("precision",), [("float32",)], "A note.")
    monkeypatch.setattr(start, "run", fail)
    monkeypatch.setattr(network, "run", lambda options: [table])
    document = tmp_path / "performance.md"
    words = ["benchmarks", "start", "network", "--document", str(document)]
    monkeypatch.setattr(sys, "argv", words)
    assert command.main() == 1
    assert "out of memory" in capsys.readouterr().err
    assert "## The network's arithmetic" in document.read_text()
    assert "## Start" not in document.read_text()


@pytest.mark.parametrize("work", ["inference", "training"])
def test_every_mode_of_a_gpu_but_the_compiled_runs_on_a_toy(work, monkeypatch):
    """On the processor: what is timed is the work, whatever it runs on."""
    cpu = torch.device("cpu")
    # Where bfloat16 is made up (AVX-512 without it), gradients of 3D convolutions are not finite
    precisions = {"float32", fast_precision(cpu)}
    modes = {
        name: mode
        for name, mode in gpu.MODES.items()
        if not mode.compiled and (work == "inference" or mode.precision in precisions)
    }
    monkeypatch.setattr(gpu, "MODES", modes)
    settings = make_settings("joint", "smoke")
    patches = dataclasses.replace(settings.patches, size=(4, 8, 8))
    settings = dataclasses.replace(settings, patches=patches)
    rows = gpu.rows_of(work, settings, cpu, (1e12, 1e10), 1)
    assert [row[:2] for row in rows] == [(work, mode) for mode in modes]


def _monai_gaussian(window: tuple[int, int, int]) -> torch.Tensor:
    """As ours, but for a floor of 1e-3 under the product of the axes, not under each."""
    from monai.data.utils import compute_importance_map  # benchmarks only; see importorskip

    return compute_importance_map(window, mode="gaussian", sigma_scale=1 / 8)


@pytest.mark.parametrize(("box", "mirror"), [(True, False), (True, True), (False, False)])
def test_monai_draws_what_we_draw(box, mirror, smoke_run: Run, tmp_path: Path, monkeypatch):
    reason = "MONAI comes with the extra bench; CI installs it"
    theirs = pytest.importorskip("benchmarks.monai_windows", reason=reason).theirs
    name = smoke_run.dataset.splits["test"][0]
    image, out = tmp_path / "ct.nrrd", [tmp_path / "ours.nrrd", tmp_path / "theirs.nrrd"]
    write_volume(pddca.read_case(smoke_run.dataset.folders[name]).ct, image)
    weights = tmp_path / "weights.safetensors"
    model, settings = OrganNet(smoke_run.settings.model), smoke_run.settings
    load_state(model, load_tensors(smoke_run.folder / weights.name)[0], weights)
    if box:  # two windows on every axis, which both of us put at its ends; MONAI's weights in both
        patches = dataclasses.replace(settings.patches, size=(36, 32, 32))
        settings = dataclasses.replace(settings, patches=patches)
        monkeypatch.setattr("organnet.windows.STRETCH", 0)
        monkeypatch.setattr("organnet.windows.gaussian", _monai_gaussian)
    how = dataclasses.replace(settings.inference, mirror=mirror)
    save_weights(weights, model, dataclasses.replace(settings, inference=how))
    ours = inference.ours(str(image), str(weights), "own", str(out[0]))
    peer = theirs(str(image), str(weights), "own", box, str(out[1]))
    assert ours["windows"] > 0 and peer["windows"] > 0
    ours_found, theirs_found = (read_volume(path).array for path in out)
    same = ours_found == theirs_found
    organs = (ours_found > 0) | (theirs_found > 0)
    assert same.mean() > 0.99 and len(np.unique(ours_found)) > 2
    if box:
        assert ours["windows"] == peer["windows"] == (16 if mirror else 8)
    # over the whole volume the windows lie elsewhere, and sixty steps' training is unsure
    assert same[organs].mean() > (0.99 if box else 0.5), same[organs].mean()
