"""What is measured, what is usual, what a physicist is warned of, and the report that says it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from batch_parts import HOW, tiny_png

from organnet.batch.checks import warnings_of
from organnet.batch.expected import expected, measure_drawings, ranges
from organnet.batch.measure import Measured, measure, offset_mm
from organnet.batch.record import Measured as RunMeasured
from organnet.batch.record import Record, picture_name
from organnet.batch.report import write_report
from organnet.organs import ORGAN_NAMES, organ, spoken, swap_left_right
from organnet.volume import Volume, to_lps

PLACES_MM = {
    "BrainStem": (41, 26, 0, 27),
    "Chiasm": (67, 2, 0, 0.6),
    "Mandible": (-13, -45, 0, 58),
    "OpticNerve_L": (66, -29, 21, 0.7),
    "OpticNerve_R": (66, -29, -21, 0.7),
    "Parotid_L": (0, 0, 58, 28),
    "Parotid_R": (0, 0, -58, 28),
    "Submandibular_L": (-41, -23, 32, 8),
    "Submandibular_R": (-41, -23, -32, 8),
}
"""Where an organ usually lies from the middle between the parotids, z, y, x in mm, and its ml."""


def usual_head() -> Volume:
    """A label map of cubes of the usual volumes in the usual places, 1 mm voxels."""
    labels = np.zeros((220, 180, 200), np.uint8)
    for name, (z, y, x, ml) in PLACES_MM.items():
        half = max(1, round((ml * 1000) ** (1 / 3) / 2))
        at = tuple(slice(c - half, c + half) for c in (z + 100, y + 90, x + 100))
        labels[at] = organ(name).label
    return Volume(labels, (1.0, 1.0, 1.0))


def warned(labels: np.ndarray) -> tuple[str, ...]:
    volume = Volume(labels, (1.0, 1.0, 1.0))
    return warnings_of(volume, measure(volume))


def test_measures_in_closed_form_whatever_the_orientation() -> None:
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[1:3, 2:6, 4:8] = 3
    labels[5, 7, 9] = 255
    for axes in ((0, 1, 2), (2, 0, 1)):
        direction = np.eye(3)[:, axes]
        spacing = tuple((3.0, 2.0, 1.0)[axis] for axis in axes)
        turned = Volume(np.ascontiguousarray(labels.transpose(axes)), spacing, direction=direction)
        assert to_lps(turned).shape == labels.shape
        (jaw,) = measure(turned).values()
        assert jaw.volume_ml == pytest.approx(32 * 6 / 1000)
        assert jaw.centre_mm.tolist() == [1.5 * 3, 3.5 * 2, 5.5]
        assert not jaw.is_cut
    labels[0, 2, 4] = 3
    assert measure(Volume(labels, (3.0, 2.0, 1.0)))["Mandible"].is_cut


def test_a_place_needs_what_it_is_told_from() -> None:
    organs = measure(usual_head())
    assert offset_mm(organs, "Mandible") == pytest.approx((-13, -45, 0), abs=0.6)
    assert offset_mm(organs, "Parotid_L") == pytest.approx((-41, -26, 58), abs=0.6)
    del organs["Parotid_R"], organs["BrainStem"]
    assert offset_mm(organs, "Mandible") is None
    assert offset_mm(organs, "Parotid_L") is None


def test_ranges_in_closed_form() -> None:
    """Two scans whose parotids have 20 and 40 ml, exactly even: their logarithms' deviation."""

    def scan(ml: float, cut: bool) -> dict[str, Measured]:
        places = {name: np.array(place[:3], float) for name, place in PLACES_MM.items()}
        return {name: Measured(ml, place, cut) for name, place in places.items()}

    rows = ranges([scan(20, False), scan(40, False), scan(999, True)])
    deviation = np.std(np.log([20, 20, 40, 40]), ddof=1)
    middle = np.sqrt(20 * 40)
    for row in rows.values():
        assert row["volume_ml"] == pytest.approx(
            [middle * np.exp(-3 * deviation), middle * np.exp(3 * deviation)], rel=0.01
        )
        assert row["n"] == 2
    assert rows["Parotid_L"]["asymmetry"] == 1.0 and rows["Chiasm"]["asymmetry"] is None
    assert rows["Submandibular_L"]["offset_mm"] == [[-41, -41], [-23, -23], [32, 32]]
    assert rows["Submandibular_R"]["offset_mm"] == [[-41, -41], [-23, -23], [-32, -32]]


def test_the_stored_ranges_hold_every_organ_and_their_own_middle() -> None:
    assert tuple(expected()) == ORGAN_NAMES
    for name, usual in expected().items():
        assert 0 < usual.volume_ml[0] < PLACES_MM[name][3] < usual.volume_ml[1]
        assert (usual.asymmetry is None) == (organ(name).partner == name)
        left, right = (expected()[n].offset_mm[2] for n in (name, organ(name).partner))
        assert left == (-right[1], -right[0])


def test_the_stored_ranges_come_from_the_drawings(shared_data: Path, tmp_path: Path) -> None:
    """Three real drawings of each source, measured again: no volume of theirs is unusual."""
    for source, folder in (("pddca", "pddca"), ("test", "observers")):
        (tmp_path / folder).mkdir()
        people = [""] if source == "pddca" else ["oncologist", "radiographer"]
        for person in people:
            here = shared_data / folder / source / person if person else shared_data / "pddca"
            there = tmp_path / folder / person
            there.mkdir(exist_ok=True)
            for scan in sorted(here.iterdir())[1:3]:
                (there / scan.name).symlink_to(scan)
    scans = measure_drawings(tmp_path / "pddca", tmp_path / "observers")
    assert len(scans) == 4
    for organs in scans:
        for name, found in organs.items():
            least, largest = expected()[name].volume_ml
            assert least <= found.volume_ml <= largest


def test_a_usual_head_gives_no_warning() -> None:
    assert warned(usual_head().array) == ()


def test_every_warning() -> None:
    head = usual_head().array

    def without(name: str) -> np.ndarray:
        return np.where(head == organ(name).label, 0, head).astype(np.uint8)

    assert warned(without("Chiasm")) == ("Chiasm was not found",)

    half = head.copy()
    half[:, :, 158:][half[:, :, 158:] == organ("Parotid_L").label] = 0
    assert any(text.startswith("Parotid L and R differ: one is 2") for text in warned(half))

    small = without("BrainStem")
    small[141, 116, 100] = 1
    assert "Brain stem is small: 0.00 ml, where 17.8 to 42.1 is usual" in warned(small)

    up = without("Submandibular_R")
    up[95:115, 60:80, 60:75] = organ("Submandibular_R").label
    assert any(
        re.match("Submandibular R lies 2[0-9] mm higher than the usual range", w)
        for w in warned(up)
    )

    assert any("Mandible reaches the edge" in text for text in warned(head[80:]))
    assert any("contradict the anatomy" in text for text in warned(swap_left_right(head)))
    only = np.where(head == organ("Chiasm").label, head, 0).astype(np.uint8)
    assert warned(only)[:2] == (
        "Only 1 of 9 organs was found (Chiasm): does the scan show head and neck?",
        "Left and right could not be checked: too few organs were found",
    )
    assert not [text for text in warned(only) if "not found" in text]
    assert warned(head * 0) == ("No organ was found: does the scan show head and neck?",)


def test_places_that_cannot_be_checked_are_named() -> None:
    head = usual_head().array
    head[head == organ("Parotid_R").label] = 0
    unplaced = "Brain stem, Chiasm, Mandible, Optic nerve L, Optic nerve R"
    assert warned(head) == (
        f"Places could not be checked: {unplaced}, Submandibular L, Submandibular R "
        "(for want of Parotid R, missing or cut off)",
        "Parotid R was not found",
    )
    head[head == organ("BrainStem").label] = 0
    assert (
        "Places could not be checked: Chiasm, Mandible, Optic nerve L, Optic nerve R, Parotid L, "
        "Submandibular L, Submandibular R (for want of Brain stem, Parotid R, missing or cut off)"
        in warned(head)
    )


def test_places_are_not_told_from_an_organ_that_the_scan_cuts_off() -> None:
    head = usual_head().array
    parotid = np.argwhere(head == organ("Parotid_L").label)
    x = int(np.median(parotid[:, 2]))
    cut = warned(head[:, :, : x + 1])  # half of it beyond the scan's edge
    assert "Parotid L reaches the edge of the scan" in " ".join(cut)
    assert any(w.startswith("Places could not be checked: Brain stem, Chiasm") for w in cut)
    assert not [w for w in cut if "than the usual range" in w and not w.startswith("Parotid")]


def test_names_as_prose_has_them() -> None:
    assert [spoken(name) for name in ("BrainStem", "OpticNerve_L", "Submandibular_R")] == [
        *("Brain stem", "Optic nerve L", "Submandibular R")
    ]


class References(HTMLParser):
    """What a page asks for, its elements, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references, self.ids, self.tags, self.words = [], set(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for key, value in attrs:
            if key in ("src", "href", "data", "action", "poster", "srcset"):
                self.references.append(value)
            elif key == "id":
                self.ids.add(value)

    def handle_data(self, data):
        self.words.append(data)


def report_of(out: Path) -> tuple[str, References]:
    records = [
        Record(
            *("A <b>bold</b> case", "done", "", "scans/<b>A</b>.nrrd", "ab" * 32),
            HOW,
            HOW.sha256(),
            outputs={"A.nrrd": "cd" * 32},
            picture_sha256="ef" * 32,
            warnings=("Chiasm was not found", "odd & <strange>"),
            volumes_ml={"BrainStem": 25.31, "Mandible": 7.5},
            measured=RunMeasured(12.5, 800),
        ),
        Record("B", "failed", "B.nrrd is <empty>: mend it", None, "12" * 32, HOW, HOW.sha256()),
    ]
    picture = out / picture_name(records[0].case)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(tiny_png())
    write_report(out, records)
    text = (out / "report.html").read_text(encoding="utf-8")
    slower = replace(records[0], measured=RunMeasured(99.9, 9999))
    write_report(out, [slower, records[1]])
    assert (out / "report.html").read_text(encoding="utf-8") == text  # no seconds in it
    return text, References(text)


def test_the_report_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    text, page = report_of(tmp_path)
    assert not page.tags & {"script", "link", "iframe", "object", "b", "strange", "empty"}
    for reference in page.references:
        assert reference.startswith("data:image/png;base64,") or reference[1:] in page.ids
    assert not re.search(r"https?:|url\(|@import|//\w", re.sub('base64,[^"]*', "", text))


def test_the_report_says_what_it_must(tmp_path: Path) -> None:
    _, page = report_of(tmp_path)
    words = " ".join(" ".join(page.words).split())
    for said in (
        "Research software, no medical device.",
        "2 cases: 1 segmented, 1 of them with warnings; 1 failed.",
        "B.nrrd is <empty>: mend it",
        "odd & <strange>",
        "Brain stem 25.3 17.8 to 42.1",
        "Mandible 7.50",
        "Chiasm not found",
    ):
        assert said in words


def test_a_case_whose_picture_is_gone_is_shown_without(tmp_path: Path) -> None:
    done = Record(*("A", "done", "", "A.nrrd", "ab" * 32), HOW, HOW.sha256(), {"A.nrrd": "cd" * 32})
    write_report(tmp_path, [done])
    page = References((tmp_path / "report.html").read_text(encoding="utf-8"))
    words = " ".join(" ".join(page.words).split())
    assert "No picture: records/A.png cannot be read (No such file or directory)" in words
    assert "Written: A.nrrd" in words and "img" not in page.tags
