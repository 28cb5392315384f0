"""What organs are called: TG-263 to write, what institutions write to read, SNOMED CT for machines.

TG-263: Mayo et al., Int J Radiat Oncol Biol Phys 2018, doi 10.1016/j.ijrobp.2017.12.013. SNOMED CT
codes are those of DICOM's own lists (PS3.16, CID 7153 and 9514 among others).
"""

import itertools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from organnet.errors import OrganNetError, one_line
from organnet.files import read_json
from organnet.organs import ORGAN_NAMES

TG263 = {
    "BrainStem": "Brainstem",
    "Chiasm": "OpticChiasm",
    "Mandible": "Bone_Mandible",
    "OpticNerve_L": "OpticNrv_L",
    "OpticNerve_R": "OpticNrv_R",
    "Parotid_L": "Parotid_L",
    "Parotid_R": "Parotid_R",
    "Submandibular_L": "Glnd_Submand_L",
    "Submandibular_R": "Glnd_Submand_R",
}
"""The name that is written for each organ."""


@dataclass(frozen=True)
class Code:
    """A concept of SNOMED CT: its number and what it means."""

    value: str
    meaning: str


ANATOMICAL_STRUCTURE = Code("91723000", "Anatomical Structure")
"""DICOM's code (CID 7150). 3D Slicer's own lists have another, which `slicer` writes."""
LEFT, RIGHT = Code("7771000", "Left"), Code("24028007", "Right")
_OPTIC_NERVE = Code("18234004", "Optic nerve")
_PAROTID = Code("45289007", "Parotid gland")
_SUBMANDIBULAR = Code("54019009", "Submandibular gland")

CODES: dict[str, tuple[Code, Code | None]] = {
    "BrainStem": (Code("119238007", "Brain Stem"), None),
    "Chiasm": (Code("244453006", "Optic chiasm"), None),
    "Mandible": (Code("91609006", "Mandible"), None),
    "OpticNerve_L": (_OPTIC_NERVE, LEFT),
    "OpticNerve_R": (_OPTIC_NERVE, RIGHT),
    "Parotid_L": (_PAROTID, LEFT),
    "Parotid_R": (_PAROTID, RIGHT),
    "Submandibular_L": (_SUBMANDIBULAR, LEFT),
    "Submandibular_R": (_SUBMANDIBULAR, RIGHT),
}
"""What each organ is, and on which side where there are two of it."""

MAP_OF_NAMES = '--names FILE.json with {"ITS NAME": "Parotid_L"}'
_SIDES = {
    "L": "l lt lft left li lks link links linke linker sx sin sinistra izq izquierda gauche",
    "R": "r rt rgt right re rts recht rechts rechte rechter dx dext destra der derecha droite "
    "droit",
}
_UNPAIRED = {
    "BrainStem": "brainstem brainstm brnstem bstem stembrain stammhirn hirnstamm troncocerebral "
    "tronccerebral troncoencefalo troncoencefalico",
    "Chiasm": "chiasm chiasma chiasme opticchiasm opticchiasma opticalchiasm chiasmoptic "
    "chiasmaoptic chiasmaopticum chiasmaoptikum chiasmaopticus chiasmeoptique chiasmaottico "
    "chiasmoptico quiasma quiasmaoptico sehnervenkreuzung",
    "Mandible": "mandible mandibula mandibule mandibola mandib mand lowerjaw bonemandible "
    "mandiblebone bonemandib unterkiefer unterkieferknochen",
}
_PAIRED = {
    "OpticNerve": "opticnerve opticalnerve opticnrv opticn nopticus noptikus noptic nervusopticus "
    "nervusoptikus nervopticus nervoptic nrvoptic nerveoptic nerveoptique nerfoptique nfoptique "
    "nervooptico nervioptico nervoottico opticus optikus sehnerv on",
    "Parotid": "parotid parotis parotide parotida parotidgland parotidgl parotidglnd parotisgland "
    "glandparotid glndparotid glparotid glparotis glandulaparotis glandulaparotidea "
    "glandparotis glandeparotide ohrspeicheldruese ohrspeicheldruse",
    "Submandibular": "submandibular submandibulargland submandibulargl submandibularglnd "
    "submandibularis submandib submand subman submandgland submandglnd submandgl "
    "submandgld submandibgland smg smgland glandsubmand glandsubmandibular glandsubmandib "
    "glndsubmand glndsubmandib glndsubmandibular glsubmand glsubmandib glsubmandibular "
    "glsubmandibularis glandulasubmandibularis glandesousmaxillaire sousmaxillaire "
    "submaxillary submaxillarygland unterkieferspeicheldruese unterkieferspeicheldruse",
}
_GLAND = re.compile(r"^(parotid|submand|submandibular)(gland|gl|glnd)$")


def _spellings() -> dict[str, str]:
    """Organ by spelling, in lower case and letters alone."""
    spellings = {word: name for name, words in _UNPAIRED.items() for word in words.split()}
    for (name, words), (letter, sides) in itertools.product(_PAIRED.items(), _SIDES.items()):
        for word, side in itertools.product(words.split(), sides.split()):
            spellings[word + side] = spellings[side + word] = f"{name}_{letter}"
            gland = _GLAND.match(word)
            if gland is not None:  # Parotid_Lt_Gland
                spellings[gland[1] + side + gland[2]] = f"{name}_{letter}"
    return spellings


_SPELLINGS = _spellings()
_PLAIN = re.compile(r"[A-Za-z][A-Za-z _.,()\[\]-]*")
"""Anything but letters and what stands between words marks another structure than the organ:
TG-263's leading _ and ~, a caret, a plus, the millimetres of a margin."""


def organ_called(name: str) -> str | None:
    """The organ that a structure of this name is; None where it is none of the nine or unclear.

    Case and what stands between words do not matter. The whole name must be the organ's, so that
    a planning structure made from the organ (Parotid_L_PRV, Parotid-PTV, Parotid_L_opt) is none.
    """
    folded = unicodedata.normalize("NFKD", name.strip().replace("ß", "ss"))
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    if _PLAIN.fullmatch(plain) is None or plain.rstrip(" ").endswith("-"):
        return None
    return _SPELLINGS.get("".join(letter for letter in plain.lower() if letter.isalpha()))


def read_names(path: Path) -> dict[str, str]:
    """A user's own map of structure names to organs, such as {"Ohrspeicheldr. li": "Parotid_L"}.

    Raises OrganNetError where it is no such JSON or a value is none of the nine organs.
    """
    names = read_json(path)
    for structure, name in names.items():
        if not isinstance(name, str) or name not in ORGAN_NAMES:
            raise OrganNetError(
                f"{path} maps {title_of(structure)} to {title_of(str(name))}, which is no organ: "
                f"choose one of {', '.join(ORGAN_NAMES)}"
            )
    return names


def organs_of_structures(
    structures: list[str], names: Mapping[str, str] | None
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Which structure of a list is each organ, by its place in it; a note on each that is none.

    A structure in `names` (its name as there) is the organ that this says, and no other structure
    is that organ by its spelling; a name there that is no structure's has a note too. Raises
    OrganNetError where two structures are one organ.
    """
    own = dict(names or {})
    given = {own[name] for name in structures if name in own}
    found: dict[str, int] = {}
    notes = [
        f"no structure with contours is called {title_of(name)}, as the map of names has it: "
        "check its spelling"
        for name in own
        if name not in structures
    ]
    for at, structure in enumerate(structures):
        called = organ_called(structure)
        organ = own.get(structure, called)
        if organ is None:
            notes.append(f"{title_of(structure)} is none of the nine organs: left out")
            continue
        if organ in given and structure not in own:
            notes.append(f"{title_of(structure)} left out: the map of names has another {organ}")
            continue
        if called not in (None, organ):
            notes.append(
                f"{title_of(structure)} is taken for {organ}, as the map of names has it, "
                f"though it is called as {called}"
            )
        if organ in found:
            raise OrganNetError(
                f"structures {title_of(structures[found[organ]])} and {title_of(structure)} are "
                f"both {organ}: name the one to take in a map of names, {MAP_OF_NAMES}"
            )
        found[organ] = at
    return found, tuple(notes)


def title_of(structure: str) -> str:
    """A structure's name as part of a message."""
    return one_line(structure, 40) or "without a name"
