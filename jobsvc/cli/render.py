"""Tables and texts of the command line. What comes from jobs is shown as text, never as markup or control codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from jobsvc_sdk._queue_words import QueueInfo
    from jobsvc_sdk.values import ErrorValue, JobStatus, LogLine, QueueValue, WorkerValue

STYLES = {
    "blocked": "dim",
    "scheduled": "cyan",
    "queued": "blue",
    "processing": "yellow",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def jobs(found: Sequence[JobStatus]) -> None:
    """Print a table of jobs."""
    if not found:
        _console().print("no such jobs")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "type", "queue", "state", "progress", "attempt", "age", "what"):
        table.add_column(name, overflow="fold" if name == "id" else "ellipsis", no_wrap=name != "id")
    for job in found:
        table.add_row(
            *(_plain(word) for word in (job.id, job.job_type, job.queue)),
            _state(job),
            _percent(job.percent),
            str(job.attempt or ""),
            _age(job.create_time),
            _plain(_what(job)),
        )
    _console().print(table)


def job(status: JobStatus, logs: Sequence[LogLine]) -> None:
    """Print everything that is known about a job."""
    console = _console()
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(status):
        facts.add_row(name, value)
    console.print(facts)
    if len(status.attempts) > 1 or status.state == "scheduled":
        _attempts(console, status)
    if status.error is not None:
        _section(console, "error")
        console.print(_plain(_error(status.error)))
    if logs:
        _section(console, "log")
        for line in logs:
            console.print(_plain(str(line)))
    if status.result_json is not None:
        _section(console, "result")
        console.print(_plain(_indented(status.result_json)))


def _attempts(console: Console, status: JobStatus) -> None:
    if not status.attempts:
        return
    _section(console, "attempts")
    for attempt in status.attempts:
        words = [str(attempt.number), attempt.outcome, _moment(attempt.start_time)]
        words.append(_duration(attempt.start_time, attempt.end_time))
        if attempt.error:
            words += [f"[{attempt.error.code}]" if attempt.error.code else "", attempt.error.summary]
        if attempt.next_time:
            words.append(f"next after {_span(attempt.retry_delay or timedelta())}")
        console.print(_plain("  ".join(word for word in words if word)))


def queues(found: Iterable[QueueValue]) -> None:
    """Print a table of queues, with the counts of their jobs."""
    table = Table(box=None, pad_edge=False)
    table.add_column("queue")
    for state in STYLES:
        table.add_column(state, justify="right")
    rows = 0
    for queue in found:
        rows += 1
        name = f"{queue.name} (paused)" if queue.paused else queue.name
        counts = [int(getattr(queue, state)) for state in STYLES]
        cells = [Text(str(count), style="dim" if not count else "") for count in counts]
        table.add_row(_plain(name), *cells)
    _console().print(table if rows else "no queues yet")


def workers(found: Iterable[WorkerValue]) -> None:
    """Print a table of workers."""
    table = Table(box=None, pad_edge=False)
    for name in ("worker", "pid", "running", "memory", "started", "heard of", "queues"):
        table.add_column(name)
    rows = 0
    for worker in found:
        rows += 1
        table.add_row(
            _plain(f"{worker.id} (draining)" if worker.draining else worker.id),
            str(worker.pid),
            f"{worker.running} of {worker.slots}",
            f"{worker.memory_bytes / 2**20:.0f} MiB" if worker.memory_bytes else "",
            _moment(worker.start_time),
            f"{_age(worker.heartbeat_time)} ago",
            _plain(", ".join(worker.queues)),
        )
    _console().print(table if rows else "no workers live")


def failures(found: Iterable[JobStatus]) -> None:
    """Print a table of failed jobs, with what they failed with."""
    table = Table(box=None, pad_edge=False)
    for name in ("id", "type", "queue", "failed", "attempts", "code", "error"):
        table.add_column(name)
    rows = 0
    for status in found:
        rows += 1
        error = status.error
        table.add_row(
            _plain(status.id),
            _plain(status.job_type),
            _plain(status.queue),
            _moment(status.end_time),
            str(status.attempt),
            _plain(error.code if error else ""),
            _plain(error.summary if error else ""),
        )
    _console().print(table if rows else "no dead letters")


def queue(info: QueueInfo) -> None:
    """Print the settings of a queue."""
    facts = {
        "queue": info.name,
        "state": f"paused: {info.pause_reason or 'no reason given'}" if info.paused else "open",
        "at once": info.max_concurrency,
        "per worker": info.max_concurrency_per_worker,
        "rate": f"{info.rate}, {info.burst or 1:g} at one instant" if info.rate else None,
        "waiting": f"at most {info.max_waiting}" if info.max_waiting else None,
        "timeout": _length(info.timeout),
        "priority": info.priority,
        "attempts": info.max_attempts,
        "back-off": " to ".join(filter(None, (_length(info.backoff), _length(info.max_backoff)))),
        "kept for": ", ".join(f"{state} {_length(age)}" for state, age in (info.keep_for or {}).items()),
        "kept most": ", ".join(f"{state} {count}" for state, count in (info.keep_count or {}).items()),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        if value:
            table.add_row(Text(name, style="dim"), _plain(str(value)))
    _console().print(table)


def stats(found: Iterable[QueueValue]) -> None:
    """Print a table of queues, with how fast they go and how long their jobs wait and run."""
    table = Table(box=None, pad_edge=False)
    table.add_column("queue")
    for name in ("queued", "processing", "ended/s", "failed", "wait p50", "p95", "run p50", "p95", "oldest"):
        table.add_column(name, justify="right")
    rows = 0
    for queue in found:
        rows += 1
        lengths = (queue.wait_p50, queue.wait_p95, queue.run_p50, queue.run_p95, queue.oldest_waiting)
        table.add_row(
            _plain(queue.name),
            str(queue.queued),
            str(queue.processing),
            f"{queue.per_second:.3g}",
            f"{queue.failure_ratio:.1%}" if queue.per_second else "",
            *(_length(length) for length in lengths),
        )
    _console().print(table if rows else "no queues yet")


def _length(length: timedelta | None) -> str:
    """Return a length of time with three digits and its unit."""
    if length is None:
        return ""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1_000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 600 else f"{seconds / 60:.3g} min"


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _facts(status: JobStatus) -> Iterable[tuple[str, Text]]:
    attempts = f"{status.attempt} of {status.max_attempts}" if status.max_attempts else str(status.attempt)
    if status.lost_attempts:
        attempts += f", {status.lost_attempts} lost with their workers"
    if status.snoozes:
        attempts += f", and {status.snoozes} snooze{'s' * (status.snoozes > 1)}"
    units = f"{status.completed_units} of {status.total_units or '?'} {status.unit}".strip()
    progress = [_percent(status.percent), status.step, status.message]
    progress += [units] if status.completed_units is not None else []
    facts = {
        "id": status.id,
        "title": status.title,
        "type": status.job_type,
        "queue": status.queue,
        "batch": status.batch_id,
        "progress": "  ".join(part for part in progress if part),
        "attempt": attempts if status.attempt or status.snoozes else "",
        "due": _due(status),
        "created": _moment(status.create_time),
        "started": _moment(status.start_time),
        "ended": _moment(status.end_time),
        "took": _duration(status.start_time, status.end_time) if status.end_time else "",
        "cancelled": status.cancel_reason,
        "arguments": status.arguments_json or "",
    }
    yield "state", _state(status)
    for name, value in facts.items():
        if value:
            yield name, _plain(value)


def _due(status: JobStatus) -> str:
    if status.due_time is None:
        return ""
    what = "next attempt" if status.attempt or status.snoozes else "start"
    return f"{what} {_moment(status.due_time)}, in {_span(status.due_time - datetime.now(UTC))}"


def _state(status: JobStatus) -> Text:
    stopping = status.cancel_requested and status.state == "processing"
    return Text(f"{status.state}, stopping" if stopping else status.state, style=STYLES.get(status.state, ""))


def _what(status: JobStatus) -> str:
    if status.state == "failed" and status.error is not None:
        return status.error.summary
    if status.state == "processing" and (status.step or status.message):
        return " ".join(part for part in (status.step, status.message) if part)
    return status.title


def _error(error: ErrorValue) -> str:
    code = f" [{error.code}]" if error.code else ""
    code += f" {error.details_json}" if error.details_json else ""
    if error.stack_trace:
        return f"{error.category}{code}\n{error.stack_trace.rstrip()}"
    return (
        f"{error.category}{code}: {error.type}: {error.message}"
        if error.type
        else f"{error.category}: {error.message}"
    )


def _indented(json_text: str) -> str:
    try:
        return json.dumps(json.loads(json_text), indent=2, ensure_ascii=False)
    except ValueError:
        return json_text


def _plain(text: str) -> Text:
    return Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))


def _percent(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.0f} %"


def _moment(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def _age(moment: datetime | None) -> str:
    return _span(datetime.now(UTC) - moment) if moment else ""


def _duration(start: datetime | None, end: datetime | None) -> str:
    return _span((end or datetime.now(UTC)) - start) if start else ""


def _span(span: timedelta) -> str:
    """Say how long, in one unit or two: 0.3 s, 42 s, 5 min 3 s, 3 h 20 min, 2 d 5 h."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
