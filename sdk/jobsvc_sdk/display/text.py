"""One-line bars: for terminals, for logs, and as the plain text of a saved notebook output."""

from __future__ import annotations

import itertools
import os
import shutil
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO, TypeAlias

from .state import JobView

if TYPE_CHECKING:
    from .state import BatchView, View

BAR_CELLS = 20

_COLOURS = {"completed": "32", "processing": "36", "failed": "31", "cancelled": "33"}
_MUTED = "2"
_MARKS = {"completed": "#", "processing": ">", "failed": "x", "cancelled": "-"}

# A piece of a line: its plain text, the colour code it gets on a terminal ("" for none), and how early it is left
# out of a line that is too long: the highest goes first, 0 stays.
_Piece: TypeAlias = tuple[str, str, int]


def plain_line(view: View) -> str:
    """Write a view as one line of plain text, with its id and nothing left out."""
    bar = _drawn_bar(view, BAR_CELLS, colour=False)
    return "  ".join([f"{view.title} {view.id} [{bar}]", *(text for text, _, _ in _facts(view))])


def terminal_line(view: View, width: int, *, colour: bool) -> str:
    """Write a view as one line that fits a terminal.

    Args:
        view: What to show.
        width: Columns of the terminal; the line stays one short of it, so that no terminal wraps.
        colour: Whether escape codes for colours, and letters beyond ASCII, may be used.
    """
    cells = min(BAR_CELLS, width // 4)
    pieces: list[_Piece] = [(_cut(view.title, width // 3), "1", 0), (view.id, _MUTED, 4), *_facts(view)]
    while cells + sum(_columns(text) + 2 for text, _, _ in pieces) > width - 1 and any(
        late for *_, late in pieces
    ):
        del pieces[max(range(len(pieces)), key=lambda at: pieces[at][2])]
    names = 2 if pieces[1][0] == view.id else 1
    room = width - 3 - cells
    texts = []
    for text, code, _ in pieces:
        shown = _cut(text, max(0, room))
        texts.append(f"\x1b[{code}m{shown}\x1b[0m" if colour and code and shown else shown)
        room -= _columns(shown) + 2
    texts.insert(names, _drawn_bar(view, cells, colour=colour))
    return "  ".join(text for text in texts if text)


class TextBars:
    """Bars in a stream: redrawn in place on a terminal, else a new line per 10 % or change of state.

    Not thread safe: one thread shows.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        redraw: bool | None = None,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size((100, 24)).columns,
    ) -> None:
        """Make an empty screen of bars.

        Args:
            stream: Where to write.
            redraw: Whether lines may be redrawn; by default whether the stream is a terminal.
            columns: Gives the width of the terminal, which may change while bars run.
        """
        self._stream = stream
        self._redraw = stream.isatty() if redraw is None else redraw
        unicode = (getattr(stream, "encoding", "") or "").lower().startswith("utf")
        self._colour = self._redraw and unicode and not os.environ.get("NO_COLOR")
        self._columns = columns
        self._lines: dict[str, str] = {}
        self._drawn = 0
        self._told: dict[str, tuple[object, ...]] = {}

    @property
    def redraws(self) -> bool:
        """Whether a bar is worth showing again when only its times have changed."""
        return self._redraw

    def show(self, view: View) -> None:
        """Show the newest view of a job or batch, below those that were shown before it."""
        if not self._redraw:
            self._tell(view)
            return
        line = terminal_line(view, self._columns(), colour=self._colour)
        if self._lines.get(view.id) != line:
            self._lines[view.id] = line
            self._draw()

    def close(self) -> None:
        """Leave the bars as they are; the next output starts on a line of its own."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()
        self._lines.clear()
        self._drawn = 0

    def _draw(self) -> None:
        up = f"\x1b[{self._drawn - 1}A" if self._drawn > 1 else ""
        self._stream.write(up + "\n".join(f"\r{line}\x1b[K" for line in self._lines.values()))
        self._stream.flush()
        self._drawn = len(self._lines)

    def _tell(self, view: View) -> None:
        key = (view.state, int((view.percent or 0) // 10), view.note, _has_failed(view))
        if self._told.get(view.id) != key:
            self._told[view.id] = key
            self._stream.write(plain_line(view) + "\n")
            self._stream.flush()


def _has_failed(view: View) -> bool:
    return "failed" in dict(view.counts) if not isinstance(view, JobView) else False


def _columns(text: str) -> int:
    """Count terminal columns: ideographs take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _cut(text: str, room: int) -> str:
    while _columns(text) > room:
        text = text[:-1]
    return text


def _cells(view: View, cells: int) -> list[str]:
    """Give the state word of each cell of the bar, "" for the empty ones at its end."""
    states: list[str] = []
    covered = 0.0
    for at, segment in enumerate(view.segments):
        covered += segment.width
        # The smallest segment still gets a cell: one failure among a thousand jobs must be seen.
        later = len(view.segments) - at - 1
        until = min(max(round(covered * cells / 100), len(states) + 1), cells - later)
        states += [segment.state] * (until - len(states))
    return states + [""] * (cells - len(states))


def _drawn_bar(view: View, cells: int, *, colour: bool) -> str:
    states = _cells(view, cells)
    if not colour:
        return "".join(_MARKS.get(state, ".") for state in states)
    drawn = ""
    for state, run in itertools.groupby(states):
        drawn += f"\x1b[{_COLOURS.get(state, _MUTED)}m" + ("━" if state else "─") * len(list(run))
    return drawn + "\x1b[0m"


def _facts(view: View) -> list[_Piece]:
    return _job_facts(view) if isinstance(view, JobView) else _batch_facts(view)


def _job_facts(view: JobView) -> list[_Piece]:
    percent = "" if view.percent is None else f"{view.percent:3.0f}% "
    times = ", ".join(part for part in (view.times, view.left) if part)
    facts: list[_Piece] = [
        (percent + view.state, _COLOURS.get(view.state, _MUTED), 0),
        (view.error, "31", 0),
        (view.step, "", 2),
        (times, _MUTED, 1),
        (view.attempt, _MUTED, 3),
        (view.note, "33", 0),
    ]
    return [fact for fact in facts if fact[0]]


def _batch_facts(view: BatchView) -> list[_Piece]:
    times = ", ".join(part for part in (view.times, view.left) if part)
    facts: list[_Piece] = [
        (f"{view.done:,}/{view.total:,}", "", 0),
        *((f"{count:,} {word}", _COLOURS.get(word, _MUTED), 0) for word, count in view.counts),
        (times, _MUTED, 1),
        (view.rate, _MUTED, 3),
        (view.step, "", 2),
        (view.note, "33", 0),
    ]
    return [fact for fact in facts if fact[0]]
