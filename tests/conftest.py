"""What many tests share: where the real data lie."""

import os
from pathlib import Path

import pytest
from batch_runs import scans, worker  # noqa: F401  fixtures of two files

from organnet.experiment import Run, open_run, train_run

# One thread: sums come in one order, and small tensors do not wait for a second core.
os.environ["OMP_NUM_THREADS"] = "1"

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data that is never committed; tests that need it are skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is absent: real data are not part of the repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A trained smoke run on the phantom, shared by the tests that need weights."""
    folder = tmp_path_factory.mktemp("smoke")
    run = open_run("phantom", "smoke", folder / "data", folder / "run")
    train_run(run)
    return run
