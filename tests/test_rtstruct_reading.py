"""RT Structure Sets that others drew, or that are broken: read as meant, or refused in one line."""

import copy
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import CTImageStorage
from rtstruct_parts import MadeSeries, label_map, series_on

from organnet.datasets.case import compose_labels, crop_mask
from organnet.datasets.pddca import read_case
from organnet.dicom.convert import convert
from organnet.dicom.names import TG263
from organnet.dicom.rtstruct import read_rtstruct, write_rtstruct
from organnet.errors import OrganNetError
from organnet.organs import organ
from organnet.volume import Volume, same_grid

SHAPE = (4, 12, 14)


@pytest.fixture(scope="module")
def series() -> MadeSeries:
    return series_on(Volume(np.zeros(SHAPE, np.uint8), (3.0, 2.0, 1.0), (10.0, 20.0, 30.0)))


@pytest.fixture(scope="module")
def plain(series, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A left parotid of one box of pixels on image 1, the structure set that tests change."""
    path = tmp_path_factory.mktemp("rs") / "rs.dcm"
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 2:8, 2:9] = organ("Parotid_L").label
    write_rtstruct(series, series.ct.with_array(labels), path)
    return pydicom.dcmread(path)


def box(n: float, top: float, left: float, bottom: float, right: float, kind: str = "") -> Dataset:
    """A contour around pixels of image n of `series`, in the file's own order."""
    pixels = [(top, left), (top, right), (bottom, right), (bottom, left)]
    contour = Dataset()
    contour.ContourGeometricType = kind or "CLOSED_PLANAR"
    contour.NumberOfContourPoints = 4
    places = [(30 + 1.0 * column, 20 + 2.0 * row, 10 + 3.0 * n) for row, column in pixels]
    contour.ContourData = [str(value) for place in places for value in place]
    return contour


def with_contours(plain: Dataset, *structures: tuple[str, list[Dataset]]) -> Dataset:
    """The same structure set with other structures: their names and contours."""
    dataset = copy.deepcopy(plain)
    for name in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        template = dataset[name].value[0]
        dataset[name].value = [copy.deepcopy(template) for _ in structures]
    for n, (name, contours) in enumerate(structures):
        dataset.StructureSetROISequence[n].ROINumber = n + 5
        dataset.StructureSetROISequence[n].ROIName = name
        dataset.ROIContourSequence[n].ReferencedROINumber = n + 5
        dataset.ROIContourSequence[n].ContourSequence = contours
    return dataset


def read(dataset: Dataset, series: MadeSeries, folder: Path, names: dict | None = None):
    dataset.save_as(folder / "rs.dcm")
    labels, drawn, notes = read_rtstruct(folder / "rs.dcm", series, names)
    assert same_grid(labels, series.ct) and labels.array.dtype == np.uint8
    return labels.array, drawn, notes


def pixels(n: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[n, rows, columns] = True
    return mask


# Drawn by others


def test_holes_and_islands_as_contours_of_their_own(plain, series, tmp_path: Path) -> None:
    rings = [box(1, 0.5, 0.5, 9.5, 9.5), box(1, 2.5, 2.5, 7.5, 7.5), box(1, 4.5, 4.5, 5.5, 5.5)]
    expected = pixels(1, slice(1, 10), slice(1, 10)) & ~pixels(1, slice(3, 8), slice(3, 8))
    expected[1, 5, 5] = True
    for kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        for ring in rings:
            ring.ContourGeometricType = kind
        dataset = with_contours(plain, ("Parotis li", rings))
        array, drawn, notes = read(dataset, series, tmp_path)
        assert np.array_equal(array == organ("Parotid_L").label, expected), kind
        assert (set(drawn), notes) == ({"Parotid_L"}, ())


def test_overlapping_contours_are_united_unless_their_kind_says_otherwise(
    plain, series, tmp_path: Path
) -> None:
    a, b = pixels(2, slice(1, 6), slice(1, 6)), pixels(2, slice(4, 10), slice(3, 9))
    for kind, expected in (("CLOSED_PLANAR", a | b), ("CLOSEDPLANAR_XOR", a ^ b)):
        contours = [box(2, 0.5, 0.5, 5.5, 5.5, kind), box(2, 3.5, 2.5, 9.5, 8.5, kind)]
        array, _, _ = read(with_contours(plain, ("Mandible", contours)), series, tmp_path)
        assert np.array_equal(array > 0, expected), kind


def test_images_between_without_a_contour_are_said(plain, series, tmp_path: Path) -> None:
    """Some draw on every third image and let their system fill in the rest: we do not."""
    contours = [box(n, 0.5, 0.5, 5.5, 5.5) for n in (0, 3)]
    array, _, notes = read(with_contours(plain, ("Mandible", contours)), series, tmp_path)
    assert array.any(axis=(1, 2)).tolist() == [True, False, False, True]
    assert notes == (
        "Mandible has no contour on 2 of the 4 images from its first to its last: "
        "they were taken as without it",
    )


def test_contours_a_little_off_their_image_snap_to_it(plain, series, tmp_path: Path) -> None:
    near = with_contours(plain, ("Mandible", [box(1.4, 0.5, 0.5, 5.5, 5.5)]))
    array, _, _ = read(near, series, tmp_path)
    assert np.array_equal(array > 0, pixels(1, slice(1, 6), slice(1, 6)))


def test_contours_of_two_heights_on_one_image_are_refused(plain, series, tmp_path: Path) -> None:
    """They would be an outline and its hole; images are 3 mm apart."""
    outer, inner = box(1, 0.5, 0.5, 9.5, 9.5), box(1.3, 2.5, 2.5, 7.5, 7.5)
    dataset = with_contours(plain, ("Mandible", [outer, inner]))
    with pytest.raises(OrganNetError, match=r"contours of Mandible 0\.90 mm apart fall on one"):
        read(dataset, series, tmp_path)
    rounded = box(1.05, 2.5, 2.5, 7.5, 7.5)
    array, _, _ = read(with_contours(plain, ("Mandible", [outer, rounded])), series, tmp_path)
    hollow = pixels(1, slice(1, 10), slice(1, 10)) & ~pixels(1, slice(3, 8), slice(3, 8))
    assert np.array_equal(array > 0, hollow)


@pytest.mark.parametrize("n", [-0.6, 3.6, 40.0])
def test_contours_on_no_image_are_refused(plain, series, tmp_path: Path, n: float) -> None:
    dataset = with_contours(plain, ("Mandible", [box(n, 0.5, 0.5, 5.5, 5.5)]))
    with pytest.raises(OrganNetError, match="contour of Mandible lies on no image"):
        read(dataset, series, tmp_path)


def test_contours_across_images_are_refused(plain, series, tmp_path: Path) -> None:
    across = box(1, 0.5, 0.5, 5.5, 5.5)
    across.ContourData[2] = across.ContourData[5] = "19.0"
    with pytest.raises(OrganNetError, match="lies on no image"):
        read(with_contours(plain, ("Mandible", [across])), series, tmp_path)


def test_points_and_open_contours_are_left_out_and_told(plain, series, tmp_path: Path) -> None:
    contours = [
        box(1, 0.5, 0.5, 5.5, 5.5),
        box(2, 0.5, 0.5, 5.5, 5.5, "OPEN_PLANAR"),
        box(2, 0.5, 0.5, 5.5, 5.5, "POINT"),
        box(90, 0.5, 0.5, 5.5, 5.5, "POINT"),
    ]
    dataset = with_contours(plain, ("Mandible", contours), ("Hirnstamm", contours[1:]))
    array, drawn, notes = read(dataset, series, tmp_path)
    assert np.array_equal(array > 0, pixels(1, slice(1, 6), slice(1, 6)))
    assert set(drawn) == {"Mandible"}
    assert set(notes) == {
        "Mandible: 1 of kind OPEN_PLANAR left out",
        "Mandible: 2 of kind POINT left out",
        "Hirnstamm: 1 of kind OPEN_PLANAR left out",
        "Hirnstamm: 2 of kind POINT left out",
        "BrainStem has no closed contour that holds a pixel: not drawn",
    }


def test_where_organs_overlap_the_smaller_wins_as_in_pddca_and_it_is_said(
    plain, series, tmp_path: Path
) -> None:
    large, small = box(1, 0.5, 0.5, 9.5, 9.5), box(1, 4.5, 4.5, 11.5, 11.5)
    masks = {
        "Parotid_L": pixels(1, slice(1, 10), slice(1, 10)),
        "Mandible": pixels(1, slice(5, 12), slice(5, 12)),
    }
    dataset = with_contours(plain, ("Mandible", [small]), ("Parotid_L", [large]))
    array, drawn, notes = read(dataset, series, tmp_path)
    boxes = {name: crop_mask(mask) for name, mask in masks.items()}
    assert np.array_equal(array, compose_labels(boxes, SHAPE))
    assert set(drawn) == set(masks)
    assert notes == ("Parotid_L left 25 pixels to a smaller organ that was drawn there too",)
    one = with_contours(plain, ("Mandible", [box(1, 8.5, 8.5, 9.5, 9.5)]), ("Parotid_L", [large]))
    _, _, notes = read(one, series, tmp_path)
    assert notes == ("Parotid_L left 1 pixel to a smaller organ that was drawn there too",)


def test_structures_that_are_no_organ_are_told_and_a_users_names_come_first(
    plain, series, tmp_path: Path
) -> None:
    contour = [box(1, 0.5, 0.5, 5.5, 5.5)]
    off = [box(77, 0.5, 0.5, 5.5, 5.5)]  # of a structure that nobody asks for
    dataset = with_contours(plain, ("PTV 70", off), ("OAR 3", contour), ("Parotid_L_PRV", off))
    array, drawn, notes = read(dataset, series, tmp_path, {"OAR 3": "Chiasm"})
    assert drawn == {"Chiasm": "OAR 3"} and set(np.unique(array)) == {0, organ("Chiasm").label}
    assert [note.split(" is none")[0] for note in notes] == ["PTV 70", "Parotid_L_PRV"]
    listed = r"name its structures in a map of names, --names .* \(PTV 70, OAR 3, Parotid_L_PRV\)$"
    with pytest.raises(OrganNetError, match=rf"none of the nine organs: {listed}"):
        read(dataset, series, tmp_path)


def test_two_structures_of_one_organ_are_refused(plain, series, tmp_path: Path) -> None:
    contour = [box(1, 0.5, 0.5, 5.5, 5.5)]
    dataset = with_contours(plain, ("Parotid_L", contour), ("Lt Parotid", contour))
    with pytest.raises(OrganNetError, match="Parotid_L and Lt Parotid are both Parotid_L"):
        read(dataset, series, tmp_path)


def test_an_empty_structure_of_a_template_stands_in_nobodys_way(
    plain, series, tmp_path: Path
) -> None:
    contour = [box(1, 0.5, 0.5, 5.5, 5.5)]
    dataset = with_contours(plain, ("Parotid_L", []), ("Lt Parotid", contour))
    del dataset.ROIContourSequence[0].ContourSequence
    _, drawn, notes = read(dataset, series, tmp_path)
    assert set(drawn) == {"Parotid_L"}
    assert notes == ("Parotid_L has no contour: left out",)


def test_another_frame_of_reference_is_refused(plain, series, tmp_path: Path) -> None:
    dataset = copy.deepcopy(plain)
    dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"
    with pytest.raises(OrganNetError, match="another frame of reference"):
        read(dataset, series, tmp_path)


# Broken files


def change(keyword: str, value: object) -> Callable[[Dataset], None]:
    def changed(dataset: Dataset) -> None:
        setattr(dataset, keyword, value)

    return changed


def change_contour(keyword: str, value: object) -> Callable[[Dataset], None]:
    def changed(dataset: Dataset) -> None:
        setattr(dataset.ROIContourSequence[0].ContourSequence[0], keyword, value)

    return changed


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (change("SOPClassUID", CTImageStorage), "is no RT Structure Set"),
        (change("RTROIObservationsSequence", []), "truncated"),
        (change("StructureSetROISequence", []), "contours of no structure"),
        (change_contour("NumberOfContourPoints", 3), "points are not"),
        (change_contour("ContourData", ["1", "2", "3", "4"]), "points are not"),
        (change_contour("ContourData", ["1", "2", "1e300"] * 8), "points are not"),
        (lambda dataset: delattr(dataset, "ROIContourSequence"), "truncated"),
        (lambda d: delattr(d.ROIContourSequence[0], "ReferencedROINumber"), "truncated"),
        (lambda d: delattr(d.StructureSetROISequence[0], "ROIName"), "none of the nine organs"),
    ],
)
def test_what_breaks_the_rules_is_refused(plain, series, tmp_path, broken, what) -> None:
    dataset = copy.deepcopy(plain)
    broken(dataset)
    with pytest.raises(OrganNetError, match=what) as error:
        read(dataset, series, tmp_path)
    assert "\n" not in str(error.value)


def test_what_is_no_file_of_dicom_is_refused(series, tmp_path: Path) -> None:
    with pytest.raises(OrganNetError, match="does not exist"):
        read_rtstruct(tmp_path / "none.dcm", series)
    with pytest.raises(OrganNetError, match="is a folder"):
        read_rtstruct(tmp_path, series)
    for content in (b"", b"this is no DICOM" * 99):
        (tmp_path / "a.dcm").write_bytes(content)
        with pytest.raises(OrganNetError, match="is no DICOM file"):
            read_rtstruct(tmp_path / "a.dcm", series)


def content_of(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def test_a_file_that_ends_early_is_refused(plain, series, tmp_path: Path) -> None:
    content = content_of(plain)
    last = content.index(b"\x06\x30\x80\x00")  # observations
    for length in range(0, last, 37):
        (tmp_path / "rs.dcm").write_bytes(content[:length])
        with pytest.raises(OrganNetError, match=r"rs\.dcm"):
            read_rtstruct(tmp_path / "rs.dcm", series)


@given(
    at=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.tuples(st.floats(0, 1), st.integers(0, 40)),
)
@settings(max_examples=60, deadline=None)
def test_changed_bytes_are_refused_or_read(tmp_path_factory, plain, series, at, cut) -> None:
    content = bytearray(content_of(plain))
    for share, value in at:
        content[int(share * (len(content) - 1))] = value
    start = int(cut[0] * len(content))
    del content[start : start + cut[1]]
    path = tmp_path_factory.getbasetemp() / "changed.dcm"
    path.write_bytes(content)
    try:
        labels, drawn, _ = read_rtstruct(path, series)
    except OrganNetError as error:
        assert "\n" not in str(error)
    else:
        assert labels.shape == SHAPE and set(drawn) <= {"Parotid_L", "Parotid_R"}


# To a case


def test_a_case_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    labels = label_map()
    hu = np.random.default_rng(0).integers(-1000, 200, labels.shape).astype(np.int16)
    made = series_on(labels)
    made = MadeSeries(labels.with_array(hu), made.images, ())
    write_rtstruct(made, labels, tmp_path / "rs.dcm")
    out = tmp_path / "cases"
    drawn, notes = convert(made, tmp_path / "rs.dcm", out, "A1")
    case = read_case(out / "A1")
    assert drawn == {name: TG263[name] for name in case.drawn} and notes == ()
    assert np.array_equal(case.ct.array, hu) and same_grid(case.ct, labels)
    assert np.array_equal(case.labels.array, np.where(labels.array == 255, 0, labels.array))
    assert case.drawn == {"BrainStem", "Mandible", "OpticNerve_R", "Parotid_L"}
    with pytest.raises(OrganNetError, match="is there already"):
        convert(made, tmp_path / "rs.dcm", out, "A1")
    for name in ("", "..", ".hidden", "a/b"):
        with pytest.raises(OrganNetError, match="plain folder name"):
            convert(made, tmp_path / "rs.dcm", out, name)
    (tmp_path / "rs.dcm").write_bytes(b"")
    with pytest.raises(OrganNetError, match="no DICOM file"):
        convert(made, tmp_path / "rs.dcm", out, "A2")
    assert [path.name for path in out.iterdir()] == ["A1"]
