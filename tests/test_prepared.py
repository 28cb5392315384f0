"""A case on the network's grid is the same after it was kept on disk."""

from pathlib import Path

import numpy as np

from organnet.datasets import Case
from organnet.organs import CLASSES
from organnet.prepared import prepare, prepare_all
from organnet.volume import Volume

SPACING_MM = (5.0, 4.0, 3.0)


def ball() -> Case:
    """A tissue ball of 80 mm with an organ in it, darker towards the feet."""
    shape, spacing_mm = (40, 60, 60), (3.0, 2.0, 2.0)
    z, y, x = np.indices(shape)
    distance = np.sqrt(((z - 20) * 3) ** 2 + ((y - 30) * 2) ** 2 + ((x - 30) * 2) ** 2)
    hu = np.where(distance < 50, 2 * z + y, -1000).astype(np.int16)
    labels = np.where((distance < 20) & (x > 30), 6, 0).astype(np.uint8)
    ct, label_map = Volume(hu, spacing_mm), Volume(labels, spacing_mm)
    return Case("ball", ct, label_map, frozenset({"Parotid_L"}))


def test_read_back_as_it_was_made(tmp_path: Path):
    made = prepare(ball(), SPACING_MM)
    first, second = (
        prepare_all(["ball"], lambda _: ball(), SPACING_MM, tmp_path)[0] for _ in range(2)
    )
    for read in (first, second):
        assert np.array_equal(read.ct, made.ct)
        assert np.array_equal(read.labels, made.labels)
        assert read.drawn.tolist() == [c in (0, 6) for c in range(CLASSES)]
        assert read.spacing_mm == made.spacing_mm


def test_another_spacing_is_made_anew(tmp_path: Path):
    prepare_all(["ball"], lambda _: ball(), SPACING_MM, tmp_path)
    finer = prepare_all(["ball"], lambda _: ball(), (3.0, 2.0, 2.0), tmp_path)[0]
    assert np.array_equal(finer.ct, prepare(ball(), (3.0, 2.0, 2.0)).ct)
