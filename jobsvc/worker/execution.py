"""Runs one attempt, in the thread or process where the handler's code runs, and says what came of it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import dramatiq
from dramatiq.broker import Broker, MessageProxy
from dramatiq.errors import ActorNotFound
from dramatiq.middleware import SkipMessage
from pydantic_core import PydanticSerializationError, to_jsonable_python

from jobsvc.broker.options import ActorOptions
from jobsvc.model.job import ErrorCategory, JobError
from jobsvc.model.jsontext import JsonProblem, dump
from jobsvc.worker.context import Cancelled, Fail, JobContext, Retry, TimeLimitExceeded, Voice, enter
from jobsvc.worker.handler import Handler, handler_of

MAX_MESSAGE_LENGTH = 4_000
MAX_TRACE_LENGTH = 32_000


@dataclass(frozen=True, slots=True)
class Task:
    """What has to be run: everything that the place where the code runs must know."""

    job_id: str
    token: str
    type: str
    queue: str
    attempt: int
    max_attempts: int
    batch_id: str
    arguments: str
    result_limit_bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of an attempt, before anybody decided what follows.

    Attributes:
        result: The result as JSON; ``None`` when there is an error.
        error: Why it did not complete; ``retryable`` is False when another attempt cannot help.
        after_ms: How long the handler wants to wait before the next attempt; ``None`` leaves it to the policy.
    """

    result: str | None = None
    error: JobError | None = None
    after_ms: int | None = None


class Handlers:
    """All handlers of a broker, found by job type."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._found: dict[str, Handler] = {}
        # without middleware nobody looks at the message, so none is built
        self._quiet = all(isinstance(middleware, ActorOptions) for middleware in broker.middleware)

    def find(self, job_type: str) -> Handler | None:
        """The handler of a job type, ``None`` when this process has none."""
        handler = self._found.get(job_type)
        if handler is None:
            try:
                handler = self._found[job_type] = handler_of(self.broker.get_actor(job_type))
            except ActorNotFound:
                return None
        return handler

    def all(self) -> list[Handler]:
        """Every handler, by name."""
        found = [self.find(name) for name in sorted(self.broker.get_declared_actors())]
        return [handler for handler in found if handler is not None]

    def run(self, task: Task, voice: Voice) -> Ended:
        """Run an attempt to its end, whatever that is; raises nothing."""
        handler = self.find(task.type)
        if handler is None:
            return Ended(error=JobError(ErrorCategory.INTERNAL, message=f"no handler for {task.type} here"))
        try:
            args, kwargs = handler.arguments.read(task.arguments)
        except ValueError as error:
            return Ended(
                error=JobError(ErrorCategory.INVALID_ARGUMENTS, message=f"arguments of {task.type}: {error}")
            )
        context = JobContext(
            job_id=task.job_id,
            job_type=task.type,
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            batch_id=task.batch_id,
            voice=voice,
        )
        enter(context)
        try:
            if self._quiet:
                value = handler.function(*args, **kwargs)
            else:
                value = self._run_with_middleware(handler, task, args, kwargs)
            return _completed(value, task.result_limit_bytes)
        except BaseException as error:  # handlers may raise anything, and all of it is an outcome
            return _failed(error)
        finally:
            enter(None)
            context.end()

    def _run_with_middleware(
        self, handler: Handler, task: Task, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        message = MessageProxy(
            dramatiq.Message(
                queue_name=task.queue,
                actor_name=task.type,
                args=tuple(args),
                kwargs=kwargs,
                options={},
                message_id=task.job_id,
            )
        )
        try:
            self.broker.emit_before("process_message", message)
            value = handler.function(*args, **kwargs)
        except SkipMessage:
            self.broker.emit_after("skip_message", message)
            raise
        except BaseException as error:
            self.broker.emit_after("process_message", message, exception=error)
            raise
        self.broker.emit_after("process_message", message, result=value)
        return value


def _completed(value: Any, limit_bytes: int) -> Ended:
    try:
        try:
            text = dump(value)
        except JsonProblem:
            text = dump(to_jsonable_python(value, serialize_unknown=False, inf_nan_mode="constants"))
    except (JsonProblem, PydanticSerializationError, ValueError, RecursionError) as error:
        what = f"the handler returned {_kind(value)}, which cannot be kept as JSON: {error}"
        return _bad_result(
            f"{what}; return numbers, strings, lists, dictionaries, dataclasses or pydantic models"
        )
    size = len(text.encode())
    if size > limit_bytes:
        return _bad_result(
            f"the result has {size:,} bytes as JSON, the limit is {limit_bytes:,} (setting inline_limit_bytes); "
            "return less, or write it to a file and return its name"
        )
    return Ended(result=text)


def _bad_result(message: str) -> Ended:
    return Ended(error=JobError(ErrorCategory.APPLICATION, "jobsvc.BadResult", message))


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _failed(error: BaseException) -> Ended:
    if isinstance(error, Cancelled):
        return Ended(error=JobError(ErrorCategory.CANCELLED, message=str(error)))
    if isinstance(error, TimeLimitExceeded):
        trace = _trace(error, error.__traceback__)
        return Ended(
            error=JobError(ErrorCategory.TIMEOUT, message=str(error), stack_trace=trace, retryable=True)
        )
    described = JobError(
        ErrorCategory.APPLICATION,
        type=f"{type(error).__module__}.{type(error).__qualname__}",
        message=_text(error),
        stack_trace=_trace(error, error.__traceback__),
        code=error.code if isinstance(error, Fail | Retry) else "",
        retryable=not isinstance(error, Fail),
    )
    return Ended(error=described, after_ms=error.after_ms if isinstance(error, Retry) else None)


def _text(error: BaseException) -> str:
    """What an exception says; it is the handler's code that says it, and that may fail, too."""
    try:
        text = str(error)[:MAX_MESSAGE_LENGTH]
    except Exception as problem:
        return f"(its text cannot be had: {type(problem).__qualname__})"
    return text.encode("utf-8", "replace").decode()


_OURS = (__name__, "jobsvc.worker.handler", "asyncio.runners", "asyncio.base_events", "asyncio.events")
"""Modules whose frames come before the handler's own."""


def _trace(error: BaseException, trace: TracebackType | None) -> str:
    """The traceback from the handler's own frame on: what calls it is of no interest."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__") in _OURS:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace)).encode("utf-8", "replace").decode()
    if len(text) <= MAX_TRACE_LENGTH:
        return text
    half = MAX_TRACE_LENGTH // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
