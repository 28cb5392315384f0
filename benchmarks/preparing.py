"""Preparing cases, the first time and again: against pandas and MONAI's PersistentDataset."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from monai.data import PersistentDataset
from monai.transforms import Transform

from benchmarks.clock import here, in_turn, ratios, seconds
from benchmarks.limits import reading
from benchmarks.options import Options, there
from benchmarks.report import Table
from organnet.datasets import Case, openkbp, pddca
from organnet.layout import IMAGE
from organnet.prepared import PreparedCase, prepare, prepare_all
from organnet.settings import make_settings

TITLE = "Preparing the data"
PATIENTS = 4
PANDAS, PERSISTENT = "pandas", "MONAI PersistentDataset"
TIMES_FASTER = {PANDAS: 5, PERSISTENT: 1}


def run(options: Options) -> list[Table]:
    """OpenKBP's CSV and PDDCA's NRRD."""
    root = there(options.openkbp / openkbp.TRAINING_FOLDER)
    folders = [there(root / f"pt_{n}") for n in range(1, PATIENTS + 1)]
    case = [there(options.case / IMAGE).parent]
    kbp_mm = make_settings("openkbp", "paper").patches.spacing_mm
    pddca_mm = make_settings("pddca", "paper").patches.spacing_mm
    rows = [
        *against_pandas(folders, options.repeats),
        *against_monai(
            f"OpenKBP, {PATIENTS} patients", folders, openkbp.read_case, kbp_mm, options
        ),
        *against_monai(f"PDDCA, {options.case.name}", case, pddca.read_case, pddca_mm, options),
    ]
    note = (
        "Files are in memory. Against pandas: CT and organs of OpenKBP's patients as arrays (CTs "
        "compared where we say there is one), "
        "pandas used as OpenKBP's own code uses it; the second time we read what was kept, and "
        "pandas reads the CSV again. Against PersistentDataset: the same cropping and resizing on "
        "both sides, so that what is compared is how each keeps and finds its work; its "
        "arrays are equal. *Limit*: reading the bytes of the files, or of what was kept, and "
        "doing nothing with them."
    )
    columns = ("data", "when", "against", "ours", "theirs", "times faster", "must reach", "limit")
    return [Table(columns, rows, note)]


def against_pandas(folders: list[Path], repeats: int) -> list[tuple]:
    """Reading the CSV; and, once prepared, reading what was kept against the CSV again."""
    data = f"OpenKBP, {len(folders)} patients"
    reading(files_read(folders))  # puts them into memory
    theirs = here(lambda: [read_by_pandas(folder) for folder in folders])
    ours = here(lambda: [openkbp.read_case(folder) for folder in folders])
    first = in_turn({"ours": ours, "theirs": theirs}, repeats)
    for case, (ct, _) in zip(first["ours"][0].result, first["theirs"][0].result, strict=True):
        check_ct(case, ct)
    limit, _ = reading(files_read(folders))
    rows = [_row(data, "first, read", PANDAS, first, limit)]
    with tempfile.TemporaryDirectory() as kept:
        spacing_mm = make_settings("openkbp", "paper").patches.spacing_mm
        prepared = preparer(folders, openkbp.read_case, spacing_mm, Path(kept))
        prepared()
        second = in_turn({"ours": here(prepared), "theirs": theirs}, repeats)
        limit, _ = reading(Path(kept).glob("*"))
    return [*rows, _row(data, "second, ready to train", PANDAS, second, limit)]


def against_monai(
    data: str,
    folders: list[Path],
    read: Callable[[Path], Case],
    spacing_mm: tuple,
    options: Options,
) -> list[tuple]:
    """The first time into empty folders, a new pair each turn; the second time from the last."""
    options.scratch.mkdir(parents=True, exist_ok=True)
    files = files_read(folders)
    reading(files)  # puts them into memory
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        kept = {
            side: [Path(scratch, f"{side}{n}") for n in range(options.repeats)] for side in "ab"
        }
        fresh = {side: iter(places) for side, places in kept.items()}
        first = in_turn(
            {
                "ours": here(lambda: preparer(folders, read, spacing_mm, next(fresh["a"]))()),
                "theirs": here(lambda: persistent(folders, read, spacing_mm, next(fresh["b"]))),
            },
            options.repeats,
        )
        second = in_turn(
            {
                "ours": here(preparer(folders, read, spacing_mm, kept["a"][-1])),
                "theirs": here(lambda: persistent(folders, read, spacing_mm, kept["b"][-1])),
            },
            options.repeats,
        )
        for a, b in zip(second["ours"][0].result, second["theirs"][0].result, strict=True):
            np.testing.assert_array_equal(a.ct, b["ct"].numpy())
            np.testing.assert_array_equal(a.labels, b["labels"].numpy())
        again, _ = reading(kept["a"][-1].glob("*"))
    limit, _ = reading(files)
    return [
        _row(data, "first, prepared and kept", PERSISTENT, first, limit),
        _row(data, "second, ready to train", PERSISTENT, second, again),
    ]


def preparer(
    folders: list[Path], read: Callable[[Path], Case], spacing_mm: tuple, kept: Path
) -> Callable:
    """Work that prepares the cases, or finds them prepared in `kept`."""
    by_name = {folder.name: folder for folder in folders}

    def work() -> list[PreparedCase]:
        cases = prepare_all(by_name, lambda name: read(by_name[name]), spacing_mm, kept)
        for case in cases:  # a file that is only mapped into memory has not been read yet
            case.ct.sum(), case.labels.sum()
        return cases

    return work


class Prepared(Transform):
    """What PersistentDataset keeps the outcome of; a plain function it would call every time."""

    def __init__(self, read: Callable[[Path], Case], spacing_mm: tuple) -> None:
        self.read, self.spacing_mm = read, spacing_mm
        self.calls = 0

    def __call__(self, item: dict[str, str]) -> dict[str, torch.Tensor]:
        """CT, labels and drawn classes of a case."""
        self.calls += 1
        case = prepare(self.read(Path(item["folder"])), self.spacing_mm)
        return {name: torch.from_numpy(getattr(case, name)) for name in ("ct", "labels", "drawn")}


def persistent(
    folders: list[Path], read: Callable[[Path], Case], spacing_mm: tuple, kept: Path
) -> list[dict[str, torch.Tensor]]:
    """The same by a PersistentDataset: every case prepared the first time, none the second."""
    known = any(kept.glob("*.pt"))
    prepared = Prepared(read, spacing_mm)
    items = [{"folder": str(folder)} for folder in folders]
    cases = list(PersistentDataset(items, prepared, cache_dir=kept))
    assert prepared.calls == (0 if known else len(folders))
    for case in cases:
        case["ct"].sum(), case["labels"].sum()
    return cases


def read_by_pandas(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """CT as stored and the four organs, on OpenKBP's grid and in its order of axes."""
    side = openkbp.SIDE

    def table(name: str) -> pd.DataFrame:
        return pd.read_csv(folder / f"{name}.csv", index_col=0)

    ct = np.zeros(side**3)
    read = table("ct")
    np.put(ct, read.index, read.iloc[:, 0])
    organs = {}
    for name, file in openkbp.STRUCTURES.items():
        if (folder / f"{file}.csv").exists():
            mask = np.zeros(side**3, bool)
            np.put(mask, table(file).index, True)
            organs[name] = mask.reshape(side, side, side)
    return ct.reshape(side, side, side), organs


def files_read(folders: list[Path]) -> list[Path]:
    """The files of OpenKBP's patients, or of PDDCA's cases, that either side reads."""
    names = ("ct", "voxel_dimensions", *openkbp.STRUCTURES.values())
    tables = [folder / f"{name}.csv" for folder in folders for name in names]
    images = [path for folder in folders for path in folder.rglob("*.nrrd")]
    return [path for path in (*tables, *images) if path.exists()]


def check_ct(case: Case, stored: np.ndarray) -> None:
    """Raise AssertionError unless our CT is what pandas read wherever we say there is CT."""
    turned = stored.transpose(2, 0, 1)[::-1]
    ours = case.ct.array
    there_is_ct = ours > openkbp.NO_DATA_HU
    expected = np.minimum(np.rint(turned), openkbp.LARGEST_STORED) - openkbp.HU_OFFSET
    np.testing.assert_array_equal(ours[there_is_ct], expected[there_is_ct])


def _row(data: str, when: str, peer: str, spent: dict, limit: float) -> tuple:
    ours, theirs = seconds(spent["ours"]), seconds(spent["theirs"])
    faster = ratios(spent["theirs"], spent["ours"])
    wanted = TIMES_FASTER[peer]
    return data, when, peer, f"{ours:.3g} s", f"{theirs:.3g} s", faster, wanted, f"{limit:.3g} s"
