"""The Dramatiq broker whose queues are kept by the store."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any, TypeVar

import dramatiq
import dramatiq.broker
from dramatiq.broker import Broker, Consumer
from dramatiq.errors import ActorNotFound, ConnectionClosed, QueueJoinTimeout, QueueNotFound
from dramatiq.middleware import Middleware

from jobsvc.broker.binding import bind
from jobsvc.broker.options import ActorOptions, attempts, message_backoff, priority_of
from jobsvc.model.errors import InvalidRequest, StoreUnavailable
from jobsvc.model.job import NewJob
from jobsvc.model.jsontext import dump
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls
from jobsvc.store.store import Store

M = TypeVar("M", bound="dramatiq.Message[Any]")

REDIS_URL = "JOBSVC_REDIS_URL"
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"


class JobBroker(Broker):
    """Sends the messages of Dramatiq actors as jobs, which are tracked like any other.

    ``actor.send(1, b=2)`` becomes a job of the type ``actor.actor_name`` with the arguments by name; the message id is
    the job id. Retries, results and time limits are the store's and the worker's work: Dramatiq's middleware for them
    is neither needed nor used.

    Args:
        store: Where the queues are.
        middleware: Middleware to run around every attempt, in the process that runs it.
    """

    def __init__(self, store: Store, middleware: Iterable[Middleware] = ()) -> None:
        self._queues: set[str] = set()
        super().__init__(middleware=[ActorOptions(), *middleware])
        self.store = store

    def declare_queue(self, queue_name: str) -> None:
        """Make a queue known. Redis needs no declaration: a queue exists as soon as it has a job."""
        if queue_name not in self._queues:
            self.emit_before("declare_queue", queue_name)
            self._queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """Names of all queues of the declared actors."""
        return set(self._queues)

    def get_declared_delay_queues(self) -> set[str]:
        """None: delayed jobs wait in the store, not in a queue of their own."""
        return set()

    def enqueue(self, message: M, *, delay: int | None = None) -> M:
        """Submit a message as a job.

        Args:
            message: The message; its id becomes the job id, so that sending it again adds nothing.
            delay: Milliseconds before it may start.

        Raises:
            ConnectionClosed: Redis cannot be reached; nothing was queued.
            InvalidRequest: The arguments cannot be written as JSON, or do not fit the actor.
        """
        self.emit_before("enqueue", message, delay)
        try:
            self.store.run(calls.submit(self._job(message, delay or 0)))
        except StoreUnavailable as error:
            raise ConnectionClosed(str(error)) from error  # type: ignore[no-untyped-call]
        self.emit_after("enqueue", message, delay)
        return message

    def _job(self, message: dramatiq.Message[Any], delay_ms: int) -> NewJob:
        priority = max_lost = 0
        named = dict(message.kwargs)
        try:
            actor = self.get_actor(message.actor_name)
            named = bind(actor.fn, message.args, message.kwargs)
            priority = actor.priority
            declared = getattr(actor, "handler", None)  # of @handler
            max_lost = 0 if declared is None else declared.job_type.retry.max_lost_attempts
        except ActorNotFound:
            if message.args:
                raise InvalidRequest(
                    f"actor {message.actor_name!r} is not known here, so its positional arguments have no names; "
                    "send keyword arguments"
                ) from None
        except TypeError as error:
            raise InvalidRequest(f"{message.actor_name}: {error}") from error
        try:
            arguments = dump(named)
        except ValueError as error:
            raise InvalidRequest(f"the arguments of {message.actor_name}: {error}") from error
        return NewJob(
            id=message.message_id,
            type=message.actor_name,
            queue=message.queue_name,
            arguments=arguments,
            priority=priority_of(priority),
            delay_ms=delay_ms,
            max_attempts=attempts(message.options),
            max_lost_attempts=max_lost,
            retry=message_backoff(message.options),
            timeout_ms=int(message.options.get("time_limit") or 0),
        )

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> Consumer:
        """Refuse: attempts are run by ``jobsvc worker``, which holds leases and can kill what hangs.

        Raises:
            InvalidRequest: Always.
        """
        raise InvalidRequest(
            f"queue {queue_name!r} is served by `jobsvc worker --import MODULE`, not by Dramatiq's own"
        )

    def flush(self, queue_name: str) -> None:
        """Cancel everything in a queue that does not run."""
        if queue_name not in self._queues:
            raise QueueNotFound(queue_name)  # type: ignore[no-untyped-call]
        for state in (JobState.QUEUED, JobState.SCHEDULED):
            while found := self.store.run(calls.page(self.store.keys, queue_name, state, limit=200)):
                self.store.run(calls.cancel([job_id for job_id, _ in found], reason="the queue was flushed"))

    def flush_all(self) -> None:
        """Cancel everything in all declared queues that does not run."""
        for queue_name in sorted(self._queues):
            self.flush(queue_name)

    def join(self, queue_name: str, *, timeout: int | None = None) -> None:
        """Wait until a queue has neither waiting nor running jobs.

        Args:
            queue_name: The queue.
            timeout: Milliseconds to wait at most; for ever without.

        Raises:
            QueueJoinTimeout: There were still jobs when the time was up.
        """
        deadline = None if timeout is None else time.monotonic() + timeout / 1_000
        while True:
            _, rows = self.store.run(calls.counts([queue_name]))
            if not rows[0].queued + rows[0].processing + rows[0].scheduled:
                return
            if deadline is not None and time.monotonic() > deadline:
                raise QueueJoinTimeout(queue_name)  # type: ignore[no-untyped-call]
            time.sleep(0.02)


def current_broker() -> Broker:
    """The broker that new actors are declared on: Dramatiq's global one, ours when there is none yet.

    Ours does not connect before it is used, so handlers can be imported, and called directly, without any Redis.
    """
    if dramatiq.broker.global_broker is None:
        namespace = os.environ.get("JOBSVC_NAMESPACE", "jobsvc")
        dramatiq.set_broker(JobBroker(Store(os.environ.get(REDIS_URL) or DEFAULT_REDIS_URL, namespace)))
    return dramatiq.get_broker()
