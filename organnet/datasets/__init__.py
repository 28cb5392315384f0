"""The data sets: PDDCA, OpenKBP, the phantom, and lists of several; list their cases, load one."""

from collections.abc import Callable
from pathlib import Path

from organnet.datasets.case import SPLITS, Case, Dataset
from organnet.datasets.joint import open_joint
from organnet.datasets.openkbp import open_openkbp
from organnet.datasets.pddca import open_pddca
from organnet.errors import OrganNetError

__all__ = ["DATASETS", "SPLITS", "Case", "Dataset", "open_dataset"]


def _open_phantom(root: Path) -> Dataset:
    return open_pddca(root, name="phantom")


_OPENERS: dict[str, Callable[[Path], Dataset]] = {
    "phantom": _open_phantom,
    "pddca": open_pddca,
    "openkbp": open_openkbp,
    "joint": open_joint,
}
DATASETS = tuple(_OPENERS)


def open_dataset(name: str, root: Path) -> Dataset:
    """List the cases of a data set; no image is read yet.

    Raises OrganNetError where the name is not in DATASETS, or `root` does not hold such a data set.
    """
    if name not in _OPENERS:
        raise OrganNetError(f"no data set {name}: choose one of {', '.join(DATASETS)}")
    return _OPENERS[name](root)
