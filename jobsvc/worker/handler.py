"""What a handler is: a typed function with a job type, which is a Dramatiq actor."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, ParamSpec, TypeVar, cast

import dramatiq

from jobsvc.broker import current_broker
from jobsvc.broker.options import priority_of, retry_policy
from jobsvc.model.catalog import JobType
from jobsvc.model.errors import ConfigurationError
from jobsvc.model.job import Priority
from jobsvc.worker.memory import bytes_of
from jobsvc.worker.retrying import DEFAULT_POLICY, RetryPolicy, retry_policy_of
from jobsvc.worker.signature import Arguments, result_schema

P = ParamSpec("P")
R = TypeVar("R")
Isolation = Literal["process", "thread"]

LEAST_MEMORY = 32 * 2**20

DEFAULT_TIMEOUT = timedelta(minutes=30)
PRIORITIES = {priority.name.lower(): priority for priority in Priority}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function that a worker can run, and how.

    Attributes:
        job_type: What is published about it.
        function: The function itself.
        arguments: Reads and checks the arguments.
        retry_when: Dramatiq's option: told of the attempts before and the exception, says whether to repeat.
    """

    job_type: JobType
    function: Callable[..., Any]
    arguments: Arguments
    retry_when: Callable[[int, BaseException], bool] | None = None

    def may_repeat(self, attempts_before: int, error: BaseException) -> bool:
        """Whether the handler's own code allows another attempt after an exception."""
        try:
            return self.retry_when is None or bool(self.retry_when(attempts_before, error))
        except Exception:  # nobody can say that another attempt helps
            return False


def handler(
    name: str,
    *,
    queue: str = "default",
    max_attempts: int | None = None,
    timeout: timedelta | float | None = DEFAULT_TIMEOUT,
    isolation: Isolation = "process",
    memory_limit: str | int | None = None,
    priority: str | None = None,
    backoff: timedelta | float | None = None,
    max_backoff: timedelta | float | None = None,
    retry: RetryPolicy | Mapping[str, Any] | None = None,
) -> Callable[[Callable[P, R]], dramatiq.Actor[P, R]]:
    """Make a function the handler of a job type.

    The function's signature becomes the JSON Schema that clients see and the server checks; its docstring becomes the
    description. The decorated function is a Dramatiq actor and can still be called directly, for example in tests.
    A handler may run more than once for one job (when its worker died): make it idempotent.

    Args:
        name: Stable dotted name of the job type, e.g. ``"reports.monthly"``; outlives renames of the function.
        queue: Queue of its jobs unless the caller says otherwise.
        max_attempts: Failed attempts after which a job has failed; 1 for no retries. This and the other settings of
            retries, ``timeout`` and ``priority`` may also be given by the settings of the queue; without those it is 3.
        timeout: Limit for one attempt, ``timedelta`` or seconds, by default 30 minutes; ``None`` for no limit.
        isolation: ``"process"`` runs it in a warm child process, which can be killed at any time; ``"thread"`` is for
            tiny or I/O-bound handlers: faster, but only stopped at checkpoints.
        memory_limit: Most memory of an attempt, as bytes or text such as ``"512MiB"``; above it the attempt is stopped
            and fails. Only for ``isolation="process"``.
        priority: ``"urgent"``, ``"high"``, ``"medium"`` (the default) or ``"low"``, unless the caller says otherwise.
        backoff: Delay after the first failed attempt, doubled for each further one; ``timedelta`` or seconds, by
            default 1 s.
        max_backoff: No delay is longer; ``timedelta`` or seconds, by default 60 s.
        retry: The whole retry policy, as ``RetryPolicy`` or as a mapping with the same words: listed delays, rules by
            error code and exception type, jitter and so on. What it says is not said again beside it.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    _check(name, timeout, isolation, priority)
    policy = retry_policy_of(
        f"@handler({name!r})", retry, max_attempts=max_attempts, backoff=backoff, max_backoff=max_backoff
    )
    explicit = _explicit(timeout, priority, retried=policy is not DEFAULT_POLICY)

    def decorate(function: Callable[P, R]) -> dramatiq.Actor[P, R]:
        run = _blocking(function)
        arguments = Arguments(function, name)
        job_type = JobType(
            name=name,
            queue=queue,
            description=inspect.getdoc(function) or "",
            arguments_schema=arguments.schema(),
            result_schema=result_schema(function),
            timeout_ms=0 if timeout is None else _ms(timeout),
            retry=policy,
            priority=PRIORITIES[priority or "medium"],
            isolation=isolation,
            memory_limit_bytes=_memory_limit(name, memory_limit, isolation),
            explicit=explicit,
        )
        declared = cast("dramatiq.Actor[P, R]", _actor(run, name, queue))
        declared.handler = Handler(job_type=job_type, function=run, arguments=arguments)  # type: ignore[attr-defined]
        return declared

    return decorate


def handler_of(actor: dramatiq.Actor[Any, Any]) -> Handler:
    """How to run an actor: as ``@handler`` says, or, for a plain Dramatiq actor, as its options say."""
    declared: Handler | None = getattr(actor, "handler", None)
    if declared is not None:
        return declared
    arguments = Arguments(actor.fn, actor.actor_name)
    job_type = JobType(
        name=actor.actor_name,
        queue=actor.queue_name,
        description=inspect.getdoc(actor.fn) or "",
        arguments_schema=arguments.schema(),
        timeout_ms=int(actor.options.get("time_limit") or _ms(DEFAULT_TIMEOUT)),
        retry=retry_policy(actor.options),
        priority=priority_of(actor.priority),
    )
    return Handler(
        job_type=job_type,
        function=actor.fn,
        arguments=arguments,
        retry_when=actor.options.get("retry_when"),
    )


def _actor(function: Callable[..., Any], name: str, queue: str) -> Any:
    try:
        declare: Any = dramatiq.actor  # its overloads know no function together with options
        return declare(function, actor_name=name, queue_name=queue, broker=current_broker())
    except ValueError as error:
        raise ConfigurationError(f"@handler({name!r}) on {function.__qualname__}: {error}") from None


def _explicit(timeout: timedelta | float | None, priority: str | None, *, retried: bool) -> tuple[str, ...]:
    """What a handler says itself, so that its queue has no say in it."""
    given = {
        "timeout": timeout is not DEFAULT_TIMEOUT,
        "retry": retried,
        "priority": priority is not None,
    }
    return tuple(what for what, is_given in given.items() if is_given)


def _memory_limit(name: str, limit: str | int | None, isolation: str) -> int:
    if limit is None:
        return 0
    where = f"@handler({name!r}): memory_limit is {limit!r}"
    try:
        found = bytes_of(limit)
    except ValueError as error:
        raise ConfigurationError(f"{where}; {error}") from None
    if found < LEAST_MEMORY:
        raise ConfigurationError(f"{where}; a process needs at least {LEAST_MEMORY // 2**20} MiB for itself")
    if isolation != "process":
        raise ConfigurationError(f'{where}; a thread cannot be limited, only isolation="process" can')
    return found


def _ms(duration: timedelta | float) -> int:
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
    return max(1, round(seconds * 1_000))


def _check(
    name: str,
    timeout: timedelta | float | None,
    isolation: str,
    priority: str | None,
) -> None:
    where = f"@handler({name!r})"
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts) or len(name) > 128:
        raise ConfigurationError(
            f'{where}: the job type must be names joined by dots, like "reports.monthly"'
        )
    if timeout is not None and (timeout.total_seconds() if isinstance(timeout, timedelta) else timeout) <= 0:
        raise ConfigurationError(f"{where}: timeout is {timeout}; it must be positive, or None for no limit")
    if isolation not in ("process", "thread"):
        raise ConfigurationError(f'{where}: isolation is {isolation!r}; it can be "process" or "thread"')
    if priority is not None and priority not in PRIORITIES:
        raise ConfigurationError(f"{where}: priority is {priority!r}; it can be {', '.join(PRIORITIES)}")


def _blocking(function: Callable[P, R]) -> Callable[P, R]:
    """A coroutine function runs in an event loop of its own."""
    if not inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return asyncio.run(cast("Callable[P, Awaitable[R]]", function)(*args, **kwargs))  # type: ignore[arg-type]

    return run
