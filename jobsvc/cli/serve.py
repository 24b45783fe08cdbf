"""Commands that run parts of the service."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jobsvc.config import Settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_PORT = click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0: any free one. [7443]"
)
_REDIS = click.option("--redis", "redis_url", metavar="URL", help="Redis or Valkey with the queues.")
_NAMESPACE = click.option("--namespace", metavar="NAME", help="First part of all keys. [jobsvc]")
_DATA_FOLDER = click.option(
    "--data-folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder whose CSV files the samples may read.",
)
_HIDDEN = [
    click.option("--ready-file", type=click.Path(path_type=Path), hidden=True),
    click.option("--die-with", type=int, metavar="PID", hidden=True),
]
_WORK = [
    click.option(
        "--import",
        "imports",
        multiple=True,
        metavar="MODULE",
        help="Module that defines handlers; may be repeated.",
    ),
    click.option("--processes", type=int, metavar="N", help="Worker processes. [1]"),
    click.option(
        "--threads", type=int, metavar="M", help="Jobs that one worker process runs at a time. [by cores]"
    ),
]


def _with(*options: Decorator) -> Decorator:
    def apply(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


@click.command()
@_with(_PORT, *_WORK, _DATA_FOLDER, _REDIS, _NAMESPACE, *_HIDDEN)
@click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for the state. [.jobsvc]",
)
def dev(**options: Any) -> None:
    """Run everything on this machine: an embedded Valkey, the server and workers.

    Without --import the workers run the samples that ship. Ctrl-C stops all of it; what was queued goes on at the next
    start with the same --data.
    """
    _run("run_dev", options)


@click.command()
@_with(_REDIS, _PORT, _NAMESPACE, *_HIDDEN)
@click.option("--listen", metavar="HOST:PORT", help="Address to listen on. [127.0.0.1:7443]")
def server(**options: Any) -> None:
    """Run the server: the door for clients."""
    _run("run_server", options)


@click.command()
@_with(_REDIS, *_WORK, _DATA_FOLDER, _NAMESPACE, *_HIDDEN)
@click.option("--queues", metavar="A,B", help="Serve only these queues. [those of the handlers]")
@click.option("--health", metavar="HOST:PORT", help="Where to answer GET /live and /ready. [nowhere]")
def worker(**options: Any) -> None:
    """Run workers: the processes that run jobs."""
    _run("run_worker", options)


def _run(name: str, options: dict[str, Any]) -> None:
    parent, ready_file = options.pop("die_with"), options.pop("ready_file")
    if parent is not None:
        from jobsvc import lifeline

        lifeline.hold(parent)
    # A console script does not put the current folder on the path, and that is where a user's handlers are.
    if "" not in sys.path:
        sys.path.insert(0, "")
    settings = _settings(**options)
    from jobsvc import app

    sys.exit(getattr(app, name)(settings, ready_file=ready_file))


def _settings(port: int | None = None, imports: tuple[str, ...] = (), **options: Any) -> Settings:
    from jobsvc import config

    settings = config.load(imports=imports or None, **options)
    if port is None:
        return settings
    return settings.model_copy(update={"listen": f"{settings.host}:{port}"})


COMMANDS = (dev, server, worker)
