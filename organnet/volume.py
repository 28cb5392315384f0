"""A CT or a label map with its place in the patient; reading, writing, turning.

Arrays are z, y, x; so are spacing, origin and direction. The order x, y, z exists in
`_volume_from_image` and `_image_from_volume` only, where SimpleITK is called. Physical positions
are LPS: x grows to the patient's left, y to the back, z to the head.
"""

import contextlib
import itertools
import math
import os
import re
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float64, Shaped

from organnet.errors import OrganNetError
from organnet.files import atomic_path
from organnet.integrity import check_gzip_nrrd, check_header, check_mha, check_size, nifti_bytes
from organnet.layout import IMAGE_FORMATS

LOWEST_HU = -1024
"""Lowest HU kept; scanners pad with -2000, -3024 or -32768 outside their field of view."""
SPACING_MM = (0.05, 20.0)
"""Of a CT's voxels. Metres or micrometres make a network's grid of no voxel, or of terabytes."""

_UNREADABLE = (RuntimeError, MemoryError, OSError, EOFError, ValueError, zlib.error)
"""What readers raise of a file that is not whole, or is none."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D array and the grid it lies on.

    Attributes:
        array: values, (z, y, x).
        spacing_mm: distance of neighbouring voxel centres along the array axes z, y, x, in mm.
        origin_mm: position of the centre of voxel (0, 0, 0), LPS, given as z, y, x, in mm.
        direction: rows are the physical axes z, y, x; columns the array axes z, y, x. The identity
            is an axial volume with x to the patient's left, y to the back and z to the head.
    """

    array: Shaped[np.ndarray, "z y x"] = field(repr=False)
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: Float64[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along z, y, x."""
        z, y, x = self.array.shape
        return z, y, x

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing_mm)) / 1000

    def with_array(self, array: Shaped[np.ndarray, "z y x"]) -> "Volume":
        """Other values on the same grid; raises ValueError where the shape differs."""
        if array.shape != self.array.shape:
            raise ValueError(f"array {array.shape} does not fit the grid {self.array.shape}")
        return replace(self, array=array)

    def position_mm(self, index: tuple[float, float, float]) -> Float64[np.ndarray, " 3"]:
        """LPS position, as z, y, x in mm, of the voxel with this z, y, x index."""
        return np.asarray(self.origin_mm) + self.direction @ (
            np.asarray(self.spacing_mm) * np.asarray(index)
        )


def read_volume(path: Path) -> Volume:
    """Read a scalar 3D image (.nrrd, .nii, .nii.gz, .mha) with the values as stored.

    It takes twice the memory of the values for a moment. Raises OrganNetError, one line that names
    the file, where it is missing, a folder, of another format, truncated, larger than is read, not
    3D, not scalar, on a sheared grid, or holds NaN or infinity.
    """
    reader = open_image(path)
    _refuse_what_is_no_volume(path, reader)
    _refuse_incomplete(path, reader)
    try:
        with without_itk_log():
            volume = _volume_from_image(reader.Execute())
        if reader.GetImageIO() == "NrrdImageIO":
            check_gzip_nrrd(path, volume.array)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    if not np.allclose(volume.direction.T @ volume.direction, np.eye(3), atol=1e-3):
        raise OrganNetError(
            f"{path} lies on a sheared grid (gantry tilt?): resample it to perpendicular axes"
        )
    array = volume.array
    if array.dtype.kind == "f" and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise OrganNetError(
            f"{path} holds NaN or infinite values: export it again or replace them (air is -1000)"
        )
    return volume


def read_ct(path: Path) -> Volume:
    """Read a CT as int16 HU on the grid of its file; padding below -1024 HU becomes -1024.

    Raises OrganNetError as `read_volume`, and where the values cannot be a head's CT in HU: beyond
    16 bits, no air (below -500 HU), or no soft tissue (-200 to 200 HU) - the marks of an image
    that was rescaled to 0..1 or 0..255, or stored without its intercept; or its voxels be a CT's,
    as where their spacing is not in mm.
    """
    volume = read_volume(path)
    if not all(SPACING_MM[0] <= mm <= SPACING_MM[1] for mm in volume.spacing_mm):
        sizes = " x ".join(f"{mm:.3g}" for mm in volume.spacing_mm)
        raise OrganNetError(f"{path} has voxels of {sizes} mm (z, y, x): correct their spacing")
    array = volume.array
    refuse_what_is_no_ct(array, path)
    hu = array if array.dtype == np.int16 else np.empty(array.shape, np.int16)
    for z, plane in enumerate(array):  # a whole volume of another type would be one too many
        hu[z] = np.maximum(np.rint(plane) if plane.dtype.kind == "f" else plane, LOWEST_HU)
    return volume.with_array(hu)


def refuse_what_is_no_ct(array: Shaped[np.ndarray, "z y x"], path: Path) -> None:
    """Raise OrganNetError, naming the path, where these values cannot be a head's CT in HU."""
    if min(array.shape) < 2:
        raise OrganNetError(f"{path} is a single slice: give the whole CT volume")
    low, high = float(array.min()), float(array.max())
    why = None
    if high > np.iinfo(np.int16).max or low < np.iinfo(np.int16).min:
        why = "more than 16 bits"
    elif low > -500:
        why = "no air below -500"
    elif not any(((plane > -200) & (plane < 200)).any() for plane in array):
        why = "no soft tissue between -200 and 200"
    if why is not None:
        raise OrganNetError(
            f"{path} is not a CT in HU (values {low:g} to {high:g}, {why}): "
            "export it in Hounsfield units, air -1000 and water 0"
        )


def write_volume(volume: Volume, path: Path, header: Mapping[str, str] | None = None) -> None:
    """Write a volume, compressed, in the format of the path's suffix; whole or not at all.

    `header` is written beside the grid where the format has room for keys and texts, as .nrrd has.
    Raises OrganNetError where the suffix is unknown or the file cannot be written.
    """
    image_format(path)
    image = _image_from_volume(volume)
    for key, text in (header or {}).items():
        image.SetMetaData(key, text)
    with atomic_path(path) as temporary:
        try:
            with without_itk_log():
                sitk.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:
            raise _not_written(path, _cause(error)) from error
        try:
            _refuse_incomplete(temporary, open_image(temporary))
        except OrganNetError as error:
            raise _not_written(path, "it came out incomplete") from error


def image_format(path: Path) -> str:
    """The SimpleITK reader for a path's suffix; raises OrganNetError where there is none."""
    for suffix, image_io in IMAGE_FORMATS.items():
        if path.name.lower().endswith(suffix):
            return image_io
    raise OrganNetError(f"{path} is not one of {', '.join(IMAGE_FORMATS)}: convert it to .nrrd")


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes have the same shape and each voxel of both the same place.

    Places may differ by a twentieth of the smallest spacing: writers round, PDDCA's among them.
    """
    if a.shape != b.shape:
        return False
    tolerance = 0.05 * min(*a.spacing_mm, *b.spacing_mm)
    corners = itertools.product(*((0, n - 1) for n in a.shape))
    return all(
        np.linalg.norm(a.position_mm(corner) - b.position_mm(corner)) <= tolerance
        for corner in corners
    )


def to_lps(volume: Volume) -> Volume:
    """Permute and flip the axes to the nearest axial LPS order; nothing is resampled.

    Every voxel keeps its physical position. An oblique volume stays oblique, by less than the
    angle to its nearest axes. The array is contiguous; it is the same array where nothing moves.
    """
    order, flipped = _axes_to_lps(volume.direction)
    last = [volume.shape[axis] - 1 if axis in flipped else 0 for axis in range(3)]
    signs = np.array([-1.0 if axis in flipped else 1.0 for axis in range(3)])
    z, y, x = order
    spacing = volume.spacing_mm
    return Volume(
        array=np.ascontiguousarray(np.flip(volume.array, flipped).transpose(order)),
        spacing_mm=(spacing[z], spacing[y], spacing[x]),
        origin_mm=_triple(volume.position_mm((last[0], last[1], last[2]))),
        direction=np.ascontiguousarray((volume.direction * signs)[:, order]),
    )


def on_grid_of(volume: Volume, reference: Volume) -> Volume:
    """Undo `to_lps`: bring a volume on the grid of `to_lps(reference)` back to reference's axes.

    The result has exactly reference's spacing, origin and direction, and is contiguous.
    Raises ValueError where the shape is not that of `to_lps(reference)`.
    """
    order, flipped = _axes_to_lps(reference.direction)
    back = volume.array.transpose(tuple(int(axis) for axis in np.argsort(order)))
    return reference.with_array(np.ascontiguousarray(np.flip(back, flipped)))


def _axes_to_lps(
    direction: Float64[np.ndarray, "3 3"],
) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """Array axes in the order nearest to z, y, x, and those of them that run the other way."""
    order = max(
        itertools.permutations(range(3)),
        key=lambda axes: sum(abs(direction[row, axis]) for row, axis in enumerate(axes)),
    )
    flipped = tuple(axis for row, axis in enumerate(order) if direction[row, axis] < 0)
    return order, flipped


def _volume_from_image(image: sitk.Image) -> Volume:
    """x, y, z of SimpleITK to z, y, x of ours."""
    direction = np.array(image.GetDirection(), dtype=np.float64).reshape(3, 3)
    return Volume(
        array=sitk.GetArrayFromImage(image),
        spacing_mm=_triple(image.GetSpacing()[::-1]),
        origin_mm=_triple(image.GetOrigin()[::-1]),
        direction=np.ascontiguousarray(direction[::-1, ::-1]),
    )


def _image_from_volume(volume: Volume) -> sitk.Image:
    """z, y, x of ours to x, y, z of SimpleITK."""
    array = volume.array
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(volume.spacing_mm[::-1])
    image.SetOrigin(volume.origin_mm[::-1])
    image.SetDirection(volume.direction[::-1, ::-1].ravel().tolist())
    return image


def open_image(path: Path) -> sitk.ImageFileReader:
    """A reader that has seen the file's header; raises OrganNetError where there is none."""
    if path.is_dir():
        raise OrganNetError(f"{path} is a folder: give the image file in it, such as img.nrrd")
    if not path.exists():
        raise OrganNetError(f"{path} does not exist: check the path")
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_format(path))
    reader.SetFileName(str(path))
    try:
        check_header(path)
        with without_itk_log():
            reader.ReadImageInformation()
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    return reader


def _refuse_what_is_no_volume(path: Path, reader: sitk.ImageFileReader) -> None:
    dimension = reader.GetDimension()
    if dimension != 3:
        raise OrganNetError(f"{path} is {dimension}D, not 3D: give one 3D volume")
    if reader.GetNumberOfComponents() != 1:
        raise OrganNetError(
            f"{path} has {reader.GetNumberOfComponents()} values per voxel: give a scalar volume"
        )


def _refuse_incomplete(path: Path, reader: sitk.ImageFileReader) -> None:
    """Refuse what is too large, and a NIfTI or MHA that ITK would fill up with zeros."""
    image_io = reader.GetImageIO()
    voxels = math.prod(reader.GetSize())
    try:
        check_size(path, voxels * sitk.Image(1, 1, reader.GetPixelID()).GetSizeOfPixelComponent())
        there = nifti_bytes(path) if image_io == "NiftiImageIO" else 0
        if image_io == "MetaImageIO":
            check_mha(path)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    if image_io == "NiftiImageIO":
        voxel_bytes = int(reader.GetMetaData("bitpix")) / 8
        header_bytes = float(reader.GetMetaData("vox_offset"))
        if not there >= header_bytes + voxels * voxel_bytes:  # neither where one is NaN
            raise OrganNetError(f"{path} is truncated: copy or download it again")


_STDERR = threading.Lock()


@contextlib.contextmanager
def without_itk_log() -> Iterator[None]:
    """ITK's libraries print to stderr what they also raise; a user reads one line instead.

    One thread at a time: two could each give back what the other had put in stderr's place.
    """
    with _STDERR:
        stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            os.close(nowhere)


def _unreadable(path: Path, error: BaseException) -> OrganNetError:
    if "orthonormal" in str(error):
        return OrganNetError(
            f"{path} lies on a sheared grid (its axes are not perpendicular): "
            "resample it to perpendicular axes"
        )
    return OrganNetError(
        f"{path} is truncated or not readable ({_cause(error)}): copy or download it again"
    )


def _not_written(path: Path, cause: str) -> OrganNetError:
    return OrganNetError(
        f"cannot write {path} ({cause}): choose a folder with free space that you may write to"
    )


def _cause(error: BaseException) -> str:
    """The cause, which SimpleITK prints as the last of many lines."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and line != "Reason: Success"]
    return re.sub(r"ITK ERROR: \w+\(\w+\): ", "", lines[-1]) if lines else type(error).__name__


def _triple(values: Shaped[np.ndarray, " 3"] | tuple[float, ...]) -> tuple[float, float, float]:
    z, y, x = (float(value) for value in values)
    return z, y, x
