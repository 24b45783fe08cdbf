"""Small tables for people: aligned text, and HTML that survives a notebook's sanitiser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape
from typing import Any, Generic, TypeVar

from ._signature import signature_of, signature_text
from .values import JobStatus, JobTypeValue, LogLine, QueueValue, WorkerValue

Item = TypeVar("Item")
_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"


def text_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return aligned columns, two spaces apart, one row a line."""
    lines = [list(headings), *([_plain(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def html_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return an HTML table; every cell is escaped."""
    head = "".join(f'<th style="{_CELL}">{escape(heading)}</th>' for heading in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(_plain(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _plain(cell: Any) -> str:
    """Return a cell on one line, without control characters a terminal would obey."""
    if cell is None:
        return ""
    if isinstance(cell, timedelta):
        return f"{cell.total_seconds():.3g} s"
    return "".join(letter if letter.isprintable() else " " for letter in str(cell))


class Table(list[Item], Generic[Item]):
    """A list that shows itself as a table."""

    headings: Sequence[str] = ()
    empty = "nothing"

    def row(self, item: Item) -> Sequence[Any]:
        """Return the cells of one item, in the order of ``headings``."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return text_table(self.headings, map(self.row, self)) if self else f"({self.empty})"

    def _repr_html_(self) -> str:
        return html_table(self.headings, map(self.row, self)) if self else f"<i>{escape(self.empty)}</i>"


class LogLines(list[LogLine]):
    """Lines a job logged, shown as text."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) if self else "(no log lines)"


class JobTable(Table[Any]):
    """Handles of jobs."""

    headings = ("id", "job type", "state", "done", "title", "queue", "created")
    empty = "no jobs"

    def row(self, item: Any) -> Sequence[Any]:
        """Return what is known of a job."""
        status: JobStatus = item.last_status
        done = "" if status.percent is None else f"{status.percent:.0f}%"
        created = status.create_time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if status.create_time else ""
        return (status.id, status.job_type, status.state, done, status.title, status.queue, created)


class QueueTable(Table[QueueValue]):
    """Numbers of queues."""

    headings = (
        "queue",
        "queued",
        "processing",
        "scheduled",
        "completed",
        "failed",
        "cancelled",
        "ended/s",
        "wait p50",
        "run p50",
        "oldest",
        "state",
    )
    empty = "no queues yet"

    def row(self, item: QueueValue) -> Sequence[Any]:
        """Return the numbers of a queue."""
        return (
            item.name,
            item.queued,
            item.processing,
            item.scheduled,
            item.completed,
            item.failed,
            item.cancelled,
            f"{item.per_second:.3g}",
            item.wait_p50,
            item.run_p50,
            item.oldest_waiting,
            "paused" if item.paused else "open",
        )


class WorkerTable(Table[WorkerValue]):
    """Live workers."""

    headings = ("worker", "pid", "queues", "running", "memory", "started", "state")
    empty = "no workers"

    def row(self, item: WorkerValue) -> Sequence[Any]:
        """Return what a worker said of itself."""
        started = item.start_time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if item.start_time else ""
        return (
            item.id,
            item.pid,
            ", ".join(item.queues),
            f"{item.running}/{item.slots}",
            f"{item.memory_bytes / 2**20:.0f} MiB" if item.memory_bytes else "",
            started,
            "draining" if item.draining else "open",
        )


class JobTypeTable(Table[JobTypeValue]):
    """What can be submitted."""

    headings = ("job type", "arguments", "queue", "workers", "description")
    empty = "no job types: no worker has ever connected"

    def row(self, item: JobTypeValue) -> Sequence[Any]:
        """Return name, signature and one line about it."""
        signature = signature_text(signature_of(item.arguments_schema_json))
        return (item.name, signature, item.queue, item.live_workers, item.summary)
