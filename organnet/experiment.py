"""A run: one folder that ends with settings, weights, log, predictions and scores.

Each stage makes sure of the one before it and returns at once where its own work is done, so a
notebook can be opened alone and a stopped job goes on where it was.
"""

import contextlib
import dataclasses
import importlib.metadata
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from organnet import __version__
from organnet.datasets import DATASETS, Dataset, open_dataset
from organnet.errors import OrganNetError, choose, shortened
from organnet.evaluation import read_metrics
from organnet.files import atomic_path, make_folder, read_json, sha256, subfolders, write_json
from organnet.inference import Prediction, predict, write_prediction
from organnet.layout import (
    CHECKPOINT_NAME,
    SETTINGS_NAME,
    SPLITS_NAME,
    WEIGHTS_NAME,
    find_weights,
)
from organnet.phantom import SIZES, write_phantom
from organnet.prepared import PreparedCase, prepare_all
from organnet.scoring import (
    METRICS_NAME,
    PREDICTIONS,
    SCORED_NAME,
    SIDES_NAME,
    SUMMARY_NAME,
    has_scores,
    prediction_path,
    score_cases,
)
from organnet.settings import (
    PROFILES,
    Settings,
    as_read_today,
    differences,
    make_settings,
)
from organnet.training import LOG_NAME, START_NAME, train
from organnet.volume import read_volume
from organnet.weights import (
    fast_precision,
    load_network,
    pick_device,
    read_weights,
    shapes,
)

PHANTOM_CASES = {"smoke": 6, "demo": 36, "paper": 48}
"""By profile; the others train on the demo's."""
PHANTOM_SEED = 0
NOTEBOOKS = ("01_exploration", "02_training", "03_evaluation", "04_figures")
FIRST_NOTEBOOK = Path("notebooks", f"{NOTEBOOKS[0]}.ipynb")
RECORDED = ("torch", "numpy", "scipy", "pandas", "SimpleITK", "safetensors", "papermill")


@dataclass(frozen=True)
class Run:
    """One training with its settings, data and results in one folder."""

    folder: Path
    settings: Settings
    dataset: Dataset

    @property
    def log(self) -> pd.DataFrame:
        """log.csv as a table."""
        return pd.read_csv(self.folder / LOG_NAME)

    @property
    def metrics(self) -> pd.DataFrame:
        """metrics.csv as a table."""
        return read_metrics(self.folder / METRICS_NAME)

    @property
    def summary(self) -> dict:
        """summary.json."""
        return read_json(self.folder / SUMMARY_NAME)

    def prediction_path(self, case_name: str) -> Path:
        """Where the label map predicted for a case lies."""
        return prediction_path(self.folder, case_name)


def project_root() -> Path:
    """The repository a reader works in: the nearest folder upwards with the notebooks, or here."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / FIRST_NOTEBOOK).is_file()), here)


def open_run(
    dataset: str,
    profile: str,
    data: Path | str | None = None,
    out: Path | str | None = None,
    variant: str = "organnet",
    seed: int = 0,
    start: Path | None = None,
) -> Run:
    """Create a run, or come back to it.

    `data` defaults to data/DATASET in the repository (data/phantom-SIZE for the phantom), `out`
    to runs/DATASET-PROFILE. The phantom is painted into `data` where no phantom is there yet. The
    weights that `start` names are copied into the run, so that they need not be named again.

    Raises OrganNetError for an unknown name, faulty data, a folder that cannot be written, or a
    folder that holds a run of other settings or data.
    """
    choose("dataset", dataset, DATASETS)
    settings = make_settings(dataset, profile, variant, seed)
    folder = Path(out) if out else project_root() / "runs" / default_name(settings)
    if settings.training.precision == "auto":
        training = dataclasses.replace(settings.training, precision=_precision(folder))
        settings = dataclasses.replace(settings, training=training)
    if start is not None:
        _refuse_unfit(start, settings)
    settings = _started(settings, folder / START_NAME, start)
    make_folder(folder)
    try:
        cases = open_data(dataset, profile, data)
        content = describe_run(settings, cases)
    except OrganNetError:
        with contextlib.suppress(OSError):  # not empty: a run that was there before
            folder.rmdir()
        raise
    path = folder / SETTINGS_NAME
    if path.exists():
        _refuse_another_run(path, content)
    elif any((folder / name).exists() for name in (WEIGHTS_NAME, CHECKPOINT_NAME)):
        raise OrganNetError(f"{folder} holds weights but no settings.json: choose another --out")
    elif has_scores(folder):
        raise OrganNetError(f"{folder} holds scores of other weights: choose another --out")
    elif subfolders(folder):
        raise OrganNetError(f"{folder} holds other folders, and no run: choose another --out")
    else:
        if start is not None:
            with atomic_path(folder / START_NAME) as temporary:
                shutil.copyfile(find_weights(start), temporary)
        write_json(path, content)
    return Run(folder, settings, cases)


def _precision(folder: Path) -> str:
    """What a finished run was trained in, on whatever machine; for others the fastest here."""
    stored = folder / SETTINGS_NAME
    if (folder / WEIGHTS_NAME).exists() and stored.exists():
        trained = as_read_today(read_json(stored).get("settings", {}))
        with contextlib.suppress(KeyError, TypeError):  # refused as other settings, further on
            return trained["training"]["precision"]
    return fast_precision(pick_device())


def _refuse_unfit(start: Path, settings: Settings) -> None:
    """Raise OrganNetError where a training cannot start from these weights."""
    profile, variant = settings.profile, settings.variant
    own = {key: value.shape for key, value in read_weights(start)[0].items()}
    if own == shapes(settings.model):
        return
    others = {p: make_settings(settings.dataset, p, variant).model for p in PROFILES}
    fit = " or ".join(p for p, model in others.items() if shapes(model) == own)
    advice = (
        f"choose --profile {fit}" if fit else "leave --start out, or name weights of such a one"
    )
    raise OrganNetError(
        f"{start} does not fit the network of profile {profile}, variant {variant}: {advice}"
    )


def _started(settings: Settings, kept: Path, start: Path | None) -> Settings:
    """The settings with the hash of the weights to start from: those named, else those kept."""
    weights = find_weights(start) if start is not None else kept
    digest = sha256(weights) if weights.exists() else ""
    training = dataclasses.replace(settings.training, start=digest)
    return dataclasses.replace(settings, training=training)


def default_name(settings: Settings) -> str:
    """Name of a run's folder: data set and profile; variant and seed where they are not usual."""
    name = f"{settings.dataset}-{settings.profile}"
    if settings.variant != "organnet":
        name += f"-{settings.variant}"
    return name if settings.training.seed == 0 else f"{name}-seed{settings.training.seed}"


def open_data(dataset: str, profile: str, data: Path | str | None) -> Dataset:
    """Open a data set; paint the phantom first where it is asked for and not there yet.

    It is one phantom for every run: a run's seed varies the training, not the data.
    """
    choose("dataset", dataset, DATASETS)
    if dataset == "joint" and data is None:
        raise OrganNetError("joint is a list of cases: name it, --data data/lists/openkbp.json")
    size = profile if profile in PHANTOM_CASES else "demo"
    name = f"phantom-{size}" if dataset == "phantom" else dataset
    root = Path(data) if data else project_root() / "data" / name
    if dataset == "phantom" and not (root / SPLITS_NAME).is_file():
        write_phantom(root, PHANTOM_CASES[size], PHANTOM_SEED, SIZES[size])
    return open_dataset(dataset, root)


def describe_run(settings: Settings, dataset: Dataset) -> dict:
    """Content of settings.json: settings, versions, commit, and a hash of the data."""
    packages = {name: importlib.metadata.version(name) for name in RECORDED}
    return {
        "settings": settings.to_dict(),
        "versions": {"organnet": __version__, "python": platform.python_version(), **packages},
        "git_commit": _git_commit(),
        "data": {
            "root": str(dataset.root),
            "cases": {split: list(names) for split, names in dataset.splits.items()},
            "sha256": dataset.sha256(),
        },
    }


def prepared_cases(run: Run, splits: tuple[str, ...]) -> list[PreparedCase]:
    """The cases of these splits on the network's grid; made once, then read from the run."""
    names = [name for split in splits for name in run.dataset.splits[split]]
    spacing_mm = run.settings.patches.spacing_mm
    return prepare_all(names, run.dataset.load, spacing_mm, run.folder / "prepared")


def train_run(run: Run) -> None:
    """Train, or go on training, until the run has weights."""
    drop_what_is_of_other_weights(run)
    if (run.folder / WEIGHTS_NAME).exists():
        return
    training = [
        case
        for case in prepared_cases(run, run.settings.training.train_on)
        for _ in range(run.dataset.repeat.get(case.name, 1))
    ]
    train(run.folder, run.settings, training, prepared_cases(run, ("validation",)))
    drop_what_is_of_other_weights(run)


def drop_what_is_of_other_weights(run: Run) -> None:
    """Remove predictions, scores and notebooks of weights that a run no longer has.

    Whoever deletes its weights, or puts others in their place, is not to be shown the old scores.
    """
    weights, note = run.folder / WEIGHTS_NAME, run.folder / SCORED_NAME
    now = [sha256(weights)] if weights.exists() else []
    if note.exists() and read_json(note).get("weights") == now:
        return
    if note.exists() or not now:  # without a note they are an earlier version's
        for folder in (PREDICTIONS, "deep"):
            shutil.rmtree(run.folder / folder, ignore_errors=True)
        shown = [METRICS_NAME, SUMMARY_NAME, SIDES_NAME, SCORED_NAME]
        shown += [f"notebooks/{name}.ipynb" for name in NOTEBOOKS[1:]]  # the first shows data alone
        for name in shown:
            (run.folder / name).unlink(missing_ok=True)
    if now:
        write_json(note, {"weights": now})


def check_cases(run: Run) -> None:
    """Read every case before anything long begins; what is read for training is kept prepared.

    Raises OrganNetError where a case is faulty, or there are none to train on or to test.
    """
    _some_cases(run, "training")
    test = _some_cases(run, "test")
    if not (run.folder / WEIGHTS_NAME).exists():
        prepared_cases(run, ("training", "validation"))
        for name in tqdm(test, "reading", unit="case", disable=None):
            run.dataset.load(name)


def evaluate_run(run: Run) -> pd.DataFrame:
    """Segment and score every test case; leave predictions/, metrics.csv and summary.json.

    Raises OrganNetError where the data set has no test case, or no organ is drawn in any.
    """
    names = _some_cases(run, "test")
    train_run(run)
    if (run.folder / METRICS_NAME).exists() and (run.folder / SUMMARY_NAME).exists():
        return run.metrics
    return score_cases([load_network(run.folder)], run.dataset, names, run.folder)


def deep_prediction(run: Run, case_name: str) -> Prediction:
    """What `organnet inference --deep` says of a case; made once, then read from RUN/deep."""
    train_run(run)
    labels = run.folder / "deep" / f"{case_name}.nrrd"
    entropy = labels.with_name(f"{case_name}_entropy.nrrd")
    if not (labels.exists() and entropy.exists()):
        made = predict([load_network(run.folder)], run.dataset.load(case_name).ct, deep=True)
        write_prediction(made, labels.parent, case_name)
    return Prediction(read_volume(labels), read_volume(entropy))


def _some_cases(run: Run, split: str) -> tuple[str, ...]:
    names = run.dataset.splits[split]
    if not names:
        raise OrganNetError(f"{run.dataset.root} has no {split} cases: see data/README.md")
    return names


def _refuse_another_run(path: Path, content: dict) -> None:
    stored = read_json(path)
    settings = as_read_today(stored.get("settings", {}))
    if settings != content["settings"]:
        readable = isinstance(settings, dict)
        other = differences(settings if readable else {}, content["settings"])
        raise OrganNetError(
            f"{path} is of a run with other settings ({shortened(other)}): choose another --out"
        )
    if stored.get("data", {}).get("sha256") != content["data"]["sha256"]:
        raise OrganNetError(
            f"{path} is of a run on other data than {content['data']['root']}: choose another --out"
        )
    if stored["data"].get("cases") != content["data"]["cases"]:
        raise OrganNetError(
            f"{path} is of a run with other splits of {content['data']['root']}: "
            "choose another --out"
        )


def _git_commit() -> str | None:
    """Commit of the checkout this package lies in; None where it is installed without one."""
    checkout = str(Path(__file__).resolve().parent.parent)
    command = ["git", "-C", checkout, "rev-parse", "HEAD", "--show-prefix"]
    try:
        told = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    commit, *below = told.decode(errors="replace").splitlines()
    return None if any(below) else commit  # where it lies below, it is another project's
