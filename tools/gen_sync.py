"""Write `jobsvc_sdk/_sync` from `jobsvc_sdk/_async`, token by token.

The asynchronous code is the one that is written; the other is generated, committed and compared whole by a test. What
threads and asyncio do differently stands in three modules that are written by hand on both sides: `native`, `handles`
and `entry`.

Run it with ``python tools/gen_sync.py``; with ``--check`` it only says what is out of date.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "sdk" / "jobsvc_sdk" / "_async"
TARGET = ROOT / "sdk" / "jobsvc_sdk" / "_sync"
BY_HAND = {"__init__.py", "native.py", "handles.py", "entry.py"}

_NAMES = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
    "aclosing": "closing",
    "_async": "_sync",
}
_CLASS = re.compile(r"Async(?=[A-Z])")
_WORDS = re.compile(r"\b(?:await|async) ")


def synchronous(source: str) -> str:
    """Return the synchronous form of asynchronous code; layout is left to the formatter."""
    lines = source.splitlines(keepends=True)
    out: list[str] = []
    row, column, skip = 1, 0, False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        (start_row, start_column), (row_after, column_after) = token.start, token.end
        if not skip:
            out.append(_between(lines, (row, column), (start_row, start_column)))
        row, column = row_after, column_after
        skip = token.type == tokenize.NAME and token.string in ("async", "await")
        if skip:
            continue
        text = token.string
        if token.type == tokenize.NAME:
            text = _NAMES.get(text, _CLASS.sub("", text))
        elif token.type in (tokenize.STRING, tokenize.COMMENT):
            text = _WORDS.sub("", _CLASS.sub("", text))
        out.append(text)
    return "".join(out)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the blanks between two tokens, so that lines keep their indentation."""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]] if start[0] <= len(lines) else ""
    first = lines[start[0] - 1][start[1] :]
    last = lines[end[0] - 1][: end[1]] if end[0] <= len(lines) else ""
    return first + "".join(lines[start[0] : end[0] - 1]) + last


def formatted(code: str, path: Path) -> str:
    """Return code as the linter wants it: sorted imports and the usual layout."""
    for command in (["check", "--select", "I,F401", "--fix-only", "--quiet"], ["format"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"],
            input=code,
            text=True,
            capture_output=True,
            check=False,
            cwd=ROOT,
        )
        if done.returncode:
            raise SystemExit(f"ruff {command[0]} refused the code generated for {path.name}:\n{done.stderr}")
        code = done.stdout
    return code


def generate() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    files = {}
    for source in sorted(SOURCE.glob("*.py")):
        if source.name in BY_HAND:
            continue
        header = f"# Generated from _async/{source.name} by tools/gen_sync.py; change that one.\n"
        target = TARGET / source.name
        files[target] = formatted(header + synchronous(source.read_text()), target)
    return files


def stale(files: dict[Path, str]) -> list[str]:
    """Return the names of files that are out of date, missing, or no longer generated."""
    found = [path.name for path, text in files.items() if not path.exists() or path.read_text() != text]
    known = {path.name for path in files} | BY_HAND
    return found + [path.name for path in TARGET.glob("*.py") if path.name not in known]


def main() -> int:
    """Write the files, or say which are out of date."""
    files = generate()
    if "--check" in sys.argv[1:]:
        old = stale(files)
        if old:
            print(f"out of date in _sync: {', '.join(old)}; run tools/gen_sync.py")
        return 1 if old else 0
    for name in stale(files):
        path = TARGET / name
        if path in files:
            path.write_text(files[path])
        else:
            path.unlink()
        print(f"wrote {name}" if path in files else f"removed {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
