"""Names of structures: TG-263 to write; many spellings to read, and none that is not the organ."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.sr.codedict import codes

from organnet.dicom.names import (
    _PAIRED,
    _SIDES,
    ANATOMICAL_STRUCTURE,
    CODES,
    LEFT,
    RIGHT,
    TG263,
    organ_called,
    organs_of_structures,
    read_names,
)
from organnet.errors import OrganNetError
from organnet.organs import ORGAN_NAMES


def test_every_organ_has_a_name_and_a_code_and_is_read_by_either_name() -> None:
    assert tuple(TG263) == tuple(CODES) == ORGAN_NAMES
    for name in ORGAN_NAMES:
        assert organ_called(name) == organ_called(TG263[name]) == name


def test_the_codes_are_pydicoms() -> None:
    sct = codes.SCT
    known = [
        *(sct.BrainStem, sct.OpticChiasm, sct.Mandible, sct.OpticNerve, sct.OpticNerve),
        *(sct.ParotidGland, sct.ParotidGland, sct.SubmandibularGland, sct.SubmandibularGland),
    ]
    assert [code.value for code, _ in CODES.values()] == [code.value for code in known]
    assert ANATOMICAL_STRUCTURE.value == sct.AnatomicalStructure.value
    assert (LEFT.value, RIGHT.value) == (sct.Left.value, sct.Right.value)
    sides = {name: side for name, (_, side) in CODES.items()}
    assert all(sides[n] == {"L": LEFT, "R": RIGHT}.get(n[-2:].strip("_")) for n in ORGAN_NAMES)


@pytest.mark.parametrize(
    ("organ", "spellings"),
    [
        ("BrainStem", "Brainstem|BRAINSTEM|brain_stem|Brain Stem|Hirnstamm|Stammhirn|BrainStm"),
        ("BrainStem", "BSTEM"),
        ("Chiasm", "Chiasm|chiasma|Optic Chiasm|OPTIC_CHIASM|Chiasma opticum|Chiasma_Optic"),
        ("Mandible", "mandible|Mandibula|Bone_Mandible|Mandible_Bone|Unterkiefer|Mand"),
        ("OpticNerve_L", "Lt Optic Nerve|N. opticus li|Sehnerv links|ON_L|Left_Optic_Nerve"),
        ("OpticNerve_R", "Optic Nerve (R)|OpticNerve_Rt|Nrv_Optic_R|optic nerve right|R ON"),
        ("OpticNerve_R", "Nerf optique droit"),
        ("Parotid_L", "Parotid Lt|PAROTID_LEFT|Parotis li.|L Parotid|Glandula parotis links"),
        ("Parotid_L", "Lt_Parotid_Gland|Parotid_Lt_Gland|parotid-l|LPAROTID|Parotide gauche"),
        (
            "Parotid_R",
            "Parotis rechts|rt parotid|Parotid_R|Right Parotid Gland|Parotide destra",
        ),
        (
            "Submandibular_L",
            "SMG_L|Lt SMG|Subman_L|Gl. submandibularis li|Submandibular_Lt",
        ),
        ("Submandibular_R", "Glnd_Submand_R|Rt_Submandibular_Gland|SUBMANDIBULAR R|R_SMG"),
        ("Submandibular_R", "Glandula submandibularis rechts|Unterkieferspeicheldrüse re"),
    ],
)
def test_spellings(organ: str, spellings: str) -> None:
    assert {spelling: organ_called(spelling) for spelling in spellings.split("|")} == {
        spelling: organ for spelling in spellings.split("|")
    }


NOT_THE_ORGAN = (
    "Parotid_L_PRV|PTV-Parotid|Parotid_L-PTV|Parotid_L_opt|opt_Parotid_L|CTV_L|Parotid|Parotids|"
    "SMG|Brainstem_PRV|Brainstem_PRV03|Brainstem PRV 3mm|PRV_Brainstem|Brainstem+3|Chiasm_PRV3|"
    "Parotid_L minus PTV|Parotid_L - PTV|Parotid_L sub|Parotid_L_Sup|Parotid_L_deep|zParotid_L|"
    "_Parotid_L|~Parotid_L|Parotid_L^Dose|Parotid_L1|Parotid_L_2|Parotid_L-|Parotid_L_eval|"
    "Parotid_L_in|Parotid_both|Parotid_L+R|Parotid_LR|contra_Parotid|Mandible_L|Mandible-PTV|"
    "Brain|BrainStemCore|Brainstem_surf|Opt_Nerve_L|OptChiasm|Lens_L|Eye_L|GTV|BODY|SpinalCord|"
    "LN_L_Ib|Submental|Glnd_Sublingual_L|Glnd_Lacrimal_L|Pituitary|Parotid_IL|Parotis_ipsi||  |L|R|"
    "Parotid_L!|Parotid*L|Parotid_L/R|Parotid_L & R|TMJ_L|Teeth|Lips|Larynx|Oral Cavity"
)


@pytest.mark.parametrize("name", NOT_THE_ORGAN.split("|"))
def test_what_is_not_the_organ(name: str) -> None:
    assert organ_called(name) is None


def test_a_paired_organ_without_its_side_is_none() -> None:
    """Not by a letter of its own that could be a side: Submandibular is no right Submandibula."""
    words = [word for listed in _PAIRED.values() for word in listed.split()]
    assert len(words) > 60
    assert {word: organ_called(word) for word in words} == dict.fromkeys(words)


def test_a_spelling_is_of_one_organ_alone() -> None:
    for (name, words), (letter, sides) in itertools.product(_PAIRED.items(), _SIDES.items()):
        for word, side in itertools.product(words.split(), sides.split()):
            assert organ_called(word + side) == organ_called(side + word) == f"{name}_{letter}"


MARKS = "PTV|CTV|GTV|ITV|PRV|minus|opt|sub|exp|ring|avoid|eval|crop|3mm|5|+|~|^|*|in|out|dose"


@given(
    name=st.sampled_from([*ORGAN_NAMES, *TG263.values()]),
    mark=st.sampled_from(MARKS.split("|")),
    between=st.sampled_from(["", "_", " ", "-"]),
    before=st.booleans(),
)
def test_no_mark_of_planning_is_taken_for_the_organ(name, mark, between, before) -> None:
    marked = mark + between + name if before else name + between + mark
    assert organ_called(marked) is None


@given(name=st.text())
@settings(max_examples=50)
def test_any_text_is_an_organ_or_none(name: str) -> None:
    assert organ_called(name) in (None, *ORGAN_NAMES)


@given(name=st.sampled_from(ORGAN_NAMES[3:]), turned=st.sampled_from(["L", "R"]))
def test_the_other_side_is_the_other_organ(name: str, turned: str) -> None:
    assert organ_called(f"{name[:-1]}{turned}") == f"{name[:-1]}{turned}"


# Which structure is which organ


def test_each_organ_has_its_structure_and_the_others_a_note() -> None:
    found, notes = organs_of_structures(["PTV 70", "Parotis li", "Hirnstamm", "B\nOD\tY"], None)
    assert found == {"Parotid_L": 1, "BrainStem": 2}
    assert notes == (
        "PTV 70 is none of the nine organs: left out",
        "B OD Y is none of the nine organs: left out",
    )


def test_two_structures_of_one_organ_are_refused_unless_one_is_named() -> None:
    structures = ["Parotid_L", "Parotis li"]
    with pytest.raises(OrganNetError, match=r"^structures Parotid_L and Parotis li are both Par"):
        organs_of_structures(structures, None)
    found, notes = organs_of_structures(structures, {"Parotis li": "Parotid_L"})
    assert found == {"Parotid_L": 1}
    assert notes == ("Parotid_L left out: the map of names has another Parotid_L",)
    with pytest.raises(OrganNetError, match="both Parotid_L"):
        organs_of_structures(structures, {"Parotis li": "Parotid_L", "Parotid_L": "Parotid_L"})


def test_a_users_own_names_come_first() -> None:
    own = {"OAR 7": "Mandible", "Parotid_L": "Parotid_R"}
    found, _ = organs_of_structures(["OAR 7", "Parotid_L"], own)
    assert found == {"Mandible": 0, "Parotid_R": 1}


def test_a_name_that_says_one_organ_and_is_mapped_to_another_is_told() -> None:
    """A slip of the pen exchanges left and right."""
    found, notes = organs_of_structures(["Parotid_L", "Parotis re"], {"Parotid_L": "Parotid_R"})
    assert found == {"Parotid_R": 0}
    assert notes == (
        "Parotid_L is taken for Parotid_R, as the map of names has it, "
        "though it is called as Parotid_L",
        "Parotis re left out: the map of names has another Parotid_R",
    )


def test_a_name_of_the_map_that_no_structure_has_is_told() -> None:
    """A slip of the pen, or another case: each has its note, and nothing is the organ by it."""
    own = {"OAR 7": "Mandible", "oar 8": "Chiasm", "OAR 99": "BrainStem"}
    found, notes = organs_of_structures(["OAR 7", "OAR 8", "OAR 9"], own)
    assert found == {"Mandible": 0}
    assert notes == (
        *(
            f"no structure with contours is called {name}, as the map of names has it: "
            "check its spelling"
            for name in ("oar 8", "OAR 99")
        ),
        *(f"OAR {n} is none of the nine organs: left out" for n in (8, 9)),
    )


def test_a_users_map_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"OAR 7": "Mandible"}))
    assert read_names(path) == {"OAR 7": "Mandible"}
    for wrong in ("Bone", 3, None, ["Mandible"]):
        path.write_text(json.dumps({"OAR 7": wrong}))
        with pytest.raises(OrganNetError, match=r"maps OAR 7 to .* which is no organ: choose"):
            read_names(path)
    for text in ("[1]", "{", ""):
        path.write_text(text)
        with pytest.raises(OrganNetError, match=r"names\.json"):
            read_names(path)
    with pytest.raises(OrganNetError, match="does not exist"):
        read_names(tmp_path / "none.json")
