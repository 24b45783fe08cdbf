"""The HTML of a live card: follows the notebook's theme and tells assistive technology what it shows.

It goes into an ipywidgets HTML widget, so it may use a style sheet, custom properties and ARIA. It never reaches
the saved file: that is `static_html`, which has to survive a sanitiser.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .state import BatchView, FailureLine, JobView, Segment, View

_STYLE = """<style>
.jobsvc{font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,CanvasText);
 max-width:860px;padding:2px 0;font-variant-numeric:tabular-nums;
 --jobsvc-completed:var(--jp-success-color1,#388e3c);--jobsvc-processing:var(--jp-brand-color1,#1976d2);
 --jobsvc-failed:var(--jp-error-color1,#d32f2f);--jobsvc-cancelled:var(--jp-warn-color1,#f57c00);
 --jobsvc-waiting:var(--jp-ui-font-color2,GrayText)}
.jobsvc .row{display:flex;gap:2px 12px;align-items:baseline;flex-wrap:wrap}
.jobsvc code{font:12px var(--jp-code-font-family,monospace);color:var(--jobsvc-waiting);background:none;padding:0}
.jobsvc .pill{padding:0 9px;border-radius:10px;font-weight:600;font-size:12px;border:1px solid currentColor}
.jobsvc .muted,.jobsvc .queued,.jobsvc .scheduled,.jobsvc .blocked{color:var(--jobsvc-waiting)}
.jobsvc .completed{color:var(--jobsvc-completed)}.jobsvc .processing{color:var(--jobsvc-processing)}
.jobsvc .failed{color:var(--jobsvc-failed)}.jobsvc .cancelled{color:var(--jobsvc-cancelled)}
.jobsvc .track{display:flex;height:10px;margin:4px 0;background:var(--jp-layout-color2,#ddd);border-radius:5px;
 overflow:hidden}
.jobsvc .track div{height:100%;background:currentColor}
.jobsvc .track .unsure{opacity:.55;background:repeating-linear-gradient(-45deg,currentColor 0 8px,transparent 8px 16px)}
.jobsvc summary{cursor:pointer;overflow-wrap:anywhere}
.jobsvc pre{max-height:240px;overflow:auto;margin:4px 0 0;padding:8px;border-radius:4px;white-space:pre;
 font:12px/1.35 var(--jp-code-font-family,monospace);color:inherit;background:var(--jp-layout-color2,#f2f2f2)}
.jobsvc table{border-collapse:collapse;margin:2px 0 0;font-size:13px}
.jobsvc td{padding:1px 20px 1px 0;text-align:left;border-bottom:1px solid var(--jp-border-color2,#ccc);
 overflow-wrap:anywhere}
.jobsvc tr{background:none}
.jobsvc-card,.jobsvc-view{margin:0}
.jobsvc-cancel.widget-button{align-self:flex-start;width:auto;height:26px;line-height:26px;padding:0 12px;
 margin:4px 0 6px;border-radius:4px}
</style>"""


def job_html(view: JobView) -> str:
    """Write the card of one job; every text in it is escaped."""
    percent = "" if view.percent is None else f"{view.percent:.0f}%"
    head = _row(
        f"<b>{escape(view.title)}</b>",
        f"<code>{escape(view.id)}</code>",
        _pill(view),
        f"<span>{percent}</span>" if percent and (view.segments or view.percent) else "",
        _muted(view.step),
        _muted(view.attempt),
        _muted(_times(view)),
        _note(view.note),
    )
    unsure = view.state == "processing" and view.percent is None
    now = "" if view.percent is None else f' aria-valuenow="{view.percent:.0f}"'
    bar = _track(view, f'aria-valuemin="0" aria-valuemax="100"{now}', unsure=unsure)
    return f'{_STYLE}<div class="jobsvc">{head}{bar}{_error(view)}</div>'


def batch_html(view: BatchView) -> str:
    """Write the card of one batch; every text in it is escaped."""
    head = _row(
        f"<b>{escape(view.title)}</b>",
        f"<code>{escape(view.id)}</code>",
        _pill(view),
        f"<span>{view.done:,}/{view.total:,}</span>",
        _muted(", ".join(part for part in (view.times, view.left, view.rate) if part)),
        _note(view.note),
    )
    bar = _track(view, f'aria-valuemin="0" aria-valuemax="{view.total}" aria-valuenow="{view.done}"')
    counts = _row(
        *(f'<span class="{word}"><b>{count:,}</b> {word}</span>' for word, count in view.counts),
        _muted(view.step),
    )
    return f'{_STYLE}<div class="jobsvc">{head}{bar}{counts}{_failures(view)}</div>'


def _row(*cells: str) -> str:
    return f'<div class="row">{"".join(cells)}</div>'


def _muted(text: str) -> str:
    return f'<span class="muted">{escape(text)}</span>' if text else ""


def _note(text: str) -> str:
    return f'<span class="cancelled" role="note">{escape(text)}</span>' if text else ""


def _pill(view: View) -> str:
    return f'<span class="pill {escape(view.state)}" role="status">{escape(view.state)}</span>'


def _times(view: JobView) -> str:
    return ", ".join(part for part in (view.times, view.left) if part)


def _track(view: View, values: str, *, unsure: bool = False) -> str:
    segments = "".join(_segment(segment, unsure=unsure) for segment in view.segments)
    label = f'role="progressbar" aria-label="{escape(view.title)}" aria-valuetext="{escape(view.state)}"'
    return f'<div class="track" {label} {values}>{segments}</div>'


def _segment(segment: Segment, *, unsure: bool) -> str:
    classes = escape(segment.state) + (" unsure" if unsure else "")
    return f'<div class="{classes}" title="{escape(segment.state)}" style="width:{segment.width:.2f}%"></div>'


def _error(view: JobView) -> str:
    if not view.error:
        return ""
    line = escape(view.error)
    if not view.traceback:
        return f'<div class="failed">{line}</div>'
    return f'<details><summary class="failed">{line}</summary><pre>{escape(view.traceback)}</pre></details>'


def _failures(view: BatchView) -> str:
    if not view.failures:
        return ""
    more = _muted(f"and {view.more_failures:,} more: batch.failed") if view.more_failures else ""
    return f"<table><tbody>{''.join(_failure(line) for line in view.failures)}</tbody></table>{more}"


def _failure(line: FailureLine) -> str:
    return (
        f"<tr><td><code>{escape(line.job_id)}</code></td><td>{escape(line.title)}</td>"
        f'<td class="failed">{escape(line.error)}</td></tr>'
    )
