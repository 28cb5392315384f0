"""Scans that two people drew, an oncologist and a radiographer. Their CT are not read.

ROOT/{test, validation}/{oncologist, radiographer}/CASE/segmentations/{Brainstem, Mandible,
Optic-Nerve-Lt, ...}.nrrd. Eight of the nine organs, without the chiasm; some scans have underscores
for the hyphens. A mask that is empty was not drawn.

Source: Nikolov et al., JMIR 2021, doi 10.2196/26151; ROOT is the folder nrrds of
github.com/google-deepmind/tcia-ct-scan-dataset.
"""

from pathlib import Path

from organnet.datasets.pddca import read_masks
from organnet.errors import OrganNetError, shortened
from organnet.files import subfolders
from organnet.layout import STRUCTURES
from organnet.volume import Volume

SEGMENTATIONS = "segmentations"
RADIOGRAPHER, ONCOLOGIST = "radiographer", "oncologist"
FILES = {
    "BrainStem": "Brainstem",
    "Mandible": "Mandible",
    "OpticNerve_L": "Optic-Nerve-Lt",
    "OpticNerve_R": "Optic-Nerve-Rt",
    "Parotid_L": "Parotid-Lt",
    "Parotid_R": "Parotid-Rt",
    "Submandibular_L": "Submandibular-Lt",
    "Submandibular_R": "Submandibular-Rt",
}
"""Our name of an organ and the stem of its file."""


def is_drawing(folder: Path) -> bool:
    """Whether this is one observer's drawing of one scan; PDDCA's layout, if there, goes first."""
    return (folder / SEGMENTATIONS).is_dir() and not (folder / STRUCTURES).is_dir()


def read_labels(folder: Path) -> tuple[Volume, frozenset[str]]:
    """Read one drawing: label map (uint8, on the scan's own grid) and the organs drawn.

    Raises OrganNetError where there is no such folder, none of the organs has a file, one has two,
    a file is faulty, or two lie on different grids.
    """
    if not folder.is_dir():
        raise OrganNetError(f"{folder} is no folder: give a scan's, with {SEGMENTATIONS}/ in it")
    files: dict[str, Path] = {}
    names = {file: organ for organ, file in FILES.items()}
    for path in sorted((folder / SEGMENTATIONS).glob("*.nrrd")):
        organ = names.get(path.stem.replace("_", "-"))
        if organ in files:
            raise OrganNetError(f"{files[organ]} and {path} are one organ twice: remove one")
        if organ is not None:  # eyes, cord and the like are nobody's business here
            files[organ] = path
    if not files:
        raise OrganNetError(
            f"{folder / SEGMENTATIONS} holds none of the eight organs: "
            f"put {', '.join(f'{file}.nrrd' for file in FILES.values())} there"
        )
    return read_masks({organ: files[organ] for organ in FILES if organ in files})


def drawn_twice(root: Path) -> dict[str, tuple[Path, Path]]:
    """By scan, the folders of the radiographer's and the oncologist's drawing.

    `root` holds the two observers' folders, or split folders that hold them. Raises OrganNetError
    where it holds no scan, a scan of one observer alone, or a scan in two splits.
    """
    pairs: dict[str, tuple[Path, Path]] = {}
    for split in (root, *subfolders(root)):
        radiographer, oncologist = _drawings(split / RADIOGRAPHER), _drawings(split / ONCOLOGIST)
        alone = sorted(set(radiographer) ^ set(oncologist))
        if alone:
            raise OrganNetError(
                f"{split} holds {shortened(alone)} of one observer alone: "
                "add the other's drawing or remove this one"
            )
        twice = sorted(set(pairs) & set(oncologist))
        if twice:
            raise OrganNetError(f"{root} holds {shortened(twice)} in two folders: remove one")
        pairs |= {scan: (radiographer[scan], oncologist[scan]) for scan in oncologist}
    if not pairs:
        raise OrganNetError(
            f"{root} holds no scan drawn by two observers: clone "
            "github.com/google-deepmind/tcia-ct-scan-dataset and give its folder nrrds, "
            f"which holds test/{ONCOLOGIST}/CASE/{SEGMENTATIONS}"
        )
    return pairs


def _drawings(folder: Path) -> dict[str, Path]:
    """One observer's drawings by scan; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    return {scan.name: scan for scan in subfolders(folder) if is_drawing(scan)}
