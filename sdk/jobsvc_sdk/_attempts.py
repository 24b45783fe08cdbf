"""What became of one try at running a job: plain frozen values, like those of :mod:`jobsvc_sdk.values`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorValue:
    """Why a job or an attempt failed.

    Attributes:
        category: ``application``, ``timeout``, ``worker_lost``, ``cancelled``, ``dependency``, ``invalid_arguments``,
            ``internal`` or, from a newer server, another word.
        type: Qualified name of the exception on the worker, e.g. ``"pandas.errors.ParserError"``.
        message: Its text.
        stack_trace: The worker's traceback as text; empty when the server left it out.
        code: What the handler gave to ``Fail(code=...)``; empty otherwise.
        retryable: Whether another attempt could have helped.
        details_json: What the handler gave to ``Fail(details=...)``, as JSON text; empty otherwise.
    """

    category: str = "application"
    type: str = ""
    message: str = ""
    stack_trace: str = ""
    code: str = ""
    retryable: bool = False
    details_json: str = ""

    @property
    def details(self) -> Any:
        """What the handler gave to ``Fail(details=...)``; None when it gave nothing."""
        return json.loads(self.details_json) if self.details_json else None

    @property
    def summary(self) -> str:
        """Type and first line of the message, e.g. ``"ValueError: bad row 17"``."""
        first_line = self.message.strip().partition("\n")[0]
        name = self.type.removeprefix("builtins.")
        return ": ".join(part for part in (name, first_line) if part) or self.category


@dataclass(frozen=True, slots=True)
class AttemptValue:
    """One try at running a job.

    Attributes:
        number: Counts from 1.
        worker_id: Who ran it.
        start_time: When it began.
        end_time: When it ended; None while it runs.
        outcome: ``running``, ``completed``, ``failed``, ``retried``, ``snoozed``, ``cancelled``, ``released`` or
            ``lost``.
        error: Set when it failed.
        retry_delay: How long the job waits after it for the next attempt; None when there is none, or no wait.
    """

    number: int
    worker_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    outcome: str = "running"
    error: ErrorValue | None = None
    retry_delay: timedelta | None = None

    @property
    def next_time(self) -> datetime | None:
        """When the attempt after it may start; None when none follows."""
        if self.outcome != "retried" or self.end_time is None:
            return None
        return self.end_time + (self.retry_delay or timedelta())
