"""Image files of any geometry, as we and readers that are not ITK's see them: voxels and places."""

import itertools
import math
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from dicom_parts import proper_rotation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from organnet.organs import ORGANS
from organnet.volume import Volume, read_volume, write_volume

Seen = tuple[np.ndarray, np.ndarray]
"""Values (x, y, z), and the matrix from their indices to mm: (4, 4), LPS."""
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def _by_nibabel(path: Path) -> Seen:
    image = nibabel.load(path)
    return np.asarray(image.dataobj), RAS_TO_LPS @ image.affine


def _by_nibabel_qform(path: Path) -> Seen:
    image = nibabel.load(path)
    return np.asarray(image.dataobj), RAS_TO_LPS @ image.get_qform()


def _by_pynrrd(path: Path) -> Seen:
    values, header = nrrd.read(str(path))
    assert header["space"] == "left-posterior-superior"
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = header["space directions"].T, header["space origin"]
    return values, matrix


def _by_hand(path: Path) -> Seen:
    """MetaImage's own description: a header of text; columns of the matrix are its rows' words."""
    head, _, packed = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    fields = dict(line.split(" = ") for line in head.decode().splitlines())
    sizes = [int(word) for word in fields["DimSize"].split()]
    kind = {"MET_SHORT": np.int16, "MET_UCHAR": np.uint8}[fields["ElementType"]]
    values = np.frombuffer(zlib.decompress(packed), kind).reshape(sizes, order="F")
    axes, spacing, origin = (
        np.array(fields[key].split(), float)
        for key in ("TransformMatrix", "ElementSpacing", "Offset")
    )
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes.reshape(3, 3).T * spacing, origin
    return values, matrix


READERS: list[tuple[str, Callable[[Path], Seen]]] = [
    (".nii", _by_nibabel),
    (".nii.gz", _by_nibabel),
    (".nii.gz", _by_nibabel_qform),
    (".nrrd", _by_pynrrd),
    (".mha", _by_hand),
]
EXACT_MM = 2e-3
QUATERNION_ROUNDING = 2.0**-23
"""Most by which the rounding of b, c and d to float32 changes b^2 + c^2 + d^2."""
coordinate = st.floats(-500, 500, width=32)
spacing = st.floats(0.25, 6, width=32)


def _qform_angle(written: Volume) -> float:
    """Radians that a qform may be off: it keeps b, c, d and not a = sqrt(1 - b^2 - c^2 - d^2).

    Near half a turn a is small, and the rounding of the others takes it away.
    """
    axes = RAS_TO_LPS[:3, :3] @ written.direction[::-1, ::-1]
    axes[:, 2] *= np.sign(np.linalg.det(axes))  # a qform has a mirrored third axis for itself
    a = abs(nibabel.quaternions.mat2quat(axes)[0])
    return 2 * QUATERNION_ROUNDING / max(a, math.sqrt(QUATERNION_ROUNDING))


@pytest.mark.parametrize(("suffix", "seen_by"), READERS)
@given(
    shape=st.tuples(*[st.integers(2, 7)] * 3),
    spacing_mm=st.tuples(spacing, spacing, spacing),
    origin_mm=st.tuples(coordinate, coordinate, coordinate),
    seed=st.integers(0, 1000),
    mirrored=st.sampled_from([(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]),
    kind=st.sampled_from([np.int16, np.uint8]),
)
@example((7, 7, 7), (6.0, 6.0, 6.0), (0.0, 0.0, 0.0), 120, (1, 1, 1), np.int16)  # half a turn
@settings(max_examples=60, deadline=None)
def test_two_readers_see_each_voxel_at_the_same_place(
    suffix, seen_by, shape, spacing_mm, origin_mm, seed, mirrored, kind
) -> None:
    values = np.random.default_rng(seed).integers(0, len(ORGANS) + 1, shape).astype(kind)
    written = Volume(values, spacing_mm, origin_mm, proper_rotation(seed) * mirrored)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write_volume(written, path)
        ours = read_volume(path)
        theirs, matrix = seen_by(path)
    assert np.array_equal(ours.array, values) and np.array_equal(theirs, values.transpose(2, 1, 0))
    within_mm = EXACT_MM
    if seen_by is _by_nibabel_qform:
        within_mm += _qform_angle(written) * np.linalg.norm(np.multiply(shape, spacing_mm))
    for corner in itertools.product(*((0, size - 1) for size in shape)):
        place = matrix @ (*corner[::-1], 1)
        for volume in (written, ours):
            assert volume.position_mm(corner)[::-1] == pytest.approx(place[:3], abs=within_mm)
