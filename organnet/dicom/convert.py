"""A CT series and its RT Structure Set as a case in PDDCA's layout."""

from collections.abc import Mapping
from pathlib import Path

from organnet.datasets.case import Case
from organnet.datasets.pddca import write_case
from organnet.dicom.images import DicomCT
from organnet.dicom.rtstruct import read_rtstruct
from organnet.errors import OrganNetError


def convert(
    series: DicomCT,
    rtstruct: Path,
    out: Path,
    name: str,
    names: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Write OUT/NAME/img.nrrd and structures/*.nrrd, whole or not at all.

    `names` maps structures' names to organs before their spelling does. Returns the structure that
    each organ is, and a note on each thing that was left out or made up. Raises OrganNetError where
    the structure set cannot be read, the name is no plain folder name, the case is there already,
    or it cannot be written.
    """
    if not name or Path(name).name != name or name.startswith("."):
        raise OrganNetError(f"a case cannot be called {name!r}: give a plain folder name")
    if (out / name).exists():
        raise OrganNetError(f"{out / name} is there already: choose another name or remove it")
    labels, drawn, notes = read_rtstruct(rtstruct, series, names)
    write_case(out, Case(name, series.ct, labels, frozenset(drawn)))
    return drawn, notes
