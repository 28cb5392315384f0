"""A folder of phantom cases in PDDCA's own layout."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from organnet.datasets.case import SPLITS
from organnet.datasets.pddca import write_case
from organnet.errors import OrganNetError
from organnet.files import make_folder, read_json, write_json
from organnet.layout import IMAGE, SPLITS_NAME
from organnet.phantom.case import PhantomSize, make_case

PAINTER = 1
"""Version of the painter; raised whenever the same seed would give other voxels."""


def write_phantom(
    out: Path, cases: int, seed: int, size: PhantomSize, progress: bool = True
) -> None:
    """Write cases 0 to `cases` - 1, `splits.json` and `phantom.json` into the folder `out`.

    Each case is whole or absent; `splits.json` comes last. Called again it goes on where it was
    stopped, and returns at once when all is there. Training and validation cases may lack organs,
    as PDDCA's training cases do; test cases have all nine.

    Raises OrganNetError where `cases` < 1, `out` cannot be written to, or holds anything else than
    this very phantom.
    """
    if cases < 1:
        raise OrganNetError(f"{cases} phantom cases asked for {out}: ask for at least one")
    recipe = {"seed": seed, "cases": cases, "size": asdict(size), "painter": PAINTER}
    _claim(out, recipe)
    if (out / SPLITS_NAME).is_file():
        return
    splits = split_cases(cases)
    missing = [k for k in range(cases) if not (out / case_name(k)).is_dir()]
    test = set(splits["test"])

    def write(index: int) -> None:
        case = make_case(seed, index, size, complete=case_name(index) in test)
        try:
            write_case(out, case)
        except OrganNetError:
            if not (out / case.name / IMAGE).is_file():  # else another job has painted it too
                raise

    # Threads, since NumPy and zlib let go of the interpreter, and since they work in a notebook.
    quiet = None if progress else True  # None: quiet unless on a terminal
    # At most eight: a case of the paper's size takes 1 GB while it is painted.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        done = pool.map(write, missing)
        try:
            for _ in tqdm(done, "phantom", len(missing), unit="case", disable=quiet):
                pass
        except BaseException:  # Ctrl-C above all: finish the cases under way, start no other
            pool.shutdown(cancel_futures=True)
            raise
    write_json(out / SPLITS_NAME, {name: list(names) for name, names in splits.items()})


def split_cases(cases: int) -> dict[str, tuple[str, ...]]:
    """Names by split: two ninths to test, one ninth to validation, at least one each from 3 on."""
    names = [case_name(k) for k in range(cases)]
    test = max(1, round(cases * 2 / 9)) if cases >= 3 else 0
    validation = max(1, round(cases / 9)) if cases >= 3 else 0
    training = cases - validation - test
    parts = (names[:training], names[training : training + validation], names[-test or cases :])
    return {split: tuple(part) for split, part in zip(SPLITS, parts, strict=True)}


def case_name(index: int) -> str:
    """Folder name of the case of that index."""
    return f"phantom{index:04d}"


def _claim(out: Path, recipe: dict) -> None:
    """Note in `out` what it is going to hold; refuse a folder that holds anything else."""
    note = out / "phantom.json"
    if not note.is_file():
        there = [n for n in os.listdir(make_folder(out)) if n[0] != "." and n != "README.md"]
        if not there:
            write_json(note, recipe)
            return
        if note.name not in there:  # as another job has written it meanwhile
            raise OrganNetError(f"{out} holds other files: choose an empty folder for the phantom")
    if read_json(note) != recipe:
        raise OrganNetError(
            f"{note} is of another phantom (seed, size, number of cases or version): "
            "delete the folder or choose another"
        )
