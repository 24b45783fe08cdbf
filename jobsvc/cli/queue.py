"""Commands about one queue: ``jobsvc queue ...``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from jobsvc.cli.ask import ADDRESS, PRIORITIES, SPAN, connect

_NAME = click.argument("name", metavar="QUEUE")
_REASON = click.option("--reason", default="", metavar="TEXT", help="Shown with the queue.")


@click.group()
def queue() -> None:
    """Show, change, pause and drain a queue."""


@queue.command()
@_NAME
@ADDRESS
def show(name: str, address: str | None) -> None:
    """Show the settings of a queue."""
    with connect(address) as client:
        _show(client.queue(name).settings())


@queue.command()
@_NAME
@_REASON
@ADDRESS
def pause(name: str, reason: str, address: str | None) -> None:
    """Start nothing more from a queue. What runs goes on, and jobs can still be submitted."""
    with connect(address) as client:
        client.queue(name).pause(reason)
        click.echo(f"{name} is paused; jobsvc queue resume {name} lets its jobs start again")


@queue.command()
@_NAME
@ADDRESS
def resume(name: str, address: str | None) -> None:
    """Start the jobs of a paused queue again."""
    with connect(address) as client:
        client.queue(name).resume()
        click.echo(f"{name} is open")


@queue.command()
@_NAME
@_REASON
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait.",
)
@ADDRESS
def drain(name: str, reason: str, timeout: float, address: str | None) -> None:
    """Pause a queue and wait until what runs has ended. Exit status 1 when something still runs then."""
    with connect(address) as client:
        active = client.queue(name).drain(reason, timeout=timeout)
    if active:
        raise click.ClickException(f"{name} is paused, and {active} of its jobs still run")
    click.echo(f"{name} is paused and drained")


@queue.command()
@_NAME
@click.option(
    "--state",
    "states",
    multiple=True,
    required=True,
    type=click.Choice(["scheduled", "queued", "completed", "failed", "cancelled"]),
    help="Jobs in this state; may be repeated.",
)
@click.option(
    "--older-than", type=SPAN, metavar="TIME", help="Only if that long ago, such as 30m, 12h or 7d."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@ADDRESS
def purge(
    name: str, states: tuple[str, ...], older_than: timedelta | None, yes: bool, address: str | None
) -> None:
    """Remove jobs of a queue that do not run, for good."""
    if not yes:
        click.confirm(f"remove {' and '.join(states)} jobs of {name} for good?", abort=True)
    with connect(address) as client:
        click.echo(f"{client.queue(name).purge(*states, older_than=older_than)} removed")


@queue.command()
@_NAME
@click.option("--max-concurrency", metavar="N", help="Jobs that run at once, over all workers.")
@click.option(
    "--max-concurrency-per-worker", metavar="N", help="Jobs that run at once in one worker process."
)
@click.option("--rate", metavar="N/TIME", help="Starts per time, such as 20/min, 10/s or 5/30s.")
@click.option("--burst", metavar="N", help="With --rate: how many may start at one instant. [1]")
@click.option("--max-waiting", metavar="N", help="More waiting jobs are refused.")
@click.option("--timeout", metavar="SECONDS", help="Limit of an attempt, where nobody else set one.")
@click.option(
    "--priority", type=click.Choice([*PRIORITIES, "none"]), help="Of jobs, where nobody else set one."
)
@click.option("--max-attempts", metavar="N", help="Of jobs, where nobody else set it.")
@ADDRESS
def set(name: str, address: str | None, **options: Any) -> None:
    """Change settings of a queue, at once and on all workers. "none" takes a setting away; what is not named stays."""
    words = {word: _value(word, text) for word, text in options.items() if text is not None}
    if not words:
        raise click.UsageError("name at least one setting; jobsvc queue set --help lists them")
    with connect(address) as client:
        _show(client.queue(name).update(**words))


def _value(word: str, text: str) -> Any:
    if text == "none":
        return None
    if word in ("rate", "priority"):
        return text
    try:
        return float(text) if word in ("burst", "timeout") else int(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a number", param_hint=f"--{word.replace('_', '-')}"
        ) from None


def _show(info: Any) -> None:
    from jobsvc.cli import render

    render.queue(info)


COMMANDS = (queue,)
