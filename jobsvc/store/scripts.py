"""The Lua scripts: read from files, put together from their includes, known to Redis by their digest."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FOLDER = files("jobsvc.store") / "lua"
_DIRECTIVE = re.compile(r"^#(include|flags) (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to be sent.

    Attributes:
        name: Name of its file.
        body: The whole text.
        digest: SHA-1 of the body, by which Redis knows it.
    """

    name: str
    body: str
    digest: bytes


@cache
def load(name: str) -> Script:
    """Put the script ``name`` together.

    ``#include a b`` stands for the texts of ``includes/a.lua`` and ``includes/b.lua``; ``#flags`` becomes the script's
    flags. Scripts without ``allow-oom`` are refused by Redis at its memory limit: only those that add jobs.
    """
    source = (_FOLDER / f"{name}.lua").read_text("utf-8")
    flags = [match[2] for match in _DIRECTIVE.finditer(source) if match[1] == "flags"]

    def expand(match: re.Match[str]) -> str:
        if match[1] == "flags":
            return ""
        return "\n".join(
            (_FOLDER / "includes" / f"{part}.lua").read_text("utf-8") for part in match[2].split()
        )

    body = f"#!lua{' flags=' + flags[0] if flags else ''}\n{_DIRECTIVE.sub(expand, source)}"
    return Script(name, body, hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest().encode())


def names() -> list[str]:
    """Names of all scripts."""
    return sorted(entry.name[:-4] for entry in _FOLDER.iterdir() if entry.name.endswith(".lua"))
