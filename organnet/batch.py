"""Many CTs in, one label map each out; a bad one is named and the rest go on."""

import sys
from pathlib import Path

from tqdm import tqdm

from organnet.datasets.case import subfolders
from organnet.datasets.pddca import IMAGE
from organnet.errors import OrganNetError
from organnet.evaluation import case_name
from organnet.files import make_folder
from organnet.inference import predict, write_prediction
from organnet.volume import read_ct
from organnet.weights import load_network


def segment(inputs: list[Path], weights: list[Path], out: Path, deep: bool) -> int:
    """Segment every CT and write OUT/CASE.nrrd, with `deep` OUT/CASE_entropy.nrrd (nats) too.

    Returns how many cases failed while others succeeded; each failure is printed at once. Raises
    OrganNetError where nothing could be done at all.
    """
    images = find_images(inputs)
    networks = [load_network(path) for path in weights]
    make_folder(out)
    failures = []
    for name, path in tqdm(images.items(), unit="case", disable=None):
        try:
            prediction = predict(networks, read_ct(path), deep)
            write_prediction(prediction, out, name)
        except OrganNetError as error:
            if len(images) == 1:
                raise
            failures.append(error)
            tqdm.write(f"{name} failed: {error}", file=sys.stderr)
        else:
            tqdm.write(f"{out / name}.nrrd")
    if len(failures) == len(images):
        raise OrganNetError(f"none of the {len(images)} cases could be segmented: see above")
    return len(failures)


def find_images(inputs: list[Path]) -> dict[str, Path]:
    """CT files by case name: a file itself, a case folder's img.nrrd, or those of its cases.

    Raises OrganNetError where an input has none, or two inputs have the same name.
    """
    images: dict[str, Path] = {}
    for given in inputs:
        for path in _images_of(given):
            path = path.resolve()
            name = path.parent.name if path.name == IMAGE else case_name(path)
            if name in images:
                raise OrganNetError(
                    f"{images[name]} and {path} are both called {name}: segment them one at a time"
                )
            images[name] = path
    return images


def _images_of(given: Path) -> list[Path]:
    if given.is_dir() and not (given / IMAGE).exists():
        cases = [case / IMAGE for case in subfolders(given)]
        images = [path for path in cases if path.exists()]
        if not images:
            raise OrganNetError(f"{given} holds no {IMAGE} and no cases: name a CT or a case")
        return images
    return [given / IMAGE if given.is_dir() else given]
