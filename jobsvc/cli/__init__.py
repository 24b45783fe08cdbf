"""The command line: ``jobsvc``.

Commands hold no logic. Those that run parts of the service call `jobsvc.app`; those that talk to a running server use
the SDK. Both are imported inside the commands, so that ``jobsvc --help`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from jobsvc.cli import ask, dead, queue, serve


class _Commands(click.Group):
    """A group in whose commands every expected error is one clear line and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not _expected(error):
                raise
            raise click.ClickException(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="jobsvc")
def cli() -> None:
    """Asynchronous jobs over gRPC on Redis or Valkey, with live progress.

    To try it out run `jobsvc dev` in one terminal, and `jobsvc submit analytics.profile dataset=cars --watch` in
    another. Every option can also be set in jobsvc.toml, or in the environment as JOBSVC_NAME.
    """


for _command in (*serve.COMMANDS, *ask.COMMANDS, *queue.COMMANDS, *dead.COMMANDS):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: The words after ``jobsvc``; by default those of this process.
    """
    cli.main(args=arguments, prog_name="jobsvc")


def _expected(error: Exception) -> bool:
    """Whether this is an error of ours. Only modules that are loaded can have raised one."""
    trees = [sys.modules.get("jobsvc.model.errors"), sys.modules.get("jobsvc_sdk.errors")]
    return isinstance(error, (TimeoutError, *(tree.JobsvcError for tree in trees if tree is not None)))
