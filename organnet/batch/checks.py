"""What a physicist should look at first: where a label map is not as drawings usually are.

Warnings say where to look, and no warning is no proof: a contour may be wrong within all ranges.
"""

from organnet.batch.expected import Expected, expected, ml
from organnet.batch.measure import Measured, offset_mm, origin_of
from organnet.organs import ORGANS, spoken
from organnet.sides import left_right_agrees
from organnet.volume import Volume

TOWARDS = (
    ("lower", "higher"),
    ("further to the front", "further to the back"),
    ("further to the patient's right", "further to the patient's left"),
)
"""Words for less and more along z, y, x."""


def warnings_of(labels: Volume, organs: dict[str, Measured]) -> tuple[str, ...]:
    """Warnings about a label map, given its organs as `measure` tells them; one line each.

    First left and right, where the anatomy contradicts them, and the places that cannot be checked.
    Then an organ that was not found, is cut off by the scan, is unusual in volume or place, or
    unlike its partner. Where most were not found, that comes first, and where none was, alone.
    """
    usual = expected()
    few = _too_few(organs)
    if not organs:
        return few
    warnings = [*few, *_sides(labels), *_unplaced(organs)]
    for organ in ORGANS:
        found = organs.get(organ.name)
        if found is None:
            warnings += [] if few else [f"{spoken(organ.name)} was not found"]
        elif found.is_cut:
            warnings.append(
                f"{spoken(organ.name)} reaches the edge of the scan: part of it may be missing"
            )
        else:
            warnings += _unusual(organ.name, organs, usual[organ.name])
    for organ in ORGANS:
        if organ.name.endswith("_L"):
            warnings += _uneven(organ.name, organ.partner, organs, usual[organ.name])
    return tuple(warnings)


def _too_few(organs: dict[str, Measured]) -> tuple[str, ...]:
    """A line where less than half of the organs were found."""
    if len(organs) >= len(ORGANS) / 2:
        return ()
    names = ", ".join(spoken(organ.name) for organ in ORGANS if organ.name in organs)
    count = f"Only {len(organs)} of {len(ORGANS)} organs" if organs else "No organ"
    verb = "was" if len(organs) < 2 else "were"
    return (f"{count} {verb} found{names and f' ({names})'}: does the scan show head and neck?",)


def _sides(labels: Volume) -> list[str]:
    agrees = left_right_agrees(labels)
    if agrees is None:
        return ["Left and right could not be checked: too few organs were found"]
    if not agrees:
        return [
            "Left and right contradict the anatomy: is the scan mirrored, are organs exchanged?"
        ]
    return []


def _unplaced(organs: dict[str, Measured]) -> list[str]:
    """Whole organs whose places nothing tells, since others were not found; all in one line."""
    unplaced = [
        name for name in organs if not organs[name].is_cut and offset_mm(organs, name) is None
    ]
    if not unplaced:
        return []
    origins = {other for name in unplaced for other in origin_of(name)}
    missing = {other for other in origins if other not in organs or organs[other].is_cut}
    names, others = (
        ", ".join(spoken(organ.name) for organ in ORGANS if organ.name in group)
        for group in (unplaced, missing)
    )
    return [f"Places could not be checked: {names} (for want of {others}, missing or cut off)"]


def _unusual(name: str, organs: dict[str, Measured], usual: Expected) -> list[str]:
    """Volume and place of an organ, where they are far from what was drawn."""
    warnings = []
    volume, (least, largest) = organs[name].volume_ml, usual.volume_ml
    if not least <= volume <= largest:
        size = "small" if volume < least else "large"
        warnings.append(
            f"{spoken(name)} is {size}: {ml(volume)} ml, "
            f"where {ml(least)} to {ml(largest)} is usual"
        )
    offset = offset_mm(organs, name)
    if offset is not None:
        for value, (low, high), (less, more) in zip(offset, usual.offset_mm, TOWARDS, strict=True):
            beyond = max(low - value, value - high)
            if round(beyond) > 0:
                way = less if value < low else more
                warnings.append(f"{spoken(name)} lies {beyond:.0f} mm {way} than the usual range")
    return warnings


def _uneven(left: str, right: str, organs: dict[str, Measured], usual: Expected) -> list[str]:
    """A pair of which one is much larger, unless one is missing or cut off."""
    if not all(name in organs and not organs[name].is_cut for name in (left, right)):
        return []
    volumes = sorted(organs[name].volume_ml for name in (left, right))
    ratio = volumes[1] / volumes[0]
    if usual.asymmetry is None or ratio <= usual.asymmetry:
        return []
    return [
        f"{spoken(left)} and R differ: one is {ratio:.1f} times the other, "
        f"where up to {usual.asymmetry:g} is usual"
    ]
