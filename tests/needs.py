"""Tools that a test needs and a machine may lack."""

from __future__ import annotations

import os
import shutil

import pytest


def require_tool(*names: str) -> str:
    """Return the path of the first of these programs that is installed.

    Without any of them the test is skipped at a person's desk and fails in CI, where everything must be there.
    """
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    reason = f"needs {' or '.join(names)}, which this machine does not have"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
