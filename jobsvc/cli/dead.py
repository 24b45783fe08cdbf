"""Commands about dead letters: the failed jobs that are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from jobsvc.cli.ask import ADDRESS, MOMENT, connect

_FILTERS: list[Callable[..., Any]] = [
    click.option("--queue", default="", metavar="NAME", help="Only of this queue."),
    click.option("--type", "job_type", default="", metavar="TYPE", help="Only of this job type."),
    click.option(
        "--error", "error_type", default="", metavar="NAME", help="Only failed with this exception."
    ),
    click.option("--code", "error_code", default="", metavar="CODE", help="Only failed with this code."),
    click.option("--after", type=MOMENT, metavar="TIME", help="Only failed then or later; UTC."),
    click.option("--before", type=MOMENT, metavar="TIME", help="Only failed before; UTC."),
]
_LIMIT = click.option(
    "--limit", type=click.IntRange(0), default=0, metavar="N", help="At most so many; 0: all."
)
_ALL = click.option("--all", "everything", is_flag=True, help="All of them: there is no filter.")
_RESET = click.option("--reset", is_flag=True, help="Count their attempts from the beginning.")


def _filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def dead() -> None:
    """List, retry and clear dead letters: failed jobs that are kept."""


@dead.command(name="list")
@_filtered
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@ADDRESS
def list_(address: str | None, limit: int, **filters: Any) -> None:
    """List them, the newest first; jobsvc show ID says more of one."""
    from jobsvc.cli import render

    with connect(address) as client:
        render.failures([job.last_status for job in client.dead_letters(**_words(filters)).list(limit)])


@dead.command(name="retry")
@_filtered
@_LIMIT
@_ALL
@_RESET
@ADDRESS
def retry_many(address: str | None, limit: int, everything: bool, reset: bool, **filters: Any) -> None:
    """Queue those that match again, oldest first. Each keeps its history and gets one more attempt."""
    words = _chosen(filters, everything)
    with connect(address) as client:
        done = client.dead_letters(**words).retry(limit=limit, reset_attempts=reset)
    click.echo(f"{done.requeued} queued again")


@dead.command()
@_filtered
@_LIMIT
@_ALL
@click.option("--yes", is_flag=True, help="Do not ask.")
@ADDRESS
def clear(address: str | None, limit: int, everything: bool, yes: bool, **filters: Any) -> None:
    """Remove those that match for good, oldest first."""
    words = _chosen(filters, everything)
    if not yes:
        click.confirm("remove these dead letters for good?", abort=True)
    with connect(address) as client:
        click.echo(f"{client.dead_letters(**words).clear(limit=limit)} removed")


@click.command()
@click.argument("job_ids", nargs=-1, required=True, metavar="ID...")
@_RESET
@ADDRESS
def retry(job_ids: tuple[str, ...], reset: bool, address: str | None) -> None:
    """Queue failed jobs again. Each keeps its history and gets one more attempt."""
    from jobsvc_sdk import NotFound

    missing = 0
    with connect(address) as client:
        for job_id in job_ids:
            try:
                job = client.job(job_id)
            except NotFound as error:
                missing += 1
                click.echo(str(error), err=True)
                continue
            again = job.retry(reset_attempts=reset)
            click.echo(f"{job.id} is queued again" if again else f"{job.id} has not failed: {job.state}")
    if missing:
        raise click.ClickException(f"{missing} of {len(job_ids)} jobs do not exist, or are no longer kept")


def _chosen(filters: dict[str, Any], everything: bool) -> dict[str, Any]:
    words = _words(filters)
    if not words and not everything:
        raise click.UsageError("say which: with a filter, or --all")
    if words and everything:
        raise click.UsageError("--all goes without filters")
    return words


def _words(filters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value}


COMMANDS = (dead, retry)
