"""Job types as workers publish them, and the workers themselves."""

from __future__ import annotations

from dataclasses import dataclass

from jobsvc.model.job import Priority
from jobsvc.model.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """What can be run.

    Attributes:
        name: Stable dotted name.
        queue: Where its jobs go unless the caller says otherwise.
        description: The handler's docstring.
        arguments_schema: JSON Schema (2020-12) of the arguments object, as text.
        result_schema: JSON Schema of the result, as text; empty when unknown.
        timeout_ms: Limit for one attempt, milliseconds; 0 for none.
        isolation: ``process`` or ``thread``.
        memory_limit_bytes: Most resident memory of an attempt's process and what it has started; 0 for no limit.
        explicit: What the handler itself says, out of ``timeout``, ``retry`` and ``priority``: over these the settings
            of a queue have no say.
    """

    name: str
    queue: str
    description: str = ""
    arguments_schema: str = "{}"
    result_schema: str = ""
    timeout_ms: int = 0
    retry: RetryPolicy = RetryPolicy()
    priority: Priority = Priority.MEDIUM
    isolation: str = "process"
    memory_limit_bytes: int = 0
    explicit: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A live worker process, as it last said of itself.

    Attributes:
        memory_bytes: Resident memory of the process and its children; 0 when that cannot be told.
        running: Ids of the jobs that it runs, the first hundred.
        busy: How many jobs it runs.
        draining: It takes no more jobs, and ends.
    """

    id: str
    hostname: str
    pid: int
    queues: tuple[str, ...]
    types: tuple[str, ...]
    slots: int
    start_ms: int
    heartbeat_ms: int = 0
    version: str = ""
    memory_bytes: int = 0
    running: tuple[str, ...] = ()
    busy: int = 0
    draining: bool = False
