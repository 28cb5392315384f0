"""DICOM through the whole of `inference` and `convert`: patients in, structures and cases out."""

import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from batch_parts import check_kills, manifest, run_command
from dicom_parts import ct_series, head_hu, write_images
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from organnet.batch.expected import ml
from organnet.batch.finding import find_inputs
from organnet.batch.inputs import Input
from organnet.batch.record import How, picture_name, read_record
from organnet.batch.run import segment
from organnet.batch.segmenter import Segmenter
from organnet.batch.worker import Answer, _answer
from organnet.cli import app
from organnet.datasets import pddca
from organnet.dicom.ct import read_dicom_ct
from organnet.dicom.names import TG263
from organnet.dicom.rtstruct import read_rtstruct
from organnet.dicom.studies import holds_one_study
from organnet.errors import OrganNetError
from organnet.experiment import Run
from organnet.inference import Prediction
from organnet.layout import find_weights
from organnet.organs import ORGAN_NAMES, ORGANS
from organnet.volume import Volume, read_volume, same_grid

FORMATS = ["nrrd", "seg.nrrd", "rtstruct", "seg"]


def write_study(case: Path, folder: Path, patient: str) -> None:
    """A phantom's CT as DICOM, in two folders below `folder`: a series, and its localizer."""
    ct = pddca.read_case(case).ct
    images = ct_series(ct.array, ct.spacing_mm, ct.origin_mm, ct.direction, seed=len(patient))
    for image in images:
        image.PatientID = image.PatientName = patient
        image.StudyInstanceUID = f"1.2.3.{len(patient)}"
    write_images(images, folder / "HEAD")
    localizer = ct_series(ct.array[:1], ct.spacing_mm, seed=99)
    localizer[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    localizer[0].PatientID = localizer[0].PatientName = patient
    localizer[0].StudyInstanceUID = f"1.2.3.{len(patient)}"
    write_images(localizer, folder / "SCOUT")


@pytest.fixture(scope="module")
def studies(smoke_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients' folders, as exported."""
    root = tmp_path_factory.mktemp("studies")
    first, second = smoke_run.dataset.splits["training"][:2]
    write_study(smoke_run.dataset.folders[first], root / "A", "Alice")
    write_study(smoke_run.dataset.folders[second], root / "B", "Bo")
    return root


@pytest.fixture(scope="module")
def segmented(smoke_run: Run, studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert segment([studies], [smoke_run.folder], out, formats=FORMATS) == 0
    return out


def test_a_folder_of_patients_is_a_case_for_each(studies: Path) -> None:
    assert [given.name for given in find_inputs([studies]).inputs] == ["A", "B"]
    assert not holds_one_study(studies) and holds_one_study(studies / "A")
    assert [given.name for given in find_inputs([studies / "A"]).inputs] == ["A"]


def test_every_format_is_written_and_the_localizer_named(segmented: Path) -> None:
    rows = manifest(segmented)
    assert {row["status"] for row in rows} == {"done"}
    for name in ("A", "B"):
        for file in (f"{name}.nrrd", f"{name}.seg.nrrd", f"{name}_rtstruct.dcm", f"{name}_seg.dcm"):
            assert (segmented / file).is_file(), file
    assert "left aside series 3 (HEAD 2.5): CT localizer, 1 file" in (
        segmented / "report.html"
    ).read_text(encoding="utf-8")


def test_a_patients_name_stays_in_the_dicom_that_needs_it(segmented: Path) -> None:
    """The header's: not in the manifest, the report, the records, or what is no DICOM."""
    holding = {path.suffix for path in segmented.rglob("*.*") if b"Alice" in path.read_bytes()}
    assert holding == {".dcm"}


def test_no_name_of_a_header_is_printed(
    smoke_run: Run, studies: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damaged = Path(shutil.copytree(studies / "A", tmp_path / "in" / "damaged"))
    shutil.copytree(studies / "A", tmp_path / "in" / "whole")
    first = next((damaged / "HEAD").iterdir())
    first.write_bytes(first.read_bytes()[:-100])
    assert segment([tmp_path / "in" / "*"], [smoke_run.folder], tmp_path / "out") == 1
    said = "".join(capfd.readouterr())
    assert "damaged failed: " in said and "whole.nrrd" in said and "Alice" not in said


def test_volumes_and_picture_are_of_the_label_map(segmented: Path) -> None:
    record, labels = read_record(segmented, "A"), read_volume(segmented / "A.nrrd")
    voxels = {organ.name: np.count_nonzero(labels.array == organ.label) for organ in ORGANS}
    found = {name: n * labels.voxel_ml for name, n in voxels.items() if n}
    assert record.volumes_ml == pytest.approx(found, abs=1e-3) and found
    picture = imread(segmented / picture_name("A"))[..., :3]
    for organ in ORGANS:  # each contour in its colour, on a page of the printed width
        near = np.abs(picture - to_rgb(organ.colour)).max(-1) < 0.1
        assert near.any() == (organ.name in found), organ.name
    assert f"{ml(max(found.values()))}</td>" in (segmented / "report.html").read_text()


def test_the_structure_set_holds_the_label_map_and_lies_on_the_ct(
    segmented: Path, studies: Path
) -> None:
    series = read_dicom_ct(studies / "A")
    labels = read_volume(segmented / "A.nrrd")
    assert same_grid(labels, series.ct)
    read, drawn, notes = read_rtstruct(segmented / "A_rtstruct.dcm", series)
    assert np.array_equal(read.array, labels.array)
    assert all("has no contour on" in note for note in notes)  # an organ in pieces is said
    assert set(drawn) == {ORGAN_NAMES[label - 1] for label in np.unique(labels.array) if label}


def test_a_zip_gives_what_its_folder_gives(
    smoke_run: Run, segmented: Path, studies: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "A.ZIP"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((studies / "A").rglob("*")):
            archive.write(path, path.relative_to(studies))
    segment([packed], [smoke_run.folder], tmp_path / "out", formats=FORMATS)
    for file in ("A.nrrd", "A_rtstruct.dcm", "A_seg.dcm"):
        assert (tmp_path / "out" / file).read_bytes() == (segmented / file).read_bytes(), file


def test_anonymised_outputs_and_messages_hold_no_name(
    smoke_run: Run, studies: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor those of files within a folder or .zip, nor what a series is described as."""
    patient = shutil.copytree(studies / "A", tmp_path / "Alice_Archer")
    (patient / "Alice.dcm").write_bytes(b"")
    for path in sorted(patient.rglob("*")):
        if path.is_file() and path.name != "Alice.dcm":
            dataset = pydicom.dcmread(path)
            dataset.SeriesDescription = "Alice's neck"
            dataset.save_as(path)
    with zipfile.ZipFile(tmp_path / "Alice.zip", "w") as archive:
        for path in sorted((studies / "A").rglob("*")):
            if path.is_file():
                name = f"Alice_Archer/{path.relative_to(studies)}"
                archive.writestr(name, path.read_bytes()[:-100])
    out = tmp_path / "out"
    inputs = [patient, tmp_path / "Alice.zip"]
    assert segment(inputs, [smoke_run.folder], out, formats=FORMATS, anonymise=True) == 1
    said = "".join(capfd.readouterr())
    assert "case-002 failed: case-002.zip: file " in said and "Alice" not in said
    warnings = read_record(out, "case-001").warnings
    assert "1 file is empty or damaged and left out: where" in " ".join(warnings)
    assert any(warning.startswith("took series") for warning in warnings)
    structures = pydicom.dcmread(out / "case-001_rtstruct.dcm")
    assert structures.PatientName == "case-001"
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) >= 8
    for path in files:
        assert b"Alice" not in path.read_bytes() and "Alice" not in path.name, path


def test_where_no_organ_is_found_there_is_no_structure_set_and_the_rest_is_written(
    smoke_run: Run, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: object, ct: Volume, deep: bool) -> Prediction:
        assert not deep
        return Prediction(ct.with_array(np.zeros(ct.shape, np.uint8)), None)

    monkeypatch.setattr("organnet.batch.segmenter.predict", nothing)
    how = How(("0" * 64,), ("nrrd", "rtstruct", "seg"), deep=False)
    segmenter = Segmenter([find_weights(smoke_run.folder)], how)
    answer = segmenter(Input("A", studies / "A", "DICOM"), tmp_path)
    assert answer.outputs == ("A.nrrd",) and not list(tmp_path.glob("*.dcm"))
    assert not [note for note in answer.notes if not note.startswith("took series")]
    assert answer.warnings == ("No organ was found: does the scan show head and neck?",)


@pytest.mark.parametrize("named", [True, False])
def test_an_archive_is_unpacked_among_outputs_only_where_these_may_be_named(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill leaves it there until the next run, and outputs may be handed on meanwhile."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    given = Input("case-001", tmp_path / "links" / "case-001.zip", "DICOM", names_path=named)
    places = []

    def look(_: Input, __: Path) -> Answer:
        places.append(Path(tempfile.gettempdir()))
        return Answer()

    _answer(look, given, tmp_path / "stage")
    assert places == [tmp_path / ("stage" if named else "links")]


def test_an_image_without_dicom_has_no_structure_set(smoke_run: Run, tmp_path: Path) -> None:
    case = smoke_run.dataset.folders[smoke_run.dataset.splits["test"][0]]
    with pytest.raises(OrganNetError, match="no DICOM series, without which there is no rtstruct:"):
        segment([case], [smoke_run.folder], tmp_path, formats=["rtstruct"])


def test_convert_makes_a_case_to_train_on(
    segmented: Path, studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series, structures = studies / "A", segmented / "A_rtstruct.dcm"
    words = ["convert", str(series), str(structures), "--out", str(tmp_path), "--name", "mine"]
    app(words, standalone_mode=False)
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "mine")  # alone, for scripts
    organs = said.err.splitlines()[-len(ORGAN_NAMES) :]
    case = pddca.read_case(tmp_path / "mine")
    assert [line.split() for line in organs] == [
        [name, *([TG263[name]] if name in case.drawn else ["not", "drawn"])] for name in ORGAN_NAMES
    ]
    labels = read_volume(segmented / "A.nrrd")
    assert np.array_equal(case.labels.array, labels.array)
    with pytest.raises(OrganNetError, match="is there already"):
        app(words, standalone_mode=False)


def test_dicom_killed_at_any_time_and_run_again_ends_the_same(tmp_path: Path) -> None:
    """Its structure sets and segmentations too: UIDs and dates come from what they say."""
    for number in range(4):
        images = ct_series(head_hu((4, 10, 12), seed=number), seed=number)
        write_images(images, tmp_path / "scans" / f"scan{number}")
    scans = tmp_path / "scans" / "*"
    command = run_command("load_dicom_stand_in", ("nrrd", "rtstruct", "seg"), scans)
    check_kills(command, tmp_path, kills=5)
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 8
