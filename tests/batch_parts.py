"""A batch without a network: what stands for it in the worker, and tiny inputs, some broken."""

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from organnet.batch.books import UNFINISHED
from organnet.batch.inputs import Input
from organnet.batch.record import How, picture_name
from organnet.batch.report import REPORT
from organnet.batch.worker import Answer, Segment
from organnet.errors import OrganNetError

HOW = How(("0" * 64,), ("nrrd",), False)
RUN = """
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import batch_parts
from organnet.batch.finding import find_inputs
from organnet.batch.run import run_batch
from organnet.batch.worker import Worker
load, formats, scans, out = sys.argv[2:]
how = replace(batch_parts.HOW, formats=tuple(formats.split(",")))
run_batch(find_inputs([Path(scans)]).inputs, Worker(getattr(batch_parts, load)), Path(out), how)
"""


def load_stand_in() -> Segment:
    """Writes the input's own values as its label map. Imports no torch, so it starts at once."""
    return stand_in


def stand_in(given: Input, folder: Path) -> Answer:
    from organnet.volume import write_volume

    ct = given.read().ct
    labels = ct.with_array((ct.array > 0).astype(np.uint8))
    write_volume(labels, folder / f"{given.name}.nrrd")
    told = ("tilted", "uneven") if "odd" in given.name else ()
    picture = folder / picture_name(given.name)
    picture.parent.mkdir(exist_ok=True)
    picture.write_bytes(tiny_png())
    return Answer(
        outputs=(f"{given.name}.nrrd",),
        notes=told,
        warnings=("a warning & a <tag>", *told),
        volumes_ml={"BrainStem": float(labels.array.sum()) * labels.voxel_ml},
    )


def load_writing(*formats: str) -> Segment:
    """As the stand-in, in these formats, by their own writers."""
    return partial(writing, formats)


def writing(formats: tuple[str, ...], given: Input, folder: Path) -> Answer:
    from organnet.batch.formats import FORMATS, Segmented

    answer = stand_in(given, folder)
    (folder / f"{given.name}.nrrd").unlink()
    scan = given.read()
    hu = scan.ct.array
    labels = scan.ct.with_array((hu > 0).astype(np.uint8) + (hu > 25).astype(np.uint8))
    found = Segmented(scan, SimpleNamespace(labels=labels, entropy=None), anonymise=False)
    paths = [path for name in formats for path in FORMATS[name].write(found, folder, given.name)]
    return replace(answer, outputs=tuple(path.relative_to(folder).as_posix() for path in paths))


def load_dicom_stand_in() -> Segment:
    """As the stand-in, as DICOM too."""
    return load_writing("nrrd", "rtstruct", "seg")


def load_mortal() -> Segment:
    """As the stand-in, but a case's name says what happens to the process."""
    return mortal


def mortal(given: Input, folder: Path) -> Answer:
    if "unpacking" in given.name:
        (Path(tempfile.gettempdir()) / "unpacked").mkdir()
    if "killed" in given.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "crashed" in given.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "left" in given.name:
        os._exit(3)
    if "sleeping" in given.name:
        time.sleep(60)
    if "memory" in given.name:
        raise MemoryError
    if "bug" in given.name:
        raise ValueError("first line\nsecond line")
    return stand_in(given, folder)


def load_refusing() -> Segment:
    raise OrganNetError("no weights today: come tomorrow")


def load_faulty() -> Segment:
    return 1 // 0


def tiny_png() -> bytes:
    """One grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\x00\x80")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def write_tiny(path: Path, seed: int = 0, shape: tuple[int, int, int] = (4, 5, 6)) -> Path:
    """A CT of a few voxels: air, and water with noise."""
    from organnet.volume import Volume, write_volume

    values = np.random.default_rng(seed).integers(-50, 50, shape).astype(np.int16)
    values[0] = -1000
    write_volume(Volume(values, (3.0, 2.0, 2.0)), path)
    return path


def contents(out: Path) -> dict[str, bytes]:
    """Every file below a folder but manifest.csv, and records without what is measured."""
    from organnet.files import read_json

    files = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_dir() or name == "manifest.csv":
            continue
        if name.startswith("records/") and name.endswith(".json"):
            record = read_json(path)
            assert record.pop("measured").keys() == {"seconds", "peak_memory_mb"}
            files[name] = repr(record).encode()
        else:
            files[name] = path.read_bytes()
    return files


def run_command(load: str, formats: tuple[str, ...], scans: Path) -> list[str]:
    """A batch of these scans in a process of its own, all but its output folder."""
    tests = Path(__file__).parent
    return [sys.executable, "-c", RUN, str(tests), load, ",".join(formats), str(scans)]


def check_kills(
    command: list[str], folder: Path, kills: int, changes: int = 12, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Killed so many times at any moment, a batch ends with the bytes of an undisturbed one.

    Each kill comes after fewer than so many changes in the output folder. Returns the undisturbed
    run, which ends, as the last one does, with this code.
    """
    undisturbed, out = folder / "undisturbed", folder / "out"
    quiet = subprocess.run([*command, str(undisturbed)], capture_output=True, text=True)
    assert quiet.returncode == code, quiet.stderr
    chance = random.Random(0)
    while kills:
        if _killed_after([*command, str(out)], out, chance.randrange(1, changes)):
            kills -= 1
            for path in (*out.glob("*.nrrd"), *out.glob("*.dcm")):  # at any time, what is there
                assert path.read_bytes() == (undisturbed / path.name).read_bytes()  # is whole
        else:
            shutil.rmtree(out)
    assert subprocess.run([*command, str(out)], capture_output=True).returncode == code
    assert contents(out) == contents(undisturbed)
    assert not (out / UNFINISHED).exists()
    assert manifest(out) == manifest(undisturbed)
    assert not list(out.rglob(".*"))
    return quiet


def _killed_after(command: list[str], out: Path, changes: int) -> bool:
    """Run a command and kill it after so many changes in a folder; False where its work is done."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    seen = set()
    while process.poll() is None and changes:
        now = {os.path.join(folder, name) for folder, _, names in os.walk(out) for name in names}
        changes -= now != seen
        seen = now
        time.sleep(0.001)  # or looking takes the processor from what is looked at
    process.kill()
    errors = process.communicate()[1]
    assert "Error" not in errors, errors
    return not (out / REPORT).exists() or (out / UNFINISHED).exists()


def manifest(out: Path) -> list[dict[str, str]]:
    """Rows of manifest.csv without what is measured."""
    import csv

    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"], row["peak_memory_mb"]
    return rows


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("dear colleague, please find the scan attached\n")


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flat(path: Path) -> None:
    import SimpleITK as sitk

    sitk.WriteImage(sitk.Image(20, 20, sitk.sitkInt16), str(path))


def _rescaled(path: Path) -> None:
    from organnet.volume import Volume, write_volume

    write_volume(Volume(np.linspace(0, 1, 120).reshape(4, 5, 6), (1.0, 1.0, 1.0)), path)


def _not_a_number(path: Path) -> None:
    from organnet.volume import Volume, write_volume

    values = np.full((4, 5, 6), -1000.0)
    values[1, 1, 1] = np.nan
    write_volume(Volume(values, (1.0, 1.0, 1.0)), path)


def _sheared(path: Path) -> None:
    text = path.read_bytes()
    assert b"(0,2,0)" in text
    path.write_bytes(text.replace(b"(0,2,0)", b"(1,2,0)"))


BREAKING: dict[str, Callable[[Path], None]] = {
    "empty": _empty,
    "text": _text,
    "truncated": _truncated,
    "flat": _flat,
    "rescaled": _rescaled,
    "nan": _not_a_number,
    "sheared": _sheared,
}
"""Seven ways in which a file is no CT."""
