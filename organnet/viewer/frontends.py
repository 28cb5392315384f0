"""Who is looking: nobody, a front end with plain widgets, or JupyterLab with the 3D view."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

EXTENSION = "organnet-itkwidgets"


def front_end() -> Literal["none", "widgets", "3d"]:
    """What would answer a widget that this Python process displays.

    A Jupyter server names the notebook in the environment of the kernels it starts; papermill,
    nbval and nbconvert do not. VS Code and Colab start kernels of their own kind, leave their mark,
    show plain widgets, and cannot load itkwidgets 0.32.
    """
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return "none"
    if "__vsc_ipynb_file__" in shell.user_ns or "google.colab" in sys.modules:
        return "widgets"
    if "JPY_SESSION_NAME" not in os.environ:
        return "none"
    return "3d" if find_spec("itkwidgets") and _extension_installed() else "widgets"


def _extension_installed() -> bool:
    """Whether the lab extension lies where JupyterLab looks for extensions."""
    from jupyter_core.paths import jupyter_path

    return any(
        (Path(p) / EXTENSION / "package.json").is_file() for p in jupyter_path("labextensions")
    )
