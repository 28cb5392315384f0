"""What volumes and places are usual: numbers from drawings by hand, kept in expected.json.

`expected.json` is `ranges(measure_drawings(PDDCA, OBSERVERS))` of the 16 cases of PDDCA and the 32
other scans of the two observers' 35, as the oncologist drew them; no drawing itself is kept here.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from organnet.batch.measure import Measured

TABLE = Path(__file__).with_name("expected.json")
DEVIATIONS = 3
"""Standard deviations to either side of the mean that count as usual."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Expected:
    """What is usual of one organ.

    Attributes:
        volume_ml: least and largest.
        offset_mm: least and largest along z, y, x, as `measure.offset_mm` tells a place.
        asymmetry: largest ratio of the larger to the smaller of a pair; None on the midline.
        n: in how many scans its volume was known.
    """

    volume_ml: Range
    offset_mm: tuple[Range, Range, Range]
    asymmetry: float | None
    n: int


@cache
def expected() -> dict[str, Expected]:
    """What is usual, by organ."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return {
        name: Expected(
            tuple(row["volume_ml"]),
            tuple(tuple(axis) for axis in row["offset_mm"]),
            row["asymmetry"],
            row["n"],
        )
        for name, row in table.items()
    }


def ml(volume: float) -> str:
    """A volume in ml as it is shown."""
    return f"{volume:.{2 if volume < 10 else 1}f}"


def measure_drawings(pddca: Path, observers: Path) -> list[dict[str, "Measured"]]:
    """Measure the organs of every scan once: PDDCA's drawing first, else the oncologist's."""
    from organnet.batch.measure import measure
    from organnet.datasets import observers as two_people
    from organnet.datasets import pddca as one
    from organnet.files import subfolders

    drawn = {folder.name: (one.read_labels, folder) for folder in subfolders(pddca)}
    for scan, (_, oncologist) in two_people.drawn_twice(observers).items():
        drawn.setdefault(scan, (two_people.read_labels, oncologist))
    return [measure(read(folder)[0]) for read, folder in drawn.values()]


def ranges(scans: list[dict[str, "Measured"]]) -> dict[str, dict]:
    """The rows of expected.json: mean and DEVIATIONS standard deviations to either side.

    Of volumes and their ratios the logarithm is taken. Every scan counts with its mirror image, so
    left and right have one range. An organ that its scan cuts off does not count.
    """
    import numpy as np

    from organnet.batch.measure import offset_mm
    from organnet.organs import ORGANS

    def usual(values: list) -> np.ndarray:
        mean, deviation = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
        return np.array([mean - DEVIATIONS * deviation, mean + DEVIATIONS * deviation])

    def whole(scan: dict[str, "Measured"], name: str) -> bool:
        return name in scan and not scan[name].is_cut

    rows = {}
    for organ in ORGANS:
        volumes, offsets, ratios = [], [], []
        for scan in scans:
            for name, mirror in ((organ.name, 1), (organ.partner, -1)):
                if whole(scan, name):
                    volumes.append(np.log(scan[name].volume_ml))
                    offset = offset_mm(scan, name)
                    if offset is not None:
                        offsets.append(offset * (1, 1, mirror))
            if organ.partner != organ.name and all(
                whole(scan, name) for name in (organ.name, organ.partner)
            ):
                ratio = np.log(scan[organ.name].volume_ml / scan[organ.partner].volume_ml)
                ratios += [ratio, -ratio]
        least, largest = np.exp(usual(volumes))
        places = zip(*usual(offsets), strict=True)
        rows[organ.name] = {
            "volume_ml": [float(f"{least:.3g}"), float(f"{largest:.3g}")],
            "offset_mm": [[round(low), round(high)] for low, high in places],
            "asymmetry": round(float(np.exp(usual(ratios)[1])), 2) if ratios else None,
            "n": sum(whole(scan, organ.name) for scan in scans),
        }
    return rows
