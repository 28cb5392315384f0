"""Jupyter's side of the 3D view: itkwidgets 0.32 in JupyterLab 4, with no network.

itkwidgets 0.32.6 carries its viewer for the classic notebook only. `labextension/` is a prebuilt
JupyterLab extension that registers it as a widget module, and this server extension hands out the
package's own static files, under the address at which its viewer looks for them. Both are switched
on by files that the wheel installs (see `shared-data` in pyproject.toml).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

STATIC_URL = "nbextensions/itkwidgets"
"""Address below the server's base URL; itkwidgets' viewer has it built in."""


def itkwidgets_static() -> Path | None:
    """Folder of itkwidgets' files for the browser, found without importing it; None without it."""
    spec = find_spec("itkwidgets")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "static"
    return folder if (folder / "index.js").is_file() else None


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "organnet.jupyter"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Serve itkwidgets' static files, and nothing else, to those who are signed in."""
    from jupyter_server.base.handlers import AuthenticatedFileHandler, JupyterHandler
    from jupyter_server.utils import url_path_join

    class ItkWidgetsFiles(AuthenticatedFileHandler):
        """A sandboxed worker would send no cookie with what it loads, and be sent to log in."""

        content_security_policy = JupyterHandler.content_security_policy

    folder = itkwidgets_static()
    if folder is None:
        server.log.warning("organnet: itkwidgets is not installed: no 3D view in the browser")
        return
    address = url_path_join(server.web_app.settings["base_url"], STATIC_URL, "(.*)")
    server.web_app.add_handlers(".*$", [(address, ItkWidgetsFiles, {"path": str(folder)})])
