"""The phantom: the same bytes each time, a head and neck in HU, PDDCA's layout on disk."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from organnet import experiment
from organnet.datasets import Case, open_dataset
from organnet.errors import OrganNetError
from organnet.experiment import open_data
from organnet.organs import ORGAN_NAMES, ORGANS, organ
from organnet.phantom import SIZES, PhantomSize, make_case, write_phantom
from organnet.phantom.anatomy import MEASURED
from organnet.phantom.case import NOT_DRAWN
from organnet.phantom.dataset import split_cases
from organnet.phantom.painter import Grid
from organnet.phantom.person import draw_person, draw_pose
from organnet.phantom.scanner import add_metal
from organnet.phantom.shapes import Blob, HalfSpace, Loft, Tube, Union
from organnet.settings import PROFILES
from organnet.volume import same_grid

SMOKE = SIZES["smoke"]
TINY = PhantomSize(matrix=36, fov_mm=280.0, slice_mm=7.0)
SEED = 5
INDICES = range(5)
LACKING = 0  # a case of that seed that lacks an organ


@cache
def smoke(index: int) -> Case:
    return make_case(SEED, index, SMOKE)


def inside(case: Case, name: str) -> np.ndarray:
    return case.labels.array == organ(name).label


def centre_mm(case: Case, name: str) -> np.ndarray:
    """Centroid in mm from the first voxel, as z, y, x."""
    return np.argwhere(inside(case, name)).mean(0) * case.ct.spacing_mm


# One case


def test_the_same_seed_and_index_give_the_same_bytes_in_any_order():
    first = [make_case(1, k, TINY).ct.array.tobytes() for k in (0, 1)]
    again = [make_case(1, k, TINY).ct.array.tobytes() for k in (1, 0)]
    assert first == again[::-1]
    assert first[0] != first[1]
    assert make_case(2, 0, TINY).ct.array.tobytes() != first[0]


def test_types_grid_and_axes():
    case = smoke(0)
    assert case.ct.array.dtype == np.int16
    assert case.labels.array.dtype == np.uint8
    assert same_grid(case.ct, case.labels)
    assert case.ct.spacing_mm == (3.5, 3.5, 3.5)
    assert np.array_equal(case.ct.direction, np.eye(3))


def test_slice_spacing_is_drawn_unless_fixed():
    size = PhantomSize(matrix=16, fov_mm=280.0)
    spacings = {make_case(SEED, k, size).ct.spacing_mm[0] for k in range(4)}
    assert spacings <= {2.0, 2.5, 3.0}
    assert len(spacings) > 1


@pytest.mark.parametrize("index", INDICES)
def test_all_nine_organs_are_there(index: int):
    case = smoke(index)
    assert case.drawn == frozenset(ORGAN_NAMES)
    assert set(np.unique(case.labels.array)) == set(range(10))


@pytest.mark.parametrize("name", ORGAN_NAMES)
def test_volumes_lie_in_the_range_measured_on_pddca(name: str):
    volumes = [np.count_nonzero(inside(smoke(k), name)) * smoke(k).ct.voxel_ml for k in INDICES]
    low, high = MEASURED[name].volume_range_ml
    # 3.5 mm voxels and a size of one's own: a quarter of slack per case, little on the mean.
    assert all(0.75 * low < volume < 1.25 * high for volume in volumes)
    assert np.mean(volumes) == pytest.approx(MEASURED[name].volume_ml[0], rel=0.25)


@pytest.mark.parametrize("name", [name for name in ORGAN_NAMES if name != "BrainStem"])
def test_organs_lie_where_they_do_in_pddca(name: str):
    places = [centre_mm(smoke(k), name) - centre_mm(smoke(k), "BrainStem") for k in INDICES]
    expected = MEASURED[name].centroid_mm[::-1]
    assert np.abs(np.mean(places, 0) - expected).max() < 8


@pytest.mark.parametrize("index", INDICES)
def test_left_organs_lie_at_larger_x(index: int):
    case = smoke(index)
    for left in (o for o in ORGANS if o.name.endswith("_L")):
        assert centre_mm(case, left.name)[2] > centre_mm(case, left.partner)[2] + 20


@pytest.mark.parametrize("index", INDICES)
def test_head_up_and_face_forward(index: int):
    case = smoke(index)
    stem, jaw = centre_mm(case, "BrainStem"), centre_mm(case, "Mandible")
    assert stem[0] > jaw[0] + 30
    assert jaw[1] < stem[1] - 40
    assert centre_mm(case, "Chiasm")[0] > stem[0]


@pytest.mark.parametrize("index", INDICES)
def test_the_brain_stem_is_hidden_by_nothing_painted_after_it(index: int):
    stem = inside(smoke(index), "BrainStem")
    for part in stem[stem.any(axis=(1, 2))]:
        y, x = np.argwhere(part).mean(0).round().astype(int)
        assert part[y, x]


def test_hu_are_those_of_a_head():
    case = smoke(1)
    hu, voxels = case.ct.array, case.ct.array.size
    assert hu.min() >= -1024 and hu.max() <= 3071
    assert 0.3 < np.count_nonzero(hu < -800) / voxels < 0.85  # air around
    body = hu > -300
    assert 0.08 < np.mean(hu[body] < -40) < 0.5  # fat
    assert 0.35 < np.mean((hu[body] > 0) & (hu[body] < 100)) < 0.85  # muscle, brain
    assert 0.05 < np.mean(hu[body] > 250) < 0.3  # bone
    assert 22 < np.median(hu[inside(case, "BrainStem")]) < 45
    assert 400 < np.mean(hu[inside(case, "Mandible")]) < 1300


def test_organs_have_neighbours_that_read_alike():
    """No organ can be told by a threshold: the shell around it overlaps its own HU."""
    case = smoke(2)
    for name in ("BrainStem", "Parotid_L", "Parotid_R", "Submandibular_L", "Submandibular_R"):
        mask = inside(case, name)
        shell = ndimage.binary_dilation(mask, iterations=2) & ~mask
        low, high = np.percentile(case.ct.array[mask], [5, 95])
        shell_hu = case.ct.array[shell]
        assert np.mean((shell_hu > low) & (shell_hu < high)) > 0.3


def test_noise_is_a_ct_s_not_a_painting_s():
    case = smoke(3)
    core = ndimage.binary_erosion(inside(case, "BrainStem"), iterations=1)
    assert 4 < case.ct.array[core].std() < 25


def test_a_quarter_of_the_people_have_metal_in_their_teeth():
    pose = draw_pose(np.random.default_rng(0))
    people = [draw_person(np.random.default_rng(k), pose) for k in range(100)]
    assert 0.15 < np.mean([bool(person.metal) for person in people]) < 0.38


def test_metal_throws_streaks_over_its_own_slices_only():
    grid = Grid(shape=(9, 60, 60), spacing_mm=(3.0, 2.0, 2.0), origin_mm=(0.0, -60.0, -60.0))
    hu = np.zeros(grid.shape, np.float32)
    add_metal(hu, grid, [(10.0, -20.0, 12.0), (-20.0, -20.0, 12.0)], np.random.default_rng(0))
    assert hu[4, 20, 35] > 3000
    assert hu[4, 20, 27] < -100  # the dark band between the two
    assert hu[4, 40].std() > 20
    assert not hu[[0, 1, 7, 8]].any()


def test_undrawn_organs_leave_the_ct_as_it_is():
    partial = make_case(SEED, LACKING, TINY, complete=False)
    whole = make_case(SEED, LACKING, TINY)
    undrawn = set(ORGAN_NAMES) - partial.drawn
    assert undrawn and undrawn <= set(NOT_DRAWN)
    assert not any(inside(partial, name).any() for name in undrawn)
    assert all(inside(whole, name).any() for name in undrawn)
    assert np.array_equal(partial.ct.array, whole.ct.array)


# A data set


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "phantom"
    write_phantom(out, cases=5, seed=SEED, size=TINY, progress=False)
    return out


def test_it_is_read_as_pddca_is(phantom: Path):
    dataset = open_dataset("phantom", phantom)
    assert [len(dataset.splits[s]) for s in ("training", "validation", "test")] == [3, 1, 1]
    for split in ("training", "test"):
        name = dataset.splits[split][0]
        read, made = dataset.load(name), make_case(SEED, int(name[-4:]), TINY, split == "test")
        assert np.array_equal(read.ct.array, made.ct.array)
        assert np.array_equal(read.labels.array, made.labels.array)
        assert read.drawn == made.drawn
        assert same_grid(read.ct, made.ct)


def test_only_drawn_organs_are_written_and_test_cases_are_complete(phantom: Path):
    splits = json.loads((phantom / "splits.json").read_text())
    written = {
        case: {path.stem for path in (phantom / case / "structures").glob("*.nrrd")}
        for names in splits.values()
        for case in names
    }
    assert all(written[case] == set(ORGAN_NAMES) for case in splits["test"])
    lacking = make_case(SEED, LACKING, TINY, complete=False)
    assert written[lacking.name] == lacking.drawn < set(ORGAN_NAMES)


def test_writing_again_changes_nothing_and_restores_what_is_missing(phantom: Path):
    before = {path: path.stat().st_mtime_ns for path in phantom.rglob("*.nrrd")}
    write_phantom(phantom, cases=5, seed=SEED, size=TINY, progress=False)
    assert {path: path.stat().st_mtime_ns for path in phantom.rglob("*.nrrd")} == before


def test_a_stopped_writing_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "phantom"

    def stop(seed: int, index: int, size: PhantomSize, complete: bool) -> Case:
        if index == 2:
            raise KeyboardInterrupt
        return make_case(seed, index, size, complete)

    with monkeypatch.context() as patched:
        patched.setattr("organnet.phantom.dataset.make_case", stop)
        with pytest.raises(KeyboardInterrupt):
            write_phantom(out, cases=3, seed=1, size=TINY, progress=False)
    assert not (out / "splits.json").exists()
    kept = (out / "phantom0000" / "img.nrrd").stat().st_mtime_ns
    write_phantom(out, cases=3, seed=1, size=TINY, progress=False)
    assert (out / "phantom0000" / "img.nrrd").stat().st_mtime_ns == kept
    assert len(open_dataset("phantom", out).splits["test"]) == 1


def test_two_jobs_that_paint_at_once_both_end(tmp_path: Path):
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(write_phantom, tmp_path, 3, 1, TINY, progress=False) for _ in range(2)]
    assert [job.result() for job in jobs] == [None, None]
    assert len(open_dataset("phantom", tmp_path).folders) == 3


def test_another_phantom_or_other_files_are_refused(phantom: Path, tmp_path: Path):
    for cases, seed, size in ((5, SEED + 1, TINY), (5, SEED, SMOKE), (6, SEED, TINY)):
        with pytest.raises(OrganNetError, match=r"phantom\.json.*another"):
            write_phantom(phantom, cases, seed, size, progress=False)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(OrganNetError, match="holds other files"):
        write_phantom(tmp_path, 1, 0, TINY, progress=False)
    with pytest.raises(OrganNetError, match="at least one"):
        write_phantom(tmp_path / "none", 0, 0, TINY, progress=False)


@pytest.mark.parametrize("cases", [1, 2, 3, 4, 9, 18, 40])
def test_splits_share_out_every_case_once(cases: int):
    splits = split_cases(cases)
    names = [name for split in splits.values() for name in split]
    assert len(names) == len(set(names)) == cases
    if cases >= 3:
        assert all(splits.values())


# Shapes and pose


def line(x: float) -> tuple[np.ndarray, ...]:
    return tuple(np.array([v], np.float32) for v in (x, 0, 0))


@pytest.mark.parametrize(
    "solid",
    [
        Blob((0, 0, 0), (10, 5, 5)),
        Blob((0, 0, 0), (10, 5, 5), lower=(3, 5, 5), power=4),
        Tube(((0, 0, -9), (0, 0, 9)), 10),
        Tube(((0, 0, -9), (0, 0, 9)), 5, stretch=(2, 1, 1)),
        Loft(((-9, 0, 10, 5, 5, 2, 2), (9, 0, 10, 5, 5, 2, 2))),
        Blob((0, 0, 0), (12, 5, 5)) & HalfSpace((10, 0, 0), (1, 0, 0)),
        Union(Blob((0, 0, 0), (10, 5, 5)), Blob((-2, 0, 0), (2, 2, 2))),
        Blob((0, 0, 0), (8, 8, 8)).grown(2),
    ],
)
def test_surface_is_where_the_numbers_say(solid):
    assert solid.distance(*line(0)) < 0
    assert solid.distance(*line(10)) == pytest.approx(0, abs=1e-4)
    assert solid.distance(*line(11)) > 0.3
    assert solid.bounds[1, 0] == pytest.approx(10)


def test_pose_and_its_inverse_agree():
    rng = np.random.default_rng(0)
    for _ in range(5):
        pose = draw_pose(rng)
        points = rng.uniform(-100, 100, (50, 3))
        assert np.abs(pose.to_anatomy(pose.to_scanner(points)) - points).max() < 1.0


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_a_phantom(profile, tmp_path, monkeypatch) -> None:
    sizes = []

    def paint(root, cases, seed, size) -> None:
        sizes.append((cases, size))
        write_phantom(root, 3, seed, SIZES["smoke"])

    monkeypatch.setattr(experiment, "write_phantom", paint)
    open_data("phantom", profile, tmp_path / "data")
    expected = profile if profile in ("smoke", "paper") else "demo"
    assert sizes == [(experiment.PHANTOM_CASES[expected], SIZES[expected])]
