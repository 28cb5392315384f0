"""What others hold or made: another's scan of the same name, a file put in the way, a manifest."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from batch_parts import HOW, load_stand_in, manifest, stand_in, write_tiny
from batch_runs import run, statuses

from organnet.batch.finding import find_inputs
from organnet.batch.inputs import Input
from organnet.batch.run import run_batch, segment
from organnet.batch.worker import Answer, Worker
from organnet.errors import OrganNetError
from organnet.files import remove


def test_a_scan_of_another_folder_is_not_taken_for_one_of_the_same_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    out = tmp_path / "out"
    for patient, seed in (("A", 1), ("B", 2)):
        for name in ("ct.nrrd", "other.nrrd"):
            write_tiny(tmp_path / patient / name, seed)
    monkeypatch.chdir(tmp_path / "A")
    assert run(Path("."), out, worker) == 0
    first = (out / "ct.nrrd").read_bytes()
    monkeypatch.chdir(tmp_path / "B")
    with pytest.raises(OrganNetError, match="none of the 2 cases"):
        run(Path("."), out, worker)
    assert (out / "ct.nrrd").read_bytes() == first
    assert f"has results called ct of {tmp_path / 'A' / 'ct.nrrd'}" in manifest(out)[1]["message"]
    Path("ct.nrrd").write_bytes(b"broken")
    with pytest.raises(OrganNetError, match="none of the 2 cases"):
        run(Path("."), out, worker)
    assert (out / "ct.nrrd").read_bytes() == first
    monkeypatch.chdir(tmp_path)
    assert run(Path("A"), out, worker) == 0  # it is the same scan from anywhere
    assert set(statuses(out)) == {"done before"}


def test_a_scan_that_failed_is_in_nobodys_way(tmp_path: Path, worker: Worker) -> None:
    """A damaged scan is mended by a whole copy, which lies elsewhere."""
    out = tmp_path / "out"
    for patient in "AB":
        write_tiny(tmp_path / patient / "ct.nrrd", 1)
        write_tiny(tmp_path / patient / "other.nrrd", 2)
    whole = (tmp_path / "A" / "ct.nrrd").read_bytes()
    (tmp_path / "A" / "ct.nrrd").write_bytes(whole[:-9])
    assert run(tmp_path / "A", out, worker) == 1
    (tmp_path / "B" / "ct.nrrd").write_bytes(whole[:-8])
    assert run(tmp_path / "B", out, worker) == 1
    assert manifest(out)[0]["input"] == str(tmp_path / "B" / "ct.nrrd")
    (tmp_path / "B" / "ct.nrrd").write_bytes(whole)
    assert run(tmp_path / "B", out, worker) == 0
    assert statuses(out) == ["done", "done before"]


def test_results_of_an_anonymous_scan_are_not_replaced_by_anothers(
    tmp_path: Path, worker: Worker
) -> None:
    write_tiny(tmp_path / "scans" / "one.nrrd", 1)
    write_tiny(tmp_path / "others" / "case-001.nrrd", 2)
    out = tmp_path / "out"
    assert run(tmp_path / "scans", out, worker, anonymise=True) == 0
    before = (out / "case-001.nrrd").read_bytes()
    with pytest.raises(OrganNetError, match="results called case-001 of another scan"):
        run(tmp_path / "others", out, worker)
    assert (out / "case-001.nrrd").read_bytes() == before


def test_what_is_put_in_the_way_meanwhile_stays(scans: Path, tmp_path: Path) -> None:
    class Slow(Worker):
        """While it segments, a person saves a correction."""

        def segment(self, given: Input, folder: Path) -> Answer:
            (tmp_path / "scan3.nrrd").write_bytes(b"corrected")
            return stand_in(given, folder)

    inputs = find_inputs([scans / "*"]).inputs
    with contextlib.closing(Worker(load_stand_in)) as worker:
        run_batch(inputs, worker, tmp_path, HOW)
    assert run_batch(inputs[3:5], Slow(load_stand_in), tmp_path, replace(HOW, deep=True)) == 1
    assert (tmp_path / "scan3.nrrd").read_bytes() == b"corrected"
    assert "would be replaced" in manifest(tmp_path)[3]["message"]
    assert statuses(tmp_path)[3:5] == ["failed", "done"]


@pytest.mark.parametrize("name", ["manifest.csv", "report.html"])
def test_a_manifest_of_somebody_else_is_not_replaced(
    name: str, scans: Path, tmp_path: Path, worker: Worker
) -> None:
    (tmp_path / name).write_text("theirs")
    with pytest.raises(OrganNetError, match=f"{name} would be replaced"):
        run(scans, tmp_path, worker)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_output_folder_that_cannot_be_printed_is_refused(tmp_path: Path) -> None:
    out = Path(f"{tmp_path}/\udcff")
    with pytest.raises(OrganNetError, match="no UTF-8 name: choose another --out"):
        segment([write_tiny(tmp_path / "a.nrrd")], [Path("openkbp")], out)


def test_what_may_not_be_removed_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    remove(tmp_path / "absent")
    with pytest.raises(OrganNetError, match=r"cannot remove .*folder \("):
        remove(folder)
