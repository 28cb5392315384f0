"""Real drawings, all of PDDCA that is at hand: as RT Structure Sets they are what was drawn.

They are cut down to the box around the organs, to be quick; every voxel keeps its place.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from rtstruct_parts import MadeSeries, read_by_plastimatch, series_on

from organnet.datasets.case import compose_labels, crop_mask
from organnet.datasets.pddca import TRAINING
from organnet.dicom.rtstruct import read_rtstruct, write_rtstruct
from organnet.metrics import dice
from organnet.organs import ORGAN_NAMES, organ
from organnet.volume import Volume, read_volume, same_grid

AT_HAND = TRAINING[:16]
MARGIN = 2  # voxels left around the organs
LARGE, SMALL = (0.99, 0.95)
"""Least DSC of organs above 1,000 voxels, and of the others."""


class Written(NamedTuple):
    """A case's organs as they were drawn, as one label map, and the structure set made of it."""

    drawn: dict[str, np.ndarray]
    labels: Volume
    series: MadeSeries
    path: Path


@pytest.fixture(scope="module", params=AT_HAND)
def written(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    folder = shared_data / "pddca" / request.param / "structures"
    files = {name: folder / f"{name}.nrrd" for name in ORGAN_NAMES}
    whole = {name: read_volume(file) for name, file in files.items() if file.exists()}
    grid = next(iter(whole.values()))
    everything = crop_mask(np.any([volume.array for volume in whole.values()], axis=0))
    box = tuple(slice(max(0, side.start - MARGIN), side.stop + MARGIN) for side in everything.box)
    drawn = {name: volume.array[box] > 0 for name, volume in whole.items()}
    composed = {name: crop_mask(mask) for name, mask in drawn.items()}
    array = compose_labels(composed, next(iter(drawn.values())).shape)
    corner = tuple(grid.position_mm(tuple(float(side.start) for side in box)).tolist())
    labels = Volume(array, grid.spacing_mm, corner, grid.direction)
    path = tmp_path_factory.mktemp("rs") / "rs.dcm"
    series = series_on(labels)
    write_rtstruct(series, labels, path)
    return Written(drawn, labels, series, path)


def test_what_was_drawn_comes_back(written: Written) -> None:
    """The label map, voxel by voxel; of the drawings all but where two of them overlap."""
    again, found, notes = read_rtstruct(written.path, written.series)
    assert (set(found), notes) == (set(written.drawn), ())
    assert same_grid(again, written.labels)
    assert np.array_equal(again.array, written.labels.array)
    for name, mask in written.drawn.items():
        least = LARGE if np.count_nonzero(mask) > 1000 else SMALL
        assert dice(again.array == organ(name).label, mask) >= least, name


def test_plastimatch_reads_the_same_masks(written: Written, tmp_path: Path) -> None:
    found = read_by_plastimatch(written.path, written.series.ct, tmp_path)
    assert set(found) == set(written.drawn)
    for name, again in found.items():
        assert same_grid(again, written.labels), name
        assert np.array_equal(again.array > 0, written.labels.array == organ(name).label), name
