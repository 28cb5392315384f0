"""JupyterLab as a reader sees it: a real server, a real browser, and no network."""

import contextlib
import http.client
import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import REPOSITORY
from matplotlib.image import imread

CHROMIUM = shutil.which("chromium")
TOKEN = "a-token-of-this-test"
FLAGS = [
    *("--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-quic", "--ignore-gpu-blocklist"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
]
STATIC = "/nbextensions/itkwidgets"
IDLE = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
KERNEL_READY = """
async () => {
  const session = jupyterapp.shell.currentWidget.sessionContext;
  await session.ready;
  const idle = () => session.session?.kernel?.status === "idle";
  while (!idle()) await new Promise(done => setTimeout(done, 200));
}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a JupyterLab on a free loopback port that has 01_exploration before it."""
    root = tmp_path_factory.mktemp("lab")
    shutil.copy(REPOSITORY / "notebooks" / "01_exploration.ipynb", root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = root / "settings"
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={TOKEN}"),
        *("--LabApp.expose_app_in_browser=True", "--LabApp.news_url="),
        *(f"--LabApp.user_settings_dir={settings}", f"--LabApp.workspaces_dir={root / 'spaces'}"),
    ]
    env = {k: v for k, v in os.environ.items() if not k.startswith("JPY_")}
    env |= {"JUPYTER_CONFIG_DIR": str(settings), "JUPYTER_DATA_DIR": str(root / "share")}
    with (root / "lab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=root, env=env, stdout=log, stderr=log)
        try:
            wait_for_port(port, server, root / "lab.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def wait_for_port(port: int, server: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text()[-2000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def get(lab: str, path: str, token: str | None = TOKEN) -> tuple[int, bytes]:
    """Status and body of a GET whose path is sent as it is, dots and all; no redirect followed."""
    connection = http.client.HTTPConnection(urlsplit(lab).netloc, timeout=30)
    headers = {"Authorization": f"token {token}"} if token else {}
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_viewers_files_are_served_to_who_is_signed_in(lab: str):
    status, body = get(lab, f"{STATIC}/index.js")
    assert status == 200 and b"ViewerModel" in body
    assert get(lab, f"{STATIC}/itk/WebWorkers/Pipeline.worker.js")[0] == 200


@pytest.mark.parametrize("token", [None, "wrong"])
def test_nobody_else_gets_them(lab: str, token: str | None):
    status, body = get(lab, f"{STATIC}/index.js", token)
    assert status in (302, 403)
    assert b"ViewerModel" not in body


@pytest.mark.parametrize(
    "path",
    [
        *("/../_version.py", "/../../organnet/cli.py", "/..%2f_version.py", "/%2e%2e/_version.py"),
        *(
            "/..%5c_version.py",
            "//etc/passwd",
            "/%2fetc%2fpasswd",
            "/itk/../../_version.py",
            "/",
            "",
        ),
    ],
)
def test_nothing_outside_that_folder_is_served(lab: str, path: str):
    status, body = get(lab, STATIC + path)
    assert status in (302, 400, 403, 404)
    assert b"version_info" not in body and b"root:" not in body and b"import" not in body


@pytest.fixture(scope="module")
def page(lab: str) -> Iterator:
    """01_exploration, run to its end in Chromium; `page.hosts` and `page.faults` watch it."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1500, "height": 1100})
        page.set_default_timeout(120_000)
        page.hosts, page.faults = set(), []
        page.on("request", lambda request: page.hosts.add(urlsplit(request.url).hostname))
        page.on("websocket", lambda socket: page.hosts.add(urlsplit(socket.url).hostname))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(f"{lab}/doc/tree/01_exploration.ipynb?token={TOKEN}")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext")
        page.evaluate(KERNEL_READY)
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_selector(".organnet-3d canvas", state="attached")
        page.wait_for_selector(".organnet-slices img", state="attached")
        yield page
        chromium.close()


def settled(page, selector: str) -> np.ndarray:
    """Picture of an element, RGB from 0 to 1, when two in a row are alike."""
    element = page.locator(selector).first
    element.scroll_into_view_if_needed()
    before = None
    for _ in range(40):
        page.evaluate(IDLE)
        now = imread(io.BytesIO(element.screenshot(timeout=60_000)))[..., :3]
        if before is not None and now.shape == before.shape and np.abs(now - before).max() < 0.02:
            return now
        before = now
        time.sleep(1.5)
    raise AssertionError(f"{selector} never came to rest")


def changed(page, selector: str, before: np.ndarray) -> np.ndarray:
    """The picture once it differs from `before` and rests again."""
    for _ in range(20):
        now = settled(page, selector)
        if now.shape != before.shape or (np.abs(now - before).max(-1) > 0.1).mean() > 0.002:
            return now
        time.sleep(1)
    raise AssertionError(f"{selector} did not change")


def share_of(picture: np.ndarray, colour: str) -> float:
    """Share of pixels with the hue of an organ."""
    red, green, blue = picture.transpose(2, 0, 1)
    orange = (red > 0.35) & (red - blue > 0.25) & (red > green) & (green - blue > 0.1)
    pink = (red - green > 0.2) & (blue > green)
    return float({"Mandible": orange, "parotids": pink}[colour].mean())


CANVAS = ".organnet-3d"


def test_the_3d_view_shows_organs_and_obeys(page):
    first = settled(page, CANVAS)
    assert (first.max(-1) > 0.15).mean() > 0.05, "more than background"
    assert share_of(first, "Mandible") > 0.005 and share_of(first, "parotids") > 0.001

    mandible = page.locator(".widget-checkbox", has_text="Mandible").first.locator("input")
    mandible.uncheck()
    without = changed(page, CANVAS, first)
    assert share_of(without, "Mandible") < share_of(first, "Mandible") / 4
    mandible.check()
    again = changed(page, CANVAS, without)
    assert share_of(again, "Mandible") > share_of(first, "Mandible") / 2

    page.get_by_role("button", name="left", exact=True).first.click()
    changed(page, CANVAS, again)


def test_the_slices_follow_their_sliders(page):
    image = ".organnet-slices img"
    before = settled(page, image)
    page.locator(".organnet-slices .ui-slider-handle").first.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    changed(page, image, before)


def test_no_request_left_this_machine_and_nothing_broke(page):
    assert page.hosts <= {"127.0.0.1", "", None}
    # ipywidgets 7 asks MathJax 3 for version 2's queue at each label; ours hold no mathematics.
    assert not [fault for fault in page.faults if "reading 'Queue'" not in fault]
