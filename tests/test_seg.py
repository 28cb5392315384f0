"""DICOM Segmentations: the same voxels in the same places, read back frame by frame."""

import re
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtstruct_parts import ROOT, label_map, rotation, series_on, validated

from organnet.dicom.names import TG263
from organnet.dicom.seg import NO_DATE, write_seg
from organnet.errors import OrganNetError
from organnet.organs import UNKNOWN, organ
from organnet.volume import Volume

DRAWN = ("BrainStem", "Mandible", "OpticNerve_R", "Parotid_L")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volume, Path]:
    labels = label_map()
    path = tmp_path_factory.mktemp("seg") / "seg.dcm"
    write_seg(series_on(labels), labels, path)
    return labels, path


def voxels(dataset: pydicom.Dataset, labels: Volume) -> np.ndarray:
    """The label map that the frames say, each put where its own position and axes say."""
    found = np.zeros(labels.shape, np.uint8)
    by_name = {TG263[name]: organ(name).label for name in DRAWN}
    names = {item.SegmentNumber: item.SegmentLabel for item in dataset.SegmentSequence}
    (shared,) = dataset.SharedFunctionalGroupsSequence
    axes = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down_mm, along_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    inverse = np.linalg.inv(labels.direction * np.asarray(labels.spacing_mm))
    for frame, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        start = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        # With one segment alone it stands among what the frames share
        segments = group if "SegmentIdentificationSequence" in group else shared
        number = segments.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for row, column in np.argwhere(frame):
            x_y_z = start + row * down_mm * axes[3:] + column * along_mm * axes[:3]
            index = inverse @ (x_y_z[::-1] - np.asarray(labels.origin_mm))
            assert np.abs(index - np.rint(index)).max() < 1e-3
            at = tuple(np.rint(index).astype(int))
            assert found[at] == 0
            found[at] = by_name[names[number]]
    return found


def test_a_label_map_comes_back(written) -> None:
    labels, path = written
    dataset = pydicom.dcmread(path)
    assert np.array_equal(
        voxels(dataset, labels), np.where(labels.array == UNKNOWN, 0, labels.array)
    )
    assert len(dataset.PerFrameFunctionalGroupsSequence) == 5 + 5 + 1 + 3  # none is empty


def test_highdicom_reads_the_same_segments(written) -> None:
    labels, path = written
    segmentation = hd.seg.segread(path)
    assert [s.segment_label for s in map(segmentation.get_segment_description, range(1, 5))] == [
        TG263[name] for name in DRAWN
    ]
    uids = [image.header.SOPInstanceUID for image in series_on(labels).images]
    stack = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    for n, name in enumerate(DRAWN):
        assert np.array_equal(stack[..., n] == 1, labels.array == organ(name).label), name


@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 4)] * 3),
    at=st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 6)),
)
@settings(max_examples=8, deadline=None)
def test_every_voxel_keeps_its_place(tmp_path_factory, turn, spacing, at) -> None:
    array = np.zeros((3, 6, 7), np.uint8)
    array[at] = organ("Parotid_L").label
    labels = Volume(array, spacing, (-300.0, 20.0, 150.5), rotation(np.array(turn)))
    path = tmp_path_factory.mktemp("seg") / "seg.dcm"
    write_seg(series_on(labels), labels, path)
    assert np.array_equal(voxels(pydicom.dcmread(path), labels), array)


def test_segments_have_codes_sides_and_colours(written) -> None:
    dataset = pydicom.dcmread(written[1])
    assert dataset.SegmentationType == "BINARY"
    brainstem, *_, parotid = dataset.SegmentSequence
    (kind,) = parotid.SegmentedPropertyTypeCodeSequence
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("45289007", "SCT")
    (side,) = kind.SegmentedPropertyTypeModifierCodeSequence
    assert (side.CodeValue, side.CodeMeaning) == ("7771000", "Left")
    (kind,) = brainstem.SegmentedPropertyTypeCodeSequence
    assert "SegmentedPropertyTypeModifierCodeSequence" not in kind
    for segment, name in zip(dataset.SegmentSequence, DRAWN, strict=True):
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        colour = hd.color.CIELabColor(
            *(
                low + share / 65535 * (high - low)
                for share, low, high in zip(
                    segment.RecommendedDisplayCIELabValue,
                    (0, -128, -128),
                    (100, 127, 127),
                    strict=True,
                )
            )
        )
        expected = np.array(list(bytes.fromhex(organ(name).colour[1:])), int)
        assert np.abs(np.array(colour.to_rgb()) - expected).max() <= 1
    assert "not for clinical use" in dataset.SeriesDescription


def test_it_refers_to_its_ct_and_is_the_patients(written) -> None:
    dataset = pydicom.dcmread(written[1])
    assert dataset.FrameOfReferenceUID == f"{ROOT}.4"
    assert dataset.StudyInstanceUID == f"{ROOT}.1"
    (series,) = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == f"{ROOT}.2" != dataset.SeriesInstanceUID
    assert len(series.ReferencedInstanceSequence) == 5
    assert dataset.PatientName == "Nobody^Nora" and dataset.PatientID == "N-0001"
    assert (dataset.ContentDate, dataset.ContentTime) == ("20200304", "101112")


def test_the_same_input_gives_the_same_bytes(written, tmp_path: Path) -> None:
    labels, path = written
    write_seg(series_on(labels), labels, tmp_path / "again.dcm")
    assert (tmp_path / "again.dcm").read_bytes() == path.read_bytes()
    assert "InstanceCreationDate" not in pydicom.dcmread(path)


def test_an_anonymous_one_tells_nothing_of_the_patient(written, tmp_path: Path) -> None:
    labels, path = written
    series = series_on(labels)
    for image in series.images:
        del image.header.StudyDate, image.header.StudyTime
    write_seg(series, labels, tmp_path / "a.dcm", alias="case-007")
    content = (tmp_path / "a.dcm").read_bytes()
    private = (b"Nora", b"Nobody", b"N-0001", b"19500102", b"Who", b"A77", b"HEAD")
    assert not [text for text in private if text in content]
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert dataset.PatientName == "case-007"
    assert re.fullmatch("case-007-[0-9a-f]{8}", dataset.PatientID)
    assert dataset.ContentDate == NO_DATE
    assert dataset.SOPInstanceUID != pydicom.dcmread(path).SOPInstanceUID


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    labels = label_map()
    series = series_on(labels)
    with pytest.raises(OrganNetError, match="holds no organ"):
        write_seg(series, labels.with_array(np.zeros_like(labels.array)), tmp_path / "a.dcm")
    (tmp_path / "file").write_text("")
    with pytest.raises(OrganNetError, match="cannot write"):
        write_seg(series, labels, tmp_path / "file" / "a.dcm")


def test_dciodvfy_finds_no_error(written, tmp_path: Path) -> None:
    labels, path = written
    write_seg(series_on(labels), labels, tmp_path / "anonymous.dcm", alias="case-007")
    validated("Segmentation", path, tmp_path / "anonymous.dcm")
