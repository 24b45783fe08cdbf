"""Commands that talk to a running server, through the SDK."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jobsvc_sdk import Client

STATES = ("blocked", "scheduled", "queued", "processing", "completed", "failed", "cancelled")
PRIORITIES = ("urgent", "high", "medium", "low")

ADDRESS = click.option(
    "--address", envvar="JOBSVCADDRESS", metavar="HOST:PORT", help="The server. [127.0.0.1:7443]"
)
_QUEUE = click.option("--queue", metavar="NAME", help="Only this queue.")


class Span(click.ParamType[timedelta]):
    """A length of time with its unit."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
        if isinstance(value, timedelta):
            return value
        if not str(value)[:-1].isdecimal() or str(value)[-1:] not in units:
            self.fail(f"{value!r} is not a time such as 30s, 5m, 12h or 7d", param, ctx)
        return timedelta(seconds=int(value[:-1]) * units[value[-1]])


class Moment(click.ParamType[datetime]):
    """An instant."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it; without a zone it is UTC."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-12-01T08:00+01:00", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


SPAN, MOMENT = Span(), Moment()


def connect(address: str | None) -> Client:
    """Return a client of the server at an address; none takes that of the environment."""
    from jobsvc_sdk import connect

    return connect(address)


@click.command()
@click.argument("job_type", metavar="TYPE")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--json", "json_text", metavar="OBJECT", help="Arguments as one JSON object; KEY=VALUE go over it."
)
@click.option("--queue", metavar="NAME", help="Another queue than the job type's own.")
@click.option(
    "--priority", type=click.Choice(PRIORITIES), help="Before or after others of its queue. [medium]"
)
@click.option("--delay", type=SPAN, metavar="TIME", help="Start that much later, such as 30s, 5m, 2h or 1d.")
@click.option(
    "--at",
    "start_at",
    type=MOMENT,
    metavar="TIME",
    help="Start then, such as 2026-12-01T08:00+01:00.",
)
@click.option("--expires", type=SPAN, metavar="TIME", help="Cancel it if it has not started that much later.")
@click.option("--max-attempts", type=int, metavar="N", help="Failed attempts after which it has failed.")
@click.option(
    "--retry-delays",
    "delays",
    callback=lambda _context, _option, text: _delays(text),
    metavar="S,S,...",
    help="Seconds before each further attempt, such as 0,30,90; the last repeats.",
)
@click.option("--title", metavar="TEXT", help="A name for people.")
@click.option("--job-id", metavar="ID", help="An id of your choice; the same id is the same job.")
@click.option("--watch", is_flag=True, help="Show its progress until it ends, then its result.")
@ADDRESS
def submit(
    job_type: str,
    pairs: tuple[str, ...],
    json_text: str | None,
    delays: list[float],
    watch: bool,
    address: str | None,
    **options: Any,
) -> None:
    """Submit a job, such as: jobsvc submit analytics.profile dataset=cars top=3.

    A VALUE that is JSON is taken as such (3, true, null, ["a", "b"]), any other as text. Prints the job's id.
    """
    arguments = _arguments(pairs, json_text)
    given = {name: value for name, value in options.items() if value not in (None, "")}
    if delays:
        given["retry"] = {"delays": delays}
    with connect(address) as client:
        job = client.submit(job_type, arguments, **given)
        click.echo(job.id)
        if watch:
            job.watch()
            _print_json(job.result())


@click.command()
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@_QUEUE
@click.option("--batch", metavar="ID", help="Only jobs of this batch.")
@click.option("--type", "job_type", metavar="TYPE", help="Only jobs of this type.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@ADDRESS
def jobs(address: str | None, **filters: Any) -> None:
    """List jobs, the newest first."""
    from jobsvc.cli import render

    with connect(address) as client:
        found = client.jobs(**{name: value for name, value in filters.items() if value is not None})
        render.jobs([job.status for job in found])


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--logs",
    "lines",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    metavar="N",
    help="Show the last N lines that it logged.",
)
@ADDRESS
def show(job_id: str, lines: int, address: str | None) -> None:
    """Show one job: its state, attempts, error, result and last log lines."""
    from jobsvc.cli import render

    with connect(address) as client:
        job = client.job(job_id)
        render.job(job.status, job.logs()[-lines:] if lines else [])


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the job.")
@ADDRESS
def cancel(job_id: str, reason: str, address: str | None) -> None:
    """Cancel a job. One that has ended stays as it is."""
    with connect(address) as client:
        job = client.job(job_id)
        accepted = job.cancel(reason)
        if not accepted:
            click.echo(f"{job.id} had ended before: {job.state}")
        elif job.state == "processing":
            click.echo(f"{job.id} was told to stop")
        else:
            click.echo(f"{job.id} is {job.state}")


@click.command()
@ADDRESS
def queues(address: str | None) -> None:
    """Show how many jobs each queue has in which state."""
    from jobsvc.cli import render

    with connect(address) as client:
        render.queues(client.queues())


@click.command()
@click.option(
    "--window",
    type=click.IntRange(10, 900),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How far to look back.",
)
@ADDRESS
def stats(window: int, address: str | None) -> None:
    """Show how many jobs of each queue end in a second, and how long they wait and run."""
    from jobsvc.cli import render

    with connect(address) as client:
        render.stats(client.queues(window=window))


@click.command()
@ADDRESS
def workers(address: str | None) -> None:
    """List the live workers: what they run, and how much memory they use."""
    from jobsvc.cli import render

    with connect(address) as client:
        render.workers(client.workers())


@click.command()
@click.argument("worker_id", metavar="WORKER")
@click.option("--reason", default="", metavar="TEXT", help="For people.")
@ADDRESS
def drain(worker_id: str, reason: str, address: str | None) -> None:
    """Tell a worker to take nothing more and to end. What it runs is finished, or handed back after stop_grace."""
    with connect(address) as client:
        client.drain_worker(worker_id, reason)
        click.echo(f"{worker_id} takes nothing more, and ends when what it runs has ended")


def _delays(text: str | None) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list of seconds; write 0,30,90") from None


def _arguments(pairs: tuple[str, ...], json_text: str | None) -> dict[str, Any]:
    arguments: Any = {}
    if json_text is not None:
        try:
            arguments = json.loads(json_text)
        except ValueError as error:
            raise click.BadParameter(f"is not JSON: {error}", param_hint="--json") from error
        if not isinstance(arguments, dict):
            raise click.BadParameter('must be an object such as \'{"dataset": "cars"}\'', param_hint="--json")
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="KEY=VALUE")
        arguments[key] = _value(text)
    return dict(arguments)


def _value(text: str) -> Any:
    """Read JSON where it is some; NaN and its like are not, and stay text for the server to refuse."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _print_json(value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print_json(text)
    else:
        click.echo(text)


COMMANDS = (submit, jobs, show, cancel, queues, stats, workers, drain)
