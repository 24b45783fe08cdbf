"""Which kind of display fits the place the code runs in."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Literal, TypeAlias, cast

Mode: TypeAlias = Literal["widget", "page", "text", "off"]

VARIABLE = "JOBSVC_PROGRESS"


def mode() -> Mode:
    """Choose how to show progress.

    The environment variable ``JOBSVC_PROGRESS`` decides when it is ``widget``, ``page``, ``text`` or ``off``;
    ``widget`` gives way to ``page`` where ipywidgets is missing. Without it:

    Returns:
        ``widget`` in a notebook kernel with ipywidgets, ``page`` (HTML without widgets) in a kernel without, ``text``
        anywhere else.
    """
    wish = os.environ.get(VARIABLE, "").strip().lower()
    if wish in ("page", "text", "off"):
        return cast("Mode", wish)
    if not in_kernel():
        return "text"
    return "widget" if importlib.util.find_spec("ipywidgets") else "page"


def in_kernel() -> bool:
    """Say whether this code runs in a Jupyter kernel, without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    # A terminal shell has no kernel; it can show text only.
    return getattr(shell, "kernel", None) is not None
