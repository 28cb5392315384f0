"""What files are called and where weights lie: known to many rooms, and free of heavy imports."""

from pathlib import Path

from organnet.errors import OrganNetError

IMAGE = "img.nrrd"
"""A case folder's CT, in PDDCA's layout."""
STRUCTURES = "structures"
"""A case folder's folder of drawn organs, in PDDCA's layout."""
SEGMENTATION = ".seg.nrrd"
"""How a segmentation of 3D Slicer ends, which is no scan either."""
DRAWINGS = (STRUCTURES, "segmentations", "labelsTr", "labelsTs")
"""Folders of drawings, which are no scans: PDDCA's, TotalSegmentator's, nnU-Net's."""

IMAGE_FORMATS = {
    ".nrrd": "NrrdImageIO",
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".mha": "MetaImageIO",
}
"""File suffix and the SimpleITK reader that is asked for it (asking all of them is noisy)."""

SPLITS_NAME = "splits.json"
"""Beside the case folders: which are for training, which for validation, which for the test."""

SETTINGS_NAME = "settings.json"
WEIGHTS_NAME = "weights.safetensors"
CHECKPOINT_NAME = "checkpoint.safetensors"
SHIPPED = Path(__file__).parent / "shipped"
"""Weights that come with the package, each with its model card."""


def image_stem(name: str) -> str:
    """An image file's name without its suffix; another file's whole name."""
    suffixes = [suffix for suffix in IMAGE_FORMATS if name.lower().endswith(suffix)]
    return name[: -len(suffixes[-1])] if suffixes else name


def find_weights(named: Path | str) -> Path:
    """The weights file of a run's folder, of that path, or shipped under that name.

    Raises OrganNetError where there is none, and lists the shipped names, or where a training is
    not finished.
    """
    named = Path(named)
    shipped = {path.stem: path for path in sorted(SHIPPED.glob("*.safetensors"))}
    path = named / WEIGHTS_NAME if named.is_dir() else named
    if path.is_file():
        return path
    if str(named) in shipped:
        return shipped[str(named)]
    if (named / CHECKPOINT_NAME).is_file():
        raise OrganNetError(f"the training in {named} is not finished: run its command to go on")
    names = ", ".join(shipped) or "none"
    raise OrganNetError(
        f"no weights at {path}: name a finished run's folder, a weights file, or weights that come "
        f"with organnet ({names})"
    )
