"""What many tests share: where the real data lie."""

import os
from pathlib import Path

import pytest

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
