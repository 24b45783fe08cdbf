"""What the documentation holds: its pages, their links, tables and marked code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_MARKED = re.compile(
    r"^<!-- (?P<mark>[^>]+?) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\]\((?P<link>[^)#\s]+)(?:#[^)]*)?\)|src(?:set)?=\"(?P<picture>[^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A block of code with a comment before it that says what to do with it, as ``<!-- run -->``."""

    page: Path
    line: int
    mark: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(word: str) -> list[Block]:
    """All blocks of all pages whose mark begins with a word."""
    found = []
    for page in PAGES:
        content = page.read_text()
        for match in _MARKED.finditer(content):
            if match["mark"].partition(":")[0] == word:
                line = content.count("\n", 0, match.start("text")) + 1
                found.append(Block(page, line, match["mark"], match["text"]))
    return found


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures."""
    return [match["link"] or match["picture"] for match in _LINK.finditer(page.read_text())]


def table_after(page: str, mark: str) -> list[list[str]]:
    """Cells of the table that follows a mark, without its heading."""
    content = (ROOT / "docs" / page).read_text()
    lines = content[content.index(mark) :].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            if rows:
                break
            continue
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]
