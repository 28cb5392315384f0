"""Tables as Markdown, each section of docs/performance.md with its machine, commit and date."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.clock import REPOSITORY
from organnet.files import atomic_path

VERSIONS = ("torch", "numpy", "scipy", "pandas", "monai", "MedPy", "surface-distance")
HEAD = """# Performance

How long the work takes and how much memory, beside what people would use instead, on the same
work and with the results compared. `make bench` measures all of it,
`make bench WHAT="metrics start"` these tables alone, and leaves the others as they are;
`python -m benchmarks --help` says where it looks for data. Every section says on what machine, when
and at which commit.

Sides take turns (A B A B ...). A ratio is given as its median and, in brackets, its least and
largest over the turns; seconds are medians. *Limit* is what the machine could do at best, measured
in the same run.
"""


@dataclass(frozen=True)
class Table:
    """One table and what to know of it.

    Attributes:
        columns: the head's cells.
        rows: cells, as many in each row as there are columns.
        note: a paragraph before the table.
    """

    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]
    note: str = ""

    def markdown(self) -> str:
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        table = "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
        return f"{self.note}\n\n{table}" if self.note else table


def put_section(path: Path, title: str, text: str) -> None:
    """Write a section of the document; the section that had its title goes, others stay."""
    document = path.read_text(encoding="utf-8") if path.exists() else HEAD
    head, *sections = document.split("\n## ")
    kept = {section.split("\n", 1)[0]: section.split("\n", 1)[1].strip() for section in sections}
    kept[title] = text.strip()
    whole = [head.strip(), *(f"## {name}\n\n{body}" for name, body in kept.items())]
    with atomic_path(path) as temporary:
        temporary.write_text("\n\n".join(whole) + "\n", encoding="utf-8")


def machine() -> str:
    """One line: processor, cores, memory, commit, date, versions."""
    cores, threads = os.cpu_count(), torch.get_num_threads()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    versions = ", ".join(f"{name} {_version(name)}" for name in VERSIONS)
    return (
        f"*{_processor()}, {cores} cores, {threads} threads, {memory:.0f} GiB{gpu}; commit "
        f"{_commit()}; {datetime.date.today()}; Python {platform.python_version()}, {versions}.*"
    )


def gib(size: float) -> str:
    """Bytes as GiB."""
    return f"{size / 2**30:.2f} GiB"


def percent(share: float) -> str:
    """A share as per cent."""
    return f"{100 * share:.1f} %"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _commit() -> str:
    """The commit, with a plus where the code that is measured differs from it."""
    git = ["git", "-C", str(REPOSITORY)]
    done = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "organnet", "benchmarks"])
    return f"{done.stdout.strip()}{'+' * changed.returncode}" if done.stdout else "unknown"
