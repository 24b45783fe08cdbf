"""Runs one attempt, in the thread or process where the handler's code runs, and says what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dramatiq
from dramatiq.broker import Broker, MessageProxy
from dramatiq.errors import ActorNotFound
from dramatiq.middleware import SkipMessage
from pydantic_core import PydanticSerializationError, to_jsonable_python

from jobsvc.broker.options import ActorOptions
from jobsvc.model.job import ErrorCategory, JobError
from jobsvc.model.jsontext import JsonProblem, dump
from jobsvc.worker.context import JobContext, Voice, enter
from jobsvc.worker.exceptions import Snooze
from jobsvc.worker.handler import Handler, handler_of
from jobsvc.worker.raised import Ended, ended_by


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
            if isinstance(error, Snooze):
                context.log(f"snoozed for {error.after_ms / 1_000:g} s: {error}".removesuffix(": "))
            return ended_by(error, may_repeat=handler.may_repeat(task.attempt - 1, error))
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
