"""The command line as a user meets it: a process, its exit code, and one line on stderr."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from conftest import REPOSITORY
from safetensors.numpy import load_file, save_file

from organnet import cli
from organnet.ablation import ablation_table
from organnet.datasets import DATASETS
from organnet.dicom.names import TG263
from organnet.errors import OrganNetError
from organnet.experiment import Run
from organnet.files import read_json, write_json
from organnet.organs import ORGANS
from organnet.settings import VARIANTS
from organnet.volume import Volume, read_volume, same_grid, write_volume

COMMANDS = {
    *("reproduce", "training", "inference", "score"),
    *("evaluate", "agreement", "export", "match", "convert", "phantom"),
}


def organnet(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line as its own process."""
    command = [sys.executable, "-m", "organnet.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of stderr of a command that refused its input."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture
def case(smoke_run: Run, tmp_path: Path) -> Path:
    """A copy of one case, to be broken."""
    name = smoke_run.dataset.splits["test"][0]
    return Path(shutil.copytree(smoke_run.dataset.folders[name], tmp_path / "cases" / name))


def test_help_names_every_command_and_needs_no_torch() -> None:
    names = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    assert names == COMMANDS
    result = organnet("--help")
    assert result.returncode == 0
    for command in COMMANDS:
        assert command in result.stdout
    imported = "import sys, organnet.cli; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", imported], text=True) == "False\n"


def test_help_names_every_data_set() -> None:
    named = f"{', '.join(DATASETS[:-1])} or {DATASETS[-1]}"
    for command in ("training", "score"):
        shown = re.sub(r"[^\w,]+", " ", organnet(command, "--help").stdout)
        assert named in shown


def test_help_of_inference_says_what_is_taken_and_what_stays() -> None:
    """In words: what stands in brackets may be taken for markup and left out."""
    shown = " ".join(re.sub(r"[^\w.,;'-]", " ", organnet("inference", "--help").stdout).split())
    for said in ("without any it is nrrd", "openkbp", "date and the UIDs stay"):
        assert said in shown


def test_the_labels_in_the_documentation_are_the_organs() -> None:
    text = (REPOSITORY / "docs" / "batch.md").read_text(encoding="utf-8")
    row = r"^\| (\d+) \| `(\w+)` \| `(\w+)` \| `(#\w+)` \|$"
    rows = re.findall(row, text, re.MULTILINE)
    assert rows == [(str(o.label), o.name, TG263[o.name], o.colour) for o in ORGANS]


def test_inference_then_evaluate(smoke_run: Run, case: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = organnet("inference", "--deep", "--weights", smoke_run.folder, "--out", out, case)
    assert result.returncode == 0, result.stderr
    labels = read_volume(out / f"{case.name}.nrrd")
    assert same_grid(labels, read_volume(case / "img.nrrd"))
    assert labels.array.max() <= 9
    entropy = read_volume(out / f"{case.name}_entropy.nrrd")
    assert same_grid(entropy, labels)
    assert {path.name for path in out.iterdir()} == {
        *(f"{case.name}.nrrd", f"{case.name}_entropy.nrrd"),
        *("manifest.csv", "records", "report.html"),
    }
    table = tmp_path / "metrics.csv"
    result = organnet("evaluate", out, case.parent, "--out", table)
    assert result.returncode == 0, result.stderr
    assert len(pd.read_csv(table)) == 9
    assert result.stderr.startswith(f"prediction {out}, reference {case.parent}\n")
    assert "HD95" in result.stdout
    assert result.stdout.splitlines()[-1] == f"case by case: {table}"


def test_inference_on_the_real_case_lies_on_its_grid(
    smoke_run: Run, shared_data: Path, tmp_path: Path
) -> None:
    real = shared_data / "pddca" / "0522c0014"
    result = organnet("inference", "--weights", smoke_run.folder, "--out", tmp_path, real)
    assert result.returncode == 0, result.stderr
    labels = read_volume(tmp_path / "0522c0014.nrrd")
    assert labels.shape == (159, 512, 512)
    assert same_grid(labels, read_volume(real / "img.nrrd"))


def test_one_bad_case_does_not_stop_the_others(smoke_run: Run, case: Path, tmp_path: Path) -> None:
    bad = case.parent / "bad"
    bad.mkdir()
    (bad / "img.nrrd").write_bytes(b"NRRD0004\nnonsense")
    out = tmp_path / "out"
    result = organnet("inference", "--weights", smoke_run.folder, "--out", out, case.parent)
    assert result.returncode == 1
    assert "bad failed" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in out.glob("*.nrrd")] == [f"{case.name}.nrrd"]
    assert ",failed," in (out / "manifest.csv").read_text()


def test_inputs_below_the_outputs_are_refused(smoke_run: Run, case: Path) -> None:
    result = organnet("inference", "--weights", smoke_run.folder, "--out", case.parent, case)
    assert "all that was given lies below" in complaint(result)


def no_image(case: Path) -> None:
    (case / "img.nrrd").unlink()


def truncated(case: Path) -> None:
    path = case / "img.nrrd"
    path.write_bytes(path.read_bytes()[:-2000])


def flat(case: Path) -> None:
    sitk.WriteImage(sitk.Image(20, 20, sitk.sitkInt16), case / "img.nrrd")


def not_a_number(case: Path) -> None:
    ct = read_volume(case / "img.nrrd")
    array = ct.array.astype(np.float32)
    array[3, 3, 3] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(array), case / "img.nrrd")


def rescaled(case: Path) -> None:
    ct = read_volume(case / "img.nrrd")
    write_volume(ct.with_array((ct.array / 4096).astype(np.float32)), case / "img.nrrd")


@pytest.mark.parametrize("breaking", [no_image, truncated, flat, not_a_number, rescaled])
def test_bad_images_are_refused_in_one_line(breaking, smoke_run: Run, case: Path, tmp_path: Path):
    breaking(case)
    out = tmp_path / "out"
    result = organnet("inference", "--weights", smoke_run.folder, "--out", out, case)
    assert str(case) in complaint(result)
    assert not out.exists() or not list(out.iterdir())


def label_elsewhere(data: Path) -> None:
    path = next(data.glob("*/structures/Mandible.nrrd"))
    write_volume(Volume(np.ones((4, 5, 6), np.uint8), (1.0, 1.0, 1.0)), path)


def image_missing(data: Path) -> None:
    no_image(sorted(p for p in data.iterdir() if p.is_dir())[0])


@pytest.mark.parametrize("breaking", [label_elsewhere, image_missing])
def test_bad_data_is_refused_before_anything_is_trained(
    breaking, smoke_run: Run, tmp_path: Path
) -> None:
    data = shutil.copytree(smoke_run.dataset.root, tmp_path / "data")
    breaking(data)
    out = tmp_path / "run"
    words = ("--dataset", "pddca", "--data", data, "--profile", "smoke", "--out", out)
    line = complaint(organnet("training", *words))
    assert str(data) in line
    assert not (out / "weights.safetensors").exists()


def test_folders_that_are_missing_or_empty(tmp_path: Path) -> None:
    for data in (tmp_path / "absent", tmp_path):
        for name in ("pddca", "openkbp"):
            out = tmp_path.parent / "never"
            words = ("--dataset", name, "--data", data, "--profile", "smoke", "--out", out)
            assert str(data) in complaint(organnet("reproduce", *words))
            assert not out.exists()


def test_unknown_names_are_answered_with_the_valid_ones(tmp_path: Path) -> None:
    for words, expected in (
        (("training", "--variant", "resnet"), tuple(VARIANTS)),
        (("training", "--profile", "huge"), ("smoke", "demo", "paper")),
        (("reproduce", "--dataset", "brats"), ("phantom", "pddca", "openkbp")),
    ):
        line = complaint(organnet(*words, "--out", tmp_path / "run"))
        assert all(name in line for name in expected)
    assert not (tmp_path / "run").exists()


def test_an_unknown_option_is_misuse() -> None:
    result = organnet("reproduce", "--epochs", "3")
    assert result.returncode == 2
    assert "--epochs" in result.stderr


def test_weights_of_another_width_are_refused(smoke_run: Run, case: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    path = smoke_run.folder / "weights.safetensors"
    with safe_open(path, "np") as file:
        about = file.metadata()["settings"].replace('"width": 4', '"width": 8')
    other = tmp_path / "wide.safetensors"
    save_file(load_file(path), other, {"settings": about})
    line = complaint(organnet("inference", "--weights", other, "--out", tmp_path / "out", case))
    assert "wide.safetensors" in line
    assert "another width" in line


def test_a_run_folder_that_cannot_be_written(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    line = complaint(organnet("training", "--profile", "smoke", "--out", occupied))
    assert str(occupied) in line


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o007, 0o660)])
def test_what_is_written_is_as_open_as_the_users_umask_lets_it(
    mask: int, mode: int, tmp_path: Path
) -> None:

    before = os.umask(mask)
    try:
        write_json(tmp_path / "a.json", {})
        assert os.umask(mask) == mask  # and the umask is as it was
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == mode


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, a full disk, is Linux's")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    """Writing fails half-way as on a full disk: the old file stays, no temporary is left."""
    from organnet.files import atomic_path

    path = tmp_path / "log.csv"
    path.write_text("old")
    with (
        pytest.raises(OrganNetError, match=r"log\.csv.*No space left"),
        atomic_path(path),
        open("/dev/full", "w") as full,
    ):
        full.write("x" * 100_000)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["log.csv"]


def test_weights_on_a_full_disk_are_one_line_and_leave_nothing(smoke_run: Run, tmp_path: Path):
    """The largest file a process may write stands for the disk: 20 kB, less than the weights."""
    limited = """
import resource, signal, sys
from organnet.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
main()
"""
    out = tmp_path / "run"
    words = ("training", "--profile", "smoke", "--data", smoke_run.dataset.root, "--out", out)
    result = subprocess.run(
        [sys.executable, "-c", limited, *map(str, words)], capture_output=True, text=True
    )
    assert "cannot write" in complaint(result)
    assert {path.name for path in out.rglob("*") if path.is_file()} == {"settings.json"}


def test_all_and_one_variant_contradict(tmp_path: Path) -> None:
    line = complaint(organnet("training", "--all", "--variant", "unet", "--out", tmp_path / "run"))
    assert "leave --variant, --start and --seed out" in line


def test_weights_without_settings_are_not_reused(smoke_run: Run, tmp_path: Path) -> None:
    shutil.copy(smoke_run.folder / "weights.safetensors", tmp_path)
    words = ("training", "--profile", "smoke", "--data", smoke_run.dataset.root)
    assert "no settings.json" in complaint(organnet(*words, "--out", tmp_path))


def test_a_run_of_other_settings_is_not_overwritten(smoke_run: Run) -> None:
    before = read_json(smoke_run.folder / "settings.json")
    line = complaint(
        organnet(
            *("training", "--profile", "smoke", "--variant", "no-hdc"),
            *("--data", smoke_run.dataset.root, "--out", smoke_run.folder),
        )
    )
    assert "other settings (variant organnet for no-hdc, model.hdc_rates [1, 2, 5] for" in line
    assert read_json(smoke_run.folder / "settings.json") == before


def test_training_all_trains_and_scores_every_variant(smoke_run: Run, tmp_path: Path) -> None:
    words = ("training", "--all", "--profile", "smoke", "--data", smoke_run.dataset.root)
    result = organnet(*words, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    for name in VARIANTS:
        settings = read_json(tmp_path / f"{name}-seed0" / "settings.json")["settings"]
        assert settings["variant"] == name
    table = ablation_table(tmp_path)
    assert list(table.index) == list(VARIANTS)
    assert table["dsc"].between(0, 1).all()
    again = organnet(*words, "--out", tmp_path)
    assert again.returncode == 0, again.stderr
    assert ablation_table(tmp_path).equals(table)


def test_phantom_writes_cases(tmp_path: Path) -> None:
    words = ("phantom", "--cases", 3, "--seed", 5, "--size", "smoke", "--out", tmp_path / "data")
    assert organnet(*words).returncode == 0
    assert len(list((tmp_path / "data").glob("*/img.nrrd"))) == 3
