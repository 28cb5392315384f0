"""How long a user waits for `import organnet` and `organnet --help`."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.clock import REPOSITORY, Side, Spent, here, in_turn, spread
from benchmarks.options import Options
from benchmarks.report import Table

TITLE = "Start"
COMMANDS = {
    "`import organnet`": (["-c", "import organnet"], 0.3),
    "`organnet --help`": (["-m", "organnet.cli", "--help"], 0.6),
}
LOADED = "import contextlib, io, sys; from organnet.cli import app\nwith contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): app(['--help'])\nprint(*[getattr(m, '__cached__', None) or getattr(m, '__file__', None) for m in list(sys.modules.values())], sep='\\n')"  # noqa: E501


def run(options: Options) -> list[Table]:
    """Fresh processes; their files in memory, and read from disk again."""
    files = loaded_files()
    rows = []
    for name, (arguments, wanted) in COMMANDS.items():
        sides = {
            "in memory": python(arguments),
            "from disk": python(arguments, lambda: forget(files)),
            "nothing": python(["-c", "pass"]),
        }
        spent = in_turn(sides, options.repeats)
        cells = [_seconds(turns) for turns in spent.values()]
        rows.append((name, *cells[:2], wanted, cells[2]))
    note = (
        "A fresh process each time. *From disk*: the system was asked to drop the program's own "
        "files from memory first; what other programs hold stays. *Limit*: Python that does "
        "nothing."
    )
    columns = ("command", "s, files in memory", "s, from disk", "must reach, s", "limit, s")
    return [Table(columns, rows, note)]


def python(arguments: list[str], before: Callable[[], None] = lambda: None) -> Side:
    """A side that runs the interpreter; `before` is not timed."""

    def command() -> None:
        subprocess.run(
            [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, check=True
        )

    def side() -> Spent:
        before()
        return here(command)()

    return side


def loaded_files() -> list[Path]:
    """The files of all modules that `organnet --help` loads."""
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines() if Path(line).is_file()]


def forget(files: list[Path]) -> None:
    """Ask the system to drop these files from its memory, where it has such a call."""
    if hasattr(os, "posix_fadvise"):
        for path in files:
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def _seconds(turns: list[Spent]) -> str:
    return str(spread([turn.seconds for turn in turns]))
