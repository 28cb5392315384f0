"""The command itself, with a network, over 20 scans of every kind, seven of them broken."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from batch_parts import BREAKING, check_kills, manifest, write_tiny
from dicom_parts import ct_series, head_hu, write_images

from organnet.batch.record import DONE, read_record
from organnet.dicom.ct import read_dicom_ct
from organnet.dicom.rtstruct import write_rtstruct
from organnet.experiment import Run

SHAPE = (8, 20, 22)
BROKEN = {
    "bad-empty.mha": "is truncated or not readable",
    "bad-nan.nrrd": "holds NaN or infinite values",
    "bad-patients": "mixes 2 patients (PatientID)",
    "bad-sheared.nrrd": "lies on a sheared grid",
    "bad-slice": "is a single slice",
    "bad-truncated.nii.gz": "Compressed file ended before",
    "bad-zip.zip": "is damaged, or no .zip",
}
"""The scans that cannot be segmented, with part of what is said of each."""


def _dicom(folder: Path, seed: int) -> Path:
    write_images(ct_series(head_hu(SHAPE, seed), seed=seed), folder)
    return folder


def _zipped(folder: Path) -> Path:
    """A folder of images as a .zip beside it, which takes its place."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    shutil.rmtree(folder)
    return folder.with_suffix(".zip")


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen scans, and seven that are none."""
    folder = tmp_path_factory.mktemp("twenty") / "scans"
    for number, suffix in enumerate((".nrrd", ".nii", ".nii.gz", ".mha") * 2):
        write_tiny(folder / f"image{number}{suffix}", number, SHAPE)
    write_tiny(folder / "case" / "img.nrrd", 8, SHAPE)
    for number in range(3):
        _dicom(folder / f"series{number}", number)
    _zipped(_dicom(folder / "zipped", 3))

    for name in ("bad-empty.mha", "bad-nan.nrrd", "bad-sheared.nrrd", "bad-truncated.nii.gz"):
        breaking = BREAKING[name.removeprefix("bad-").split(".")[0]]
        breaking(write_tiny(folder / name, shape=SHAPE))
    patients = ct_series(head_hu(SHAPE), seed=5)
    for image in patients[:3]:
        image.PatientID = "P2"
    write_images(patients, folder / "bad-patients")
    write_images(ct_series(head_hu(SHAPE), seed=6)[:1], folder / "bad-slice")
    archive = _zipped(_dicom(folder / "bad-zip", 7))
    archive.write_bytes(archive.read_bytes()[:-300])
    return folder


def _command(run: Run, scans: Path) -> list[str]:
    words = ["--weights", str(run.folder), *map(str, sorted(scans.iterdir())), "--out"]
    return [sys.executable, "-m", "organnet.cli", "inference", *words]


def test_killed_ten_times_it_ends_with_the_bytes_of_an_undisturbed_run(
    smoke_run: Run, twenty: Path, tmp_path: Path
) -> None:
    quiet = check_kills(_command(smoke_run, twenty), tmp_path, kills=10, changes=40, code=1)
    rows = manifest(tmp_path / "out")
    failed = {Path(row["input"]).name: row["message"] for row in rows if row["status"] == "failed"}
    assert len(rows) == 20 and failed.keys() == BROKEN.keys()
    assert sum(row["status"] == "done" for row in rows) == 13
    assert len(list((tmp_path / "out").glob("*.nrrd"))) == 13
    said = [line for line in quiet.stderr.splitlines() if " failed: " in line]
    assert len(said) == 14 and len(set(said)) == 7  # at once, and again at the end
    for name, words in BROKEN.items():
        assert words in failed[name] and f"{twenty / name}" in failed[name], failed[name]
        assert any(line.endswith(failed[name]) for line in said)
    assert "Traceback" not in quiet.stderr


GUARD = """
import socket, sys
from pathlib import Path

def refuse(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        Path(r"{mark}").write_text(str(sys.argv))
        raise OSError("no network")
    return real(self, address)

real, socket.socket.connect = socket.socket.connect, refuse
"""


def test_nothing_is_asked_of_the_network(smoke_run: Run, twenty: Path, tmp_path: Path) -> None:
    """By the command, its worker and whatever they import; a guard before them sees to it."""
    mark = tmp_path / "asked"
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD.format(mark=mark))
    guarded = {**os.environ, "PYTHONPATH": str(tmp_path / "guard")}
    asking = "import socket; socket.create_connection(('127.0.0.1', 9))"
    subprocess.run([sys.executable, "-c", asking], env=guarded, capture_output=True)
    assert mark.exists()
    mark.unlink()
    words = ["--weights", str(smoke_run.folder), "--out", str(tmp_path / "out")]
    formats = [word for name in ("nrrd", "rtstruct", "seg") for word in ("--format", name)]
    command = [sys.executable, "-m", "organnet.cli", "inference", *words, *formats]
    ended = subprocess.run([*command, str(twenty / "series0")], env=guarded, capture_output=True)
    assert ended.returncode == 0 and not mark.exists(), ended.stderr
    series, structures = read_dicom_ct(twenty / "series0"), tmp_path / "rtstruct.dcm"
    labels = np.zeros(series.ct.shape, np.uint8)
    labels[1:3, 2:5, 2:5] = 1
    write_rtstruct(series, series.ct.with_array(labels), structures)
    words = ["convert", twenty / "series0", structures, "--out", tmp_path / "cases"]
    command = [sys.executable, "-m", "organnet.cli", *map(str, words)]
    ended = subprocess.run(command, env=guarded, capture_output=True)
    assert ended.returncode == 0 and not mark.exists(), ended.stderr


def _is_done(out: Path, case: str) -> bool:
    record = read_record(out, case)
    return record is not None and record.status == DONE


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_by_its_user_it_goes_on_where_it_was(
    stop: signal.Signals, smoke_run: Run, twenty: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*_command(smoke_run, twenty), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Begun in the background, as by `make test &`, a process is deaf to Ctrl-C
        preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, stop)],
        start_new_session=True,
    )
    while process.poll() is None and not _is_done(out, "image0"):
        time.sleep(0.01)
    tell = process.send_signal if stop == signal.SIGTERM else partial(os.killpg, process.pid)
    tell(stop)  # Ctrl-C and a closed terminal go to the worker as well
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in errors, errors
    assert errors.rstrip().endswith("organnet: stopped: run the same command to go on"), errors
    kept = (out / "image0.nrrd").stat().st_mtime_ns
    rest = subprocess.run([*_command(smoke_run, twenty), str(out)], capture_output=True, text=True)
    assert rest.returncode == 1 and "image0 was done before" in rest.stdout
    assert (out / "image0.nrrd").stat().st_mtime_ns == kept
    assert len(manifest(out)) == 20 and not list(out.rglob(".*"))
