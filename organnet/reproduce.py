"""The main job: the four notebooks in order, headless, in one run's folder."""

import logging
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from organnet.errors import OrganNetError, RunError
from organnet.evaluation import table_text
from organnet.experiment import (
    FIRST_NOTEBOOK,
    NOTEBOOKS,
    Run,
    check_cases,
    drop_what_is_of_other_weights,
    open_run,
    project_root,
)
from organnet.files import make_folder

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def reproduce(
    dataset: str, data: Path | None, profile: str, out: Path | None, seed: int = 0
) -> Run:
    """Run 01 to 04 through papermill; one that ran to its end before, as it is, is not run again.

    Raises OrganNetError for faulty input before any notebook starts, and RunError with the notebook
    and cell where one fails or is stopped; the same command then goes on from there.
    """
    run = open_run(dataset, profile, data, out, seed=seed)
    check_cases(run)
    drop_what_is_of_other_weights(run)
    parameters = {
        "dataset": dataset,
        "data": str(run.dataset.root.resolve()),
        "profile": profile,
        "out": str(run.folder.resolve()),
        "seed": seed,
    }
    sources = [notebook_folder() / f"{name}.ipynb" for name in NOTEBOOKS]
    for source in sources:
        refuse_unknown_parameters(source, parameters)
    for number, source in enumerate(sources, start=1):
        target = run.folder / "notebooks" / source.name
        reason = why_run(source, target)
        if reason is None:
            print(f"[{number}/4] {source.stem} is done: {target}", flush=True)
            continue
        print(f"[{number}/4] {source.stem}{reason and f', again: {reason}'}", flush=True)
        execute(source, target, parameters)
    return run


def report(run: Run) -> str:
    """The table of nine organs and the paths of the figures, to end a terminal session with."""
    figures = sorted((run.folder / "figures").glob("*.png"))
    table = table_text(run.summary, paper=run.dataset.name == "pddca")
    return "\n".join([table, "", "Figures:", *(f"  {path}" for path in figures)])


def notebook_folder() -> Path:
    """Where the four notebooks lie: the repository of the caller, else the one of this package."""
    for root in (project_root(), Path(__file__).parent.parent):
        if (root / FIRST_NOTEBOOK).is_file():
            return root / FIRST_NOTEBOOK.parent
    raise OrganNetError(f"no {FIRST_NOTEBOOK} here: run this from a clone of the project")


def why_run(source: Path, target: Path) -> str | None:
    """Why a notebook is to be run: "" the first time, None where it ran to its end as it is."""
    if not target.exists():
        return ""
    made = _cells(target)
    if made is None:
        return f"{target} is no whole notebook"
    if made != _cells(source):
        return "its cells have changed; what is trained stays"
    return None


def _cells(notebook: Path) -> list[str] | None:
    """Its cells but for the one that papermill puts in; None where it is no whole notebook."""
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (OSError, ValueError, AttributeError, nbformat.ValidationError):
        return None
    injected = "injected-parameters"
    return [cell.source for cell in cells if injected not in cell.metadata.get("tags", [])]


def refuse_unknown_parameters(notebook: Path, parameters: dict[str, Any]) -> None:
    """Raise OrganNetError for a parameter that the notebook lacks; papermill would only warn."""
    known = papermill.inspect_notebook(notebook)
    unknown = sorted(parameters.keys() - known.keys())
    if unknown:
        raise OrganNetError(
            f"{notebook} has no parameter {', '.join(unknown)}: it has {', '.join(sorted(known))}"
        )


def execute(source: Path, target: Path, parameters: dict[str, Any]) -> None:
    """Execute one notebook; `target` appears only when it ran to its end."""
    make_folder(target.parent)
    unfinished = target.with_name(f"{target.stem}.unfinished.ipynb")
    try:
        papermill.execute_notebook(
            source,
            unfinished,
            parameters,
            kernel_name="python3",
            progress_bar=False,
            stdout_file=sys.stdout,
            # of loopback it warns, and of a stop it logs a traceback; errors come by papermill
            extra_arguments=["--log-level=50"],
        )
        unfinished.replace(target)
    except PapermillExecutionError as error:
        raise _as_one_line(error, source.stem, unfinished) from error
    except KeyboardInterrupt as error:
        # The kernel may be gone as well, of which asyncio would print a traceback as it ends
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise RunError(
            f"stopped in {source.stem}, nothing is lost: run the same command to go on"
        ) from error
    except DeadKernelError as error:
        raise RunError(
            f"the kernel of {source.stem} died, perhaps for want of memory: run the same command "
            "to go on"
        ) from error
    except OSError as error:
        raise OrganNetError(f"cannot write {target} ({error.strerror}): free some space") from error


def _as_one_line(error: PapermillExecutionError, name: str, seen: Path) -> OrganNetError:
    message = _ANSI.sub("", str(error.evalue)).strip().splitlines()
    if error.ename in ("OrganNetError", "RunError"):
        kind = RunError if error.ename == "RunError" else OrganNetError
        return kind(message[0])
    last = message[-1] if message else "no message"
    return RunError(f"{name} failed in cell {error.cell_index} ({error.ename}: {last}): see {seen}")
