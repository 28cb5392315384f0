"""Segmentations for 3D Slicer: a label map with names, colours and codes."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.colors import to_hex
from rtstruct_parts import label_map, rotation

from organnet.dicom.names import ANATOMICAL_STRUCTURE, TG263
from organnet.errors import OrganNetError
from organnet.organs import UNKNOWN, organ
from organnet.slicer import write_seg_nrrd
from organnet.volume import Volume, read_volume, same_grid


def header_of(path: Path) -> dict[str, str]:
    """Keys and texts as they stand in the file, before the empty line."""
    lines = path.read_bytes().split(b"\n\n")[0].decode("ascii").splitlines()
    return dict(line.split(":=", 1) for line in lines if ":=" in line)


def test_other_programs_read_the_label_map(tmp_path: Path) -> None:
    labels = label_map()
    write_seg_nrrd(labels, tmp_path / "a.seg.nrrd")
    again = read_volume(tmp_path / "a.seg.nrrd")
    assert np.array_equal(again.array, np.where(labels.array == UNKNOWN, 0, labels.array))
    assert again.array.dtype == np.uint8 and same_grid(again, labels)


def test_slicer_finds_each_organ_with_its_name_and_colour(tmp_path: Path) -> None:
    labels = label_map()
    write_seg_nrrd(labels, tmp_path / "a.seg.nrrd")
    header = header_of(tmp_path / "a.seg.nrrd")
    names = ["BrainStem", "Mandible", "OpticNerve_R", "Parotid_L"]
    for n, name in enumerate(names):
        assert header[f"Segment{n}_ID"] == name
        assert header[f"Segment{n}_Name"] == TG263[name]
        assert header[f"Segment{n}_LabelValue"] == str(organ(name).label)
        assert header[f"Segment{n}_Layer"] == "0"
        assert header[f"Segment{n}_Extent"] == "0 27 0 23 0 4"  # x, y, z
        colour = [round(255 * float(part)) for part in header[f"Segment{n}_Color"].split()]
        assert bytes(colour).hex() == organ(name).colour[1:]
    assert not [key for key in header if key.startswith("Segment4")]
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert header["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    assert "~SCT^45289007^Parotid gland~SCT^7771000^Left~" in header["Segment3_Tags"]
    assert "~SCT^119238007^Brain Stem~^^~" in header["Segment0_Tags"]
    # The category as Slicer's list codes it, which is not as DICOM's does
    listed = "3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure~SCT^"
    assert listed in header["Segment0_Tags"] and ANATOMICAL_STRUCTURE.value == "91723000"


@given(seed=st.integers(0, 9), turn=arrays(float, 3, elements=st.floats(-3, 3)))
@settings(max_examples=20, deadline=None)
def test_the_reader_of_slicers_people_finds_names_colours_and_places(seed: int, turn) -> None:
    """On any oblique grid; slicerio is written by developers of 3D Slicer."""
    voxels = label_map(seed=seed).array
    labels = Volume(voxels, (2.5, 1.1, 0.9), (-30.0, 20.0, 5.0), rotation(turn))
    with tempfile.TemporaryDirectory() as folder:
        write_seg_nrrd(labels, Path(folder, "a.seg.nrrd"))
        read = slicerio.read_segmentation(f"{folder}/a.seg.nrrd")
    for segment in read["segments"]:
        one = organ(segment["id"])
        assert segment["name"] == TG263[one.name]
        assert to_hex(segment["color"]) == one.colour
        side = {"L": "Left", "R": "Right"}.get(one.name[-1]) if "_" in one.name else None
        assert segment["terminology"].get("typeModifier", [None])[-1] == side
        mask = read["voxels"] == segment["labelValue"]
        assert np.array_equal(mask.transpose(2, 1, 0), voxels == one.label)
    assert {s["labelValue"] for s in read["segments"]} == set(np.unique(voxels)) - {0, UNKNOWN}
    for z, y, x in ((0, 0, 0), (4, 23, 27), (2, 5, 9)):
        place = (read["ijkToLPS"] @ (x, y, z, 1))[:3]
        assert place[::-1] == pytest.approx(labels.position_mm((z, y, x)), abs=1e-3)


def test_slicers_own_keys_are_seen_through_simpleitk_too(tmp_path: Path) -> None:
    write_seg_nrrd(label_map(), tmp_path / "a.seg.nrrd")
    image = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    assert image.GetMetaData("Segment0_Name") == "Brainstem"
    kinds = [image.GetMetaData(f"NRRD_kinds[{axis}]") for axis in range(3)]
    assert kinds == ["domain"] * 3


def test_the_same_label_map_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_seg_nrrd(label_map(), tmp_path / f"{name}.seg.nrrd")
    assert (tmp_path / "a.seg.nrrd").read_bytes() == (tmp_path / "b.seg.nrrd").read_bytes()


def test_an_empty_label_map_is_a_segmentation_without_segments(tmp_path: Path) -> None:
    labels = label_map()
    write_seg_nrrd(labels.with_array(np.zeros_like(labels.array)), tmp_path / "a.seg.nrrd")
    assert not [key for key in header_of(tmp_path / "a.seg.nrrd") if key.startswith("Segment0")]


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrganNetError, match=r"does not end in \.seg\.nrrd"):
        write_seg_nrrd(label_map(), tmp_path / "a.nrrd")
    (tmp_path / "file").write_text("")
    with pytest.raises(OrganNetError, match="cannot write"):
        write_seg_nrrd(label_map(), tmp_path / "file" / "a.seg.nrrd")
