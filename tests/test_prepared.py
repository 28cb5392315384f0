"""Cases on the network's grid: cropped to the head, and the same when read back."""

from pathlib import Path

import numpy as np
import pytest

from organnet.datasets import Case
from organnet.head import head_box
from organnet.prepared import PreparedCase, drawn_classes, prepare, prepare_all
from organnet.volume import Volume

SPACING_MM = (3.0, 2.0, 2.0)


def patient(spacing_mm: tuple[float, float, float] = (3.0, 2.0, 2.0), scale: int = 1) -> Case:
    """An upright ellipsoid of a head on a neck and wide shoulders, with a couch behind."""
    shape = (110, 130 * scale, 220 * scale)
    z, y, x = (
        (np.arange(n) * mm).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (n, mm) in enumerate(zip(shape, spacing_mm, strict=True))
    )
    head = ((z - 230) / 90) ** 2 + ((y - 120) / 95) ** 2 + ((x - 220) / 75) ** 2 < 1
    neck = ((y - 120) / 55) ** 2 + ((x - 220) / 55) ** 2 + 0 * z < 1
    shoulders = ((y - 120) / 70) ** 2 + ((x - 220) / 210) ** 2 + 0 * z < 1
    ct = np.full(shape, -1000, np.int16)
    ct[head | (neck & (z < 230)) | (shoulders & (z < 60))] = 40
    ct[np.broadcast_to((y > 240) & (y < 244), shape)] = 100
    labels = np.zeros(shape, np.uint8)
    ball = ((z - 200) / 12) ** 2 + ((y - 120) / 12) ** 2 + ((x - 260) / 12) ** 2 < 1
    labels[ball] = 6
    ct[ball] = 80
    volume = Volume(ct, spacing_mm)
    return Case("patient", volume, volume.with_array(labels), frozenset({"Parotid_L"}))


def test_the_box_holds_the_head_and_leaves_shoulders_and_couch() -> None:
    case = patient()
    box_mm = [
        (s.start * mm, s.stop * mm)
        for s, mm in zip(head_box(case.ct), case.ct.spacing_mm, strict=True)
    ]
    head_mm = [(140, 320), (25, 215), (145, 295)]
    for (low, high), (first, last) in zip(box_mm, head_mm, strict=True):
        assert low <= first
        assert high >= last
    (_, top), (_, back), (right, left) = box_mm
    assert top <= 345  # no more than the margin above the vertex
    assert back <= 240  # the couch is outside
    assert left - right < 190  # and so are the shoulders


def test_the_box_does_not_depend_on_the_pixel() -> None:
    coarse, fine = head_box(patient().ct), head_box(patient((3.0, 1.0, 1.0), scale=2).ct)
    for a, b, n in zip(coarse, fine, (1, 2, 2), strict=True):
        assert abs(a.start * n - b.start) * 2.0 / n <= 8
        assert abs(a.stop * n - b.stop) * 2.0 / n <= 8


def test_a_scan_that_ends_in_the_neck_is_kept_whole_from_its_top() -> None:
    case = patient()
    cut = Volume(case.ct.array[:60], case.ct.spacing_mm)
    assert head_box(cut)[0].stop == 60


def test_prepared_ct_and_labels_stay_together() -> None:
    prepared = prepare(patient(), (3.0, 3.0, 3.0))
    ball = prepared.labels == 6
    assert prepared.ct[ball].mean() == pytest.approx(80, abs=8)
    assert prepared.ct[~ball].max() <= 101
    volume_mm3 = ball.sum() * np.prod(prepared.spacing_mm)
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.05)
    assert prepared.drawn.tolist() == drawn_classes(["Parotid_L"]).tolist()


def test_what_is_read_back_is_what_was_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = patient()
    expected = prepare(case, (4.0, 3.0, 3.0))
    loads = []

    def load(name: str) -> Case:
        loads.append(name)
        return case

    for _ in range(2):
        [read] = prepare_all(["patient"], load, (4.0, 3.0, 3.0), tmp_path)
        assert (read.ct == expected.ct).all()
        assert (read.labels == expected.labels).all()
        assert (read.drawn == expected.drawn).all()
        assert read.spacing_mm == expected.spacing_mm
    assert loads == ["patient"]
    [other] = prepare_all(["patient"], load, (5.0, 5.0, 5.0), tmp_path)
    assert other.ct.shape != expected.ct.shape
    loads.clear()
    monkeypatch.setattr("organnet.prepared.ORGAN_NAMES", ("BrainStem", "SpinalCord"))
    for _ in range(2):
        prepare_all(["patient"], load, (5.0, 5.0, 5.0), tmp_path)
    assert loads == ["patient"]  # once, for the other organs


def test_only_known_organs_are_drawn() -> None:
    assert drawn_classes([]).tolist() == [True] + [False] * 9
    assert drawn_classes(["Chiasm", "Larynx"]).sum() == 2


def test_an_organs_voxels_are_those_of_its_label_if_it_was_drawn() -> None:
    labels = np.random.default_rng(0).choice([0, 1, 2, 9, 255], (4, 5, 6)).astype(np.uint8)
    drawn = drawn_classes(["BrainStem", "Mandible", "Submandibular_R"])
    case = PreparedCase("a", np.zeros((4, 5, 6), np.int16), labels, drawn, (1.0, 1.0, 1.0))
    assert list(case.organ_voxels) == [1, 9]  # 2 is not drawn, 3 has no voxel
    for label, voxels in case.organ_voxels.items():
        assert np.array_equal(np.unravel_index(voxels, labels.shape), np.nonzero(labels == label))


def test_the_box_holds_every_organ_of_the_real_case(shared_data: Path) -> None:
    from organnet.datasets.pddca import read_case
    from organnet.volume import to_lps

    case = read_case(shared_data / "pddca" / "0522c0014")
    labels = to_lps(case.labels).array
    box = head_box(to_lps(case.ct))
    assert (labels[box] > 0).sum() == (labels > 0).sum()
