"""`make reproduce` from a clean clone. Runs only where it is named: it takes many minutes."""

import subprocess
import tempfile
from pathlib import Path

from benchmarks.clock import REPOSITORY, here
from benchmarks.options import Options
from benchmarks.report import Table

TITLE = "make reproduce"
MINUTES = 15


def run(options: Options) -> list[Table]:
    """Once: clone, virtual environment, data, training, scores and figures."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "organnet"
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, clone], check=True)
        spent = [
            here(lambda target=target: subprocess.run(["make", target], cwd=clone, check=True))()
            for target in ("venv", "reproduce")
        ]
    setup, work = (turn.seconds / 60 for turn in spent)
    row = (f"{setup:.1f} min", f"{work:.1f} min", f"{setup + work:.1f} min", f"{MINUTES} min")
    return [Table(("set-up", "experiment", "together", "must reach"), [row])]
