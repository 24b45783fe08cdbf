"""The HTML that stays in the saved file, and that a front end without widgets shows.

In a notebook that is not trusted JupyterLab removes style sheets, ``role`` and ``aria-*`` attributes, vector
graphics and every declaration that uses a custom property. So: inline style only, literal colours that can be read on
a light and on a dark page, and elements that mean something by themselves (``details``, ``table``); the bar is a
picture of what the words say.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .state import BatchView, FailureLine, JobView, Segment, View

_MUTED = "#808080"
_COLOURS = {"completed": "#388e3c", "processing": "#1976d2", "failed": "#d32f2f", "cancelled": "#f57c00"}
_FRAME = "font:13px/1.5 system-ui,sans-serif;max-width:860px"
_ROW = "display:flex;gap:2px 12px;align-items:baseline;flex-wrap:wrap"
_MONO = "font:12px monospace;color:#808080;background:none;padding:0"
_TRACEBACK_KEPT = 4000


def job_html(view: JobView, as_of: str) -> str:
    """Write one job for the saved file; every text in it is escaped.

    Args:
        view: What to show.
        as_of: Local time of day of a view that is not the last one, for example ``22:33:10``.
    """
    head = _head(
        view, "" if view.percent is None else f"{view.percent:.0f}%", view.step, view.attempt, _times(view)
    )
    return f'<div style="{_FRAME}">{head}{_bar(view)}{_error(view)}{_foot(view, as_of)}</div>'


def batch_html(view: BatchView, as_of: str) -> str:
    """Write one batch for the saved file; the arguments are those of `job_html`."""
    times = ", ".join(part for part in (view.times, view.left, view.rate) if part)
    head = _head(view, f"{view.done:,}/{view.total:,}", times)
    counts = "".join(
        f'<span style="color:{_colour(word)}"><b>{count:,}</b> {word}</span>' for word, count in view.counts
    )
    return (
        f'<div style="{_FRAME}">{head}{_bar(view)}<div style="{_ROW}">{counts}{_muted(view.step)}</div>'
        f"{_failures(view)}{_foot(view, as_of)}</div>"
    )


def _colour(state: str) -> str:
    return _COLOURS.get(state, _MUTED)


def _muted(text: str) -> str:
    return f'<span style="color:{_MUTED}">{escape(text)}</span>' if text else ""


def _times(view: JobView) -> str:
    return ", ".join(part for part in (view.times, view.left) if part)


def _head(view: View, amount: str, *rest: str) -> str:
    colour = _colour(view.state)
    pill = (
        f'<span style="padding:0 9px;border-radius:10px;font-weight:600;font-size:12px;color:{colour};'
        f'border:1px solid {colour}">{escape(view.state)}</span>'
    )
    cells = [
        f"<b>{escape(view.title)}</b>",
        f'<code style="{_MONO}">{escape(view.id)}</code>',
        pill,
        f"<span>{amount}</span>" if amount else "",
        *(_muted(text) for text in rest),
    ]
    return f'<div style="{_ROW}">{"".join(cells)}</div>'


def _bar(view: View) -> str:
    # Not the progress element: its empty part stays white on a dark page.
    segments = "".join(_segment(segment) for segment in view.segments)
    return (
        '<div style="display:flex;height:10px;margin:4px 0;background:rgba(128,128,128,0.25);border-radius:5px;'
        f'overflow:hidden">{segments}</div>'
    )


def _segment(segment: Segment) -> str:
    return f'<div style="width:{segment.width:.2f}%;height:100%;background:{_colour(segment.state)}"></div>'


def _error(view: JobView) -> str:
    if not view.error:
        return ""
    line = f'<span style="color:{_COLOURS["failed"]}">{escape(view.error)}</span>'
    if not view.traceback:
        return f"<div>{line}</div>"
    return (
        f'<details><summary style="cursor:pointer;color:{_COLOURS["failed"]}">{line}</summary>'
        '<pre style="max-height:240px;overflow:auto;margin:4px 0 0;padding:8px;border-radius:4px;'
        'font:12px/1.35 monospace;background:rgba(128,128,128,0.15)">'
        f"{escape(view.traceback[-_TRACEBACK_KEPT:])}</pre></details>"
    )


def _failures(view: BatchView) -> str:
    if not view.failures:
        return ""
    rows = "".join(_failure(line) for line in view.failures)
    more = _muted(f"and {view.more_failures:,} more: batch.failed") if view.more_failures else ""
    return f'<table style="border-collapse:collapse;margin:2px 0 0"><tbody>{rows}</tbody></table>{more}'


def _failure(line: FailureLine) -> str:
    cell = '<td style="padding:1px 20px 1px 0;text-align:left">'
    return (
        f'<tr>{cell}<code style="{_MONO}">{escape(line.job_id)}</code></td>{cell}{escape(line.title)}</td>'
        f'{cell}<span style="color:{_COLOURS["failed"]}">{escape(line.error)}</span></td></tr>'
    )


def _foot(view: View, as_of: str) -> str:
    when = f"{view.state} at {view.ended}" if view.ended else "" if view.terminal else f"as of {as_of}"
    note = f"{view.note} · " if view.note and not view.terminal else ""
    way_back = f'<code style="{_MONO}">{escape(view.way_back)}</code>'
    return f'<div style="font-size:12px;color:{_MUTED}">{escape(note)}{escape(when)} · {way_back}</div>'
