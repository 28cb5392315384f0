"""What is written of a case, in which formats, and what becomes of the ones that were there."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from batch_parts import HOW, contents, load_refusing, load_writing, manifest, write_tiny
from batch_runs import run, statuses

from organnet.batch.formats import FORMATS, Segmented, choose_formats, files_of, why_not, writable
from organnet.batch.inputs import Input, Scan
from organnet.batch.record import read_record
from organnet.batch.run import _called, segment
from organnet.batch.worker import Worker
from organnet.datasets import pddca
from organnet.errors import OrganNetError
from organnet.experiment import Run
from organnet.files import read_json, write_json
from organnet.inference import Prediction
from organnet.volume import Volume, read_volume, same_grid


@pytest.fixture
def found() -> Segmented:
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[1:3, 2:4, 3:5] = 1
    labels[4, 4, 4] = 9
    grid = Volume(labels, (3.0, 2.0, 1.0), (5.0, -4.0, 3.0))
    entropy = grid.with_array(labels.astype(np.float32) / 4)
    return Segmented(
        Scan(grid.with_array(labels.astype(np.int16))), Prediction(grid, entropy), anonymise=False
    )


@pytest.mark.parametrize("name", [name for name in FORMATS if not FORMATS[name].needs_dicom])
def test_formats_write_what_they_announce_and_can_be_read_back(
    name: str, found: Segmented, tmp_path: Path
) -> None:
    paths = FORMATS[name].write(found, tmp_path, "case")
    assert {path.relative_to(tmp_path).as_posix() for path in paths} <= set(
        files_of("case", (name,), deep=True)
    )
    assert sorted(paths) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    if name == "masks":
        labels, drawn = pddca.read_labels(tmp_path / "case")
        assert drawn == {"BrainStem", "Submandibular_R"}
    else:
        labels = read_volume(paths[0])
    if name in ("nrrd", "nifti"):
        assert np.array_equal(read_volume(paths[1]).array, found.prediction.entropy.array)
    assert np.array_equal(labels.array, found.prediction.labels.array)
    assert same_grid(labels, found.prediction.labels)


def test_formats_are_chosen_once_each(tmp_path: Path) -> None:
    assert choose_formats(["nrrd", "masks", "nrrd"]) == ("masks", "nrrd")
    with pytest.raises(OrganNetError, match="unknown format 'pdf'"):
        choose_formats(["pdf"])


@pytest.mark.parametrize(
    ("formats", "said"), [(["masks"], True), (["masks", "nifti"], False), (None, False)]
)
def test_deep_says_where_its_entropy_map_is_not_written(
    formats: list[str] | None, said: bool, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(OrganNetError, match="nothing-here"):
        segment([tmp_path / "nothing-here"], [], tmp_path / "out", deep=True, formats=formats)
    assert ("no entropy map is written" in capsys.readouterr().err) == said


def test_formats_that_refer_to_dicom_are_for_dicom(tmp_path: Path) -> None:
    assert writable(("nrrd", "rtstruct", "seg"), is_dicom=True) == ("nrrd", "rtstruct", "seg")
    assert writable(("nrrd", "rtstruct", "seg"), is_dicom=False) == ("nrrd",)
    scan = Input("c", write_tiny(tmp_path / "c.nrrd"))
    why = why_not(scan, ("rtstruct", "seg"))
    assert "is no DICOM series, without which there is no rtstruct and no seg" in why
    assert why_not(scan, ("nrrd", "rtstruct")) is None
    with pytest.raises(OrganNetError, match="misspelt does not exist"):
        segment([tmp_path / "misspelt"], [Path("openkbp")], tmp_path / "out", formats=["seg"])


def test_an_image_is_written_as_what_it_can_be(
    smoke_run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    case = smoke_run.dataset.folders[smoke_run.dataset.splits["test"][0]]
    out, formats = tmp_path / "out", ["nrrd", "rtstruct", "seg"]
    said = f"{case.name}: the scan is no DICOM series, so it has no rtstruct and no seg"
    for status in ("done", "done before"):
        assert segment([case], [smoke_run.folder], out, formats=formats) == 0
        assert said in capfd.readouterr().err.splitlines()
        assert statuses(out) == [status]
    (row,) = manifest(out)
    assert (row["case"], row["outputs"]) == (case.name, f"{case.name}.nrrd")
    assert row["weights"] == smoke_run.folder.name
    warned = said.removeprefix(f"{case.name}: ")
    assert warned in (out / "report.html").read_text("utf-8")
    for asked in (["nrrd"], ["nrrd", "rtstruct"]):  # it is of what a run asks for
        assert segment([case], [smoke_run.folder], out, formats=asked) == 0
        report, before = (out / "report.html").read_text("utf-8"), int(row["warnings"])
        assert ("so it has no" in report) == ("rtstruct" in asked)
        assert int(manifest(out)[0]["warnings"]) == before - (asked == ["nrrd"])
    with pytest.raises(OrganNetError, match="is no DICOM series"):
        segment([case], [smoke_run.folder], out, formats=["rtstruct"])


@pytest.mark.parametrize(
    ("weights", "called"),
    [("runs/mine/weights.safetensors", "mine"), ("a/b.safetensors", "b.safetensors")],
)
def test_weights_are_called_as_a_reader_knows_them(weights: str, called: str) -> None:
    assert _called(Path(weights)) == called
    assert _called(Path("\udcfc")) == "?"


# --- asked for again in other formats -------------------------------------------------------


@pytest.fixture(scope="module")
def writers() -> Iterator[dict[str, Worker]]:
    """A worker for each format."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(contextlib.closing(Worker(partial(load_writing, name))))
            for name in ("masks", "nrrd", "nifti")
        }


def again(scans: Path, out: Path, writers: dict[str, Worker], name: str, **change) -> int:
    """A run in one format."""
    return run(scans, out, writers[name], how=replace(HOW, formats=(name,), **change))


def nothing_is_to_do(scans: Path, out: Path, *formats: str) -> bool:
    how = replace(HOW, formats=formats)
    return run(scans, out, Worker(load_refusing), how=how) == 0


def masks_of(name: str) -> list[str]:
    return [f"{name}/structures/{organ}.nrrd" for organ in ("BrainStem", "Chiasm")]


def test_other_formats_come_beside_the_earlier_ones(
    scans: Path, tmp_path: Path, writers: dict[str, Worker]
) -> None:
    again(scans, tmp_path, writers, "nrrd")
    earlier = {name: data for name, data in contents(tmp_path).items() if name.endswith(".nrrd")}
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in earlier}
    assert again(scans, tmp_path, writers, "masks") == 0
    assert set(statuses(tmp_path)) == {"done"}
    for number, row in enumerate(manifest(tmp_path)):
        name = f"scan{number}"
        assert sorted(row["outputs"].split(";")) == sorted([f"{name}.nrrd", *masks_of(name)])
    after = contents(tmp_path)
    assert after | earlier == after and len(after) == 6 * (1 + 2 + 2) + 1
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in earlier} == times
    for formats in (("nrrd",), ("masks",), ("masks", "nrrd")):
        assert nothing_is_to_do(scans, tmp_path, *formats)
        assert contents(tmp_path) == after


@pytest.mark.parametrize("change", [{"weights": ("1" * 64,)}, {"deep": True}, {"organnet": "9"}])
def test_of_other_work_nothing_stays(
    change: dict, scans: Path, tmp_path: Path, writers: dict[str, Worker]
) -> None:
    again(scans, tmp_path, writers, "nrrd")
    again(scans, tmp_path, writers, "masks", **change)
    assert not list(tmp_path.glob("*.nrrd"))
    assert read_record(tmp_path, "scan0").how.formats == ("masks",)


def test_of_another_scan_under_that_name_nothing_stays(
    tmp_path: Path, writers: dict[str, Worker]
) -> None:
    write_tiny(tmp_path / "scans" / "a.nrrd", 1)
    again(tmp_path / "scans", tmp_path / "out", writers, "nrrd")
    write_tiny(tmp_path / "scans" / "a.nrrd", 2)
    again(tmp_path / "scans", tmp_path / "out", writers, "masks")
    assert manifest(tmp_path / "out")[0]["outputs"] == ";".join(masks_of("a"))
    assert not (tmp_path / "out" / "a.nrrd").exists()


@pytest.mark.parametrize("formats", [("masks",), ("masks", "nrrd")])
def test_a_correction_stays_where_another_format_is_asked_for(
    formats: tuple[str, ...], scans: Path, tmp_path: Path, capfd, writers: dict[str, Worker]
) -> None:
    again(scans, tmp_path, writers, "nrrd")
    corrected = tmp_path / "scan2.nrrd"
    corrected.write_bytes(b"corrected")
    with contextlib.closing(Worker(partial(load_writing, *formats))) as worker:
        assert run(scans, tmp_path, worker, how=replace(HOW, formats=formats)) == 0
    assert corrected.read_bytes() == b"corrected"
    said = f"{corrected} was changed since, and is kept"
    assert f"{said}; new files are without that change" in capfd.readouterr().out.splitlines()
    assert nothing_is_to_do(scans, tmp_path, "masks", "nrrd")
    assert said in capfd.readouterr().out.splitlines()


def test_files_that_were_moved_away_come_back_where_their_format_is_asked_for(
    scans: Path, tmp_path: Path, capfd, writers: dict[str, Worker]
) -> None:
    """Until then those that are left stay, whatever other formats come."""
    again(scans, tmp_path, writers, "masks")
    stem, chiasm = (tmp_path / name for name in masks_of("scan1"))
    chiasm.rename(tmp_path / "planning.nrrd")
    for name in ("nrrd", "nifti"):
        assert again(scans, tmp_path, writers, name) == 0
        assert stem.is_file() and not chiasm.exists()
        assert masks_of("scan1")[0] in manifest(tmp_path)[1]["outputs"]
    assert nothing_is_to_do(scans, tmp_path, "nrrd", "nifti")
    assert again(scans, tmp_path, writers, "masks") == 0
    assert statuses(tmp_path) == ["done before", "done"] + ["done before"] * 4
    assert chiasm.read_bytes() == (tmp_path / "planning.nrrd").read_bytes()
    assert len(manifest(tmp_path)[1]["outputs"].split(";")) == 4
    said = capfd.readouterr()
    assert "removed" not in said.err
    placed = [str(tmp_path / name) for n in range(6) for name in masks_of(f"scan{n}")]
    assert said.out.splitlines()[:12] == placed  # and nothing that was there
    assert said.out.splitlines().count(str(stem)) == 2


def test_what_was_moved_away_and_not_asked_for_holds_nothing_up(
    scans: Path, tmp_path: Path, writers: dict[str, Worker]
) -> None:
    again(scans, tmp_path, writers, "nrrd")
    again(scans, tmp_path, writers, "nifti")
    (tmp_path / "scan0.nii.gz").unlink()
    (tmp_path / "scan0.nrrd").write_bytes(b"corrected")
    assert nothing_is_to_do(scans, tmp_path, "nrrd")


def test_a_record_of_an_earlier_version_is_read(
    scans: Path, tmp_path: Path, worker: Worker
) -> None:
    run(scans, tmp_path, worker)
    path = tmp_path / "records" / "scan0.json"
    content = read_json(path)
    del content["how"]["names"]
    write_json(path, content)
    assert nothing_is_to_do(scans, tmp_path, "nrrd")
