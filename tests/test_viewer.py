"""The viewer without a browser: who is looking, what is shown, and what the controls do."""

import io
import os
import subprocess
import sys
from types import SimpleNamespace

import IPython
import ipywidgets as widgets
import numpy as np
import pytest
from conftest import REPOSITORY
from matplotlib.figure import Figure
from matplotlib.image import imread
from test_figures import a_case, shifted

from organnet import viewer
from organnet.errors import OrganNetError
from organnet.figures.slices import PLANES
from organnet.organs import ORGANS, spoken
from organnet.viewer import frontends
from organnet.viewer.browser import SliceBrowser
from organnet.viewer.frontends import front_end
from organnet.viewer.shown import LARGEST_SIDE, cropped, for_3d, shown_case
from organnet.volume import Volume, to_lps


def kernel(monkeypatch, in_server=True, **names):
    """As if this process were a notebook's kernel with these names in its namespace."""
    shell = SimpleNamespace(kernel=object(), user_ns=names)
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    if in_server:
        monkeypatch.setenv("JPY_SESSION_NAME", "01_exploration.ipynb")
    else:
        monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


def test_nobody_looks_at_plain_python_or_papermill(monkeypatch):
    assert front_end() == "none"
    kernel(monkeypatch, in_server=False)
    assert front_end() == "none"


def test_jupyterlab_shows_3d_where_the_extension_is_installed(monkeypatch):
    kernel(monkeypatch)
    assert front_end() == "3d"
    monkeypatch.setattr(frontends, "EXTENSION", "never-installed")
    assert front_end() == "widgets"


@pytest.mark.parametrize("in_server", [True, False])
def test_vs_code_shows_plain_widgets(monkeypatch, in_server):
    kernel(monkeypatch, in_server, __vsc_ipynb_file__="a.ipynb")
    assert front_end() == "widgets"


def test_vs_code_readers_are_told_in_one_line_and_get_slices(monkeypatch, capsys):
    kernel(monkeypatch, __vsc_ipynb_file__="a.ipynb")
    shown = viewer.overlay(a_case())
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "JupyterLab" in said
    assert isinstance(shown, widgets.VBox)


def test_plain_python_gets_a_figure_and_imports_no_viewer():
    code = (
        "import sys; from test_figures import a_case; from organnet import viewer\n"
        "from matplotlib.figure import Figure\n"
        "assert isinstance(viewer.overlay(a_case()), Figure)\n"
        "assert isinstance(viewer.slices(a_case()), Figure)\n"
        "assert not {'itkwidgets', 'itk', 'ipywidgets', 'IPython'} & sys.modules.keys()"
    )
    tests = str(REPOSITORY / "tests")
    env = {k: v for k, v in os.environ.items() if k != "JPY_SESSION_NAME"} | {"PYTHONPATH": tests}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=REPOSITORY)


def test_the_still_has_three_planes_and_two_bodies():
    case = a_case()
    organs = {spoken(name) for name in case.drawn}
    from_the_front = ["from the patient's front right", "from the patient's front left"]
    both = ["reference", "prediction"]
    for figure, titles, lines in (
        (viewer.overlay(case), from_the_front, set()),
        (viewer.overlay(case, prediction=shifted(case)), both, set(both)),
        (viewer.overlay(case.ct, prediction=shifted(case)), from_the_front, {"prediction"}),
    ):
        assert isinstance(figure, Figure)
        assert len(figure.axes) == 5
        assert [axes.get_title("left") for axes in figure.axes[3:]] == titles
        assert {text.get_text() for text in figure.legends[0].get_texts()} == organs | lines
        assert all(axes.images[0].get_array().any() for axes in figure.axes[3:])  # none is black


def test_arrays_with_geometry_serve_as_well_as_a_case():
    case = a_case()
    shown, _ = shown_case(case.ct, case.labels.with_array(case.labels.array.astype(np.int32)), None)
    assert shown.drawn == case.drawn
    assert isinstance(viewer.slices(case.ct), Figure), "a CT alone"


def test_other_grids_and_types_are_refused_in_one_line():
    case = a_case()
    moved = Volume(case.labels.array, case.labels.spacing_mm, (9.0, 0.0, 0.0))
    for show in (viewer.overlay, viewer.slices):
        with pytest.raises(OrganNetError, match=r"prediction .* grid of the CT") as error:
            show(case, prediction=moved)
        assert "\n" not in str(error.value)
        with pytest.raises(OrganNetError, match="whole numbers"):
            show(case.ct, case.labels.with_array(case.labels.array + np.float32(0.5)))


def test_a_crop_keeps_every_organ_and_every_place():
    array = np.full((60, 100, 100), -1000, np.int16)
    array[20:50, 30:70, 30:70] = 40
    ct = Volume(array, (3.0, 2.0, 2.0), (-10.0, 20.0, 30.0))
    labels = np.zeros(array.shape, np.uint8)
    labels[30, 40, 50] = 1
    labels[2, 97, 3] = 9  # far outside the head
    small, (small_labels,), first = cropped(ct, [ct.with_array(labels)])
    assert {1, 9} <= set(np.unique(small_labels.array))
    assert np.allclose(small.position_mm((0, 0, 0)), ct.position_mm(first))
    assert small.array[5, 6, 7] == array[first[0] + 5, first[1] + 6, first[2] + 7]


def test_a_large_ct_is_halved_in_plane_and_stays_in_place():
    array = np.full((20, 512, 512), 40, np.int16)
    array[:, :, 300:] = 1000
    ct = Volume(array, (3.0, 0.5, 0.5))
    small = for_3d(ct, [])
    assert max(small.shape[1:]) <= LARGEST_SIDE and small.shape[0] == 20
    assert small.spacing_mm == (3.0, 2.0, 2.0)
    edge_x = small.position_mm((0, 0, float(np.argmax(small.array[0, 0] > 500))))[2]
    assert edge_x == pytest.approx(300 * 0.5, abs=1.0)


def test_a_side_that_is_short_enough_is_halved_with_the_longer_one():
    ct = Volume(np.full((20, 250, 180), 40, np.int16), (3.0, 1.0, 1.0))
    small = for_3d(ct, [])
    assert small.shape == (20, 125, 90)
    assert small.spacing_mm == (3.0, 2.0, 2.0)


def test_an_oblique_ct_is_laid_along_the_patients_axes_for_3d():
    turn = np.deg2rad(12)
    direction = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]]
    )
    array = np.full((30, 60, 50), 40, np.int16)
    array[14:17, 39:42, 9:12] = 1400
    oblique = Volume(array, (2.0, 1.5, 1.5), (7.0, -9.0, 4.0), direction)
    straight = for_3d(oblique, [])
    assert np.array_equal(straight.direction, np.eye(3))
    brightest = np.argwhere(straight.array > 700).mean(0)
    assert np.allclose(
        straight.position_mm(tuple(brightest)), oblique.position_mm((15, 40, 10)), atol=0.7
    )


def test_a_prediction_alone_is_shown_where_nothing_was_drawn():
    case = a_case(labels=[])
    browser = SliceBrowser(case, a_case().labels, (-160.0, 240.0))
    assert list(browser.drawings) == ["prediction"]
    assert len(browser.organs) == 9


@pytest.fixture
def browser():
    case = a_case()
    return SliceBrowser(case, shifted(case), (-160.0, 240.0))


def pictures(browser):
    return {plane: browser.pictures[plane].value for plane in PLANES}


def test_a_slider_changes_its_picture_alone(browser):
    before = pictures(browser)
    browser.sliders["coronal"].value = browser.sliders["coronal"].min
    after = pictures(browser)
    assert [plane for plane in PLANES if before[plane] != after[plane]] == ["coronal"]


@pytest.mark.parametrize("control", ["window", "organ", "drawing"])
def test_other_controls_change_every_picture_and_back(browser, control):
    before = pictures(browser)
    if control == "window":
        browser.window.value = (-500.0, 1500.0)
    elif control == "organ":
        browser.organs["Parotid_L"].value = False
    else:
        browser.drawings["prediction"].value = False
    after = pictures(browser)
    assert before["axial"] != after["axial"]
    browser.window.value = (-160.0, 240.0)
    browser.organs["Parotid_L"].value = True
    browser.drawings["prediction"].value = True
    assert pictures(browser) == before


def test_slices_count_as_in_the_ct_and_pictures_have_its_shape(browser):
    for axis, plane in enumerate(PLANES):
        slider = browser.sliders[plane]
        assert 0 <= slider.min <= slider.value <= slider.max < browser.ct.shape[axis] + slider.min
        rows, columns = imread(io.BytesIO(browser.pictures[plane].value)).shape[:2]
        z, y, x = np.multiply(browser.ct.shape, browser.ct.spacing_mm)
        high, wide = {"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}[plane]
        assert rows / columns == pytest.approx(high / wide, rel=0.02)


@pytest.fixture
def three_d():
    itkwidgets = pytest.importorskip("itkwidgets", reason="itkwidgets draws the 3D view")
    from organnet.viewer.three_d import three_d

    def views(widget):
        inside = [widget] if isinstance(widget, itkwidgets.Viewer) else []
        return inside + [v for child in getattr(widget, "children", ()) for v in views(child)]

    def show(case, prediction=None):
        widget = three_d(case, prediction)
        return widget, views(widget)

    return show


def ticks(widget):
    inside = [widget] if isinstance(widget, widgets.Checkbox) else []
    return inside + [t for child in getattr(widget, "children", ()) for t in ticks(child)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_3d_has_named_organs_in_their_colours_and_millimetres(three_d):
    case = a_case(labels=[3, 6])
    widget, (view,) = three_d(case)
    assert [g["metadata"]["name"] for g in view.geometries] == ["Mandible", "Parotid L"]
    expected = [ORGANS[2].colour, ORGANS[5].colour]
    found = ["#" + "".join(f"{round(255 * c):02x}" for c in rgb) for rgb in view.geometry_colors]
    assert found == expected
    points = view.geometries[1]["points"]["values"].reshape(-1, 3)
    at = np.argwhere(to_lps(case.labels).array == 6).mean(0)
    assert np.allclose(points.mean(0)[::-1], case.labels.position_mm(tuple(at)), atol=0.5)
    mandible, parotid = ticks(widget)
    mandible.value = False
    assert view.geometry_opacities.tolist() == [0.0, 1.0]
    parotid.value = False
    assert view.geometry_opacities.tolist() == [0.0, 0.0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_3d_opens_with_a_thumbnail_and_then_takes_the_ct(three_d):
    import itk

    case = a_case()
    _, (view,) = three_d(case)
    thumbnail = itk.size(view.rendered_image)
    view._rendering_image = False  # as the browser says when it has drawn
    whole = itk.size(view.rendered_image)
    assert np.prod(list(thumbnail)) < np.prod(list(whole))
    assert tuple(whole)[::-1] == for_3d(case.ct, [case.labels]).shape
    assert tuple(view.rendered_image.GetSpacing())[::-1] == case.ct.spacing_mm


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_reference_and_prediction_stand_side_by_side(three_d):
    case = a_case()
    widget, views = three_d(case, shifted(case))
    assert len(views) == 2
    ticks(widget)[0].value = False
    assert [view.geometry_opacities[0] for view in views] == [0.0, 0.0]
