"""QueueService: what queues there are, their settings, and pausing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration

from jobsvc.model.errors import FeatureNotAvailable, InvalidRequest, QueueNotFound, Violation
from jobsvc.model.job import Priority
from jobsvc.model.queue import BadSetting, Queue, QueueSettings, RateLimit, Retention, check_queue_name
from jobsvc.rpc.catalog_cache import CatalogCache
from jobsvc.rpc.conversion import PRIORITIES, set_span
from jobsvc.rpc.features import refuse_later
from jobsvc.rpc.guard import Context
from jobsvc.rpc.paging import page_size, read_token, write_token
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import queue_service_pb2 as pb

MAX_REASON = 1_000
MAX_DRAIN_MS = 60_000
LOOK_EVERY_S = 0.05

_PRIORITIES: Mapping[int, Priority] = {number: priority for priority, number in PRIORITIES.items()}


class Queues:
    """Answers the methods of QueueService that are about a queue as a whole."""

    def __init__(self, store: AsyncStore, catalog: CatalogCache) -> None:
        self._store = store
        self._catalog = catalog

    async def list_queues(self, request: pb.ListQueuesRequest, context: Context) -> pb.ListQueuesResponse:
        """Return one page of queues, by name."""
        size = page_size(request.page_size)
        [after] = read_token("queues", request.page_token, str) or [""]
        names = sorted(name for name in await known_queues(self._store, self._catalog) if name > after)
        page = names[:size]
        found = await self._store.run_many(
            [calls.read_queue_settings(self._store.keys, name) for name in page]
        )
        response = pb.ListQueuesResponse(queues=[queue_message(queue) for queue in found])
        if len(names) > size:
            response.next_page_token = write_token("queues", [page[-1]])
        return response

    async def get_queue(self, request: pb.GetQueueRequest, context: Context) -> pb.GetQueueResponse:
        """Return one queue."""
        name = await existing_queue(self._store, self._catalog, request.name)
        queue = await self._store.run(calls.read_queue_settings(self._store.keys, name))
        return pb.GetQueueResponse(queue=queue_message(queue))

    async def update_queue(self, request: pb.UpdateQueueRequest, context: Context) -> pb.UpdateQueueResponse:
        """Change settings; a queue that does not exist yet has them from its first job on."""
        name = _name(request.queue.name, "queue.name")
        settings, names = _wanted(request)
        call = calls.configure(name, settings, names, how="update", etag=request.queue.etag)
        return pb.UpdateQueueResponse(queue=queue_message(await self._changed(call)))

    async def pause_queue(self, request: pb.PauseQueueRequest, context: Context) -> pb.PauseQueueResponse:
        """Let nothing more start; what runs goes on."""
        queue = await self._pause(request.name, request.reason)
        return pb.PauseQueueResponse(queue=queue_message(queue))

    async def resume_queue(self, request: pb.ResumeQueueRequest, context: Context) -> pb.ResumeQueueResponse:
        """Let jobs start again."""
        name = await existing_queue(self._store, self._catalog, request.name)
        return pb.ResumeQueueResponse(queue=queue_message(await self._changed(calls.resume(name))))

    async def drain_queue(self, request: pb.DrainQueueRequest, context: Context) -> pb.DrainQueueResponse:
        """Pause, and wait for what runs."""
        wait_ms = request.max_wait.seconds * 1_000 + request.max_wait.nanos // 1_000_000
        if not 0 <= wait_ms <= MAX_DRAIN_MS:
            raise _wrong(
                "max_wait", f"must be from 0 to {MAX_DRAIN_MS // 1_000} s; call again to wait longer"
            )
        queue = await self._pause(request.name, request.reason)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_ms / 1_000
        while active := (await self._store.run(calls.counts([queue.name])))[1][0].processing:
            if loop.time() >= deadline:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        return pb.DrainQueueResponse(queue=queue_message(queue), active_count=active)

    async def _pause(self, name: str, reason: str) -> Queue:
        if len(reason) > MAX_REASON:
            raise _wrong("reason", f"must have at most {MAX_REASON} characters")
        return await self._changed(
            calls.pause(await existing_queue(self._store, self._catalog, name), reason)
        )

    async def _changed(self, call: calls.Call[Queue]) -> Queue:
        queue = await self._store.run(call)
        self._catalog.invalidate()  # this server knows at once, the others as soon as they hear of it
        return queue


async def known_queues(store: AsyncStore, catalog: CatalogCache) -> set[str]:
    """Names of the queues that had a job or settings, and of those of published job types."""
    had = await store.run(calls.queue_names(store.keys))
    return {*had, *(job_type.queue for job_type in await catalog.all())}


async def existing_queue(store: AsyncStore, catalog: CatalogCache, name: str) -> str:
    """Return the name of a queue that there must be.

    Raises:
        InvalidRequest: It cannot be the name of one.
        QueueNotFound: There is none.
    """
    _name(name, "name")
    if name not in await known_queues(store, catalog):
        raise QueueNotFound(
            f"there is no queue {name!r}: no job was submitted to it, no handler takes jobs from it, and nobody gave "
            "it settings",
            queue=name,
        )
    return name


def queue_message(queue: Queue) -> pb.Queue:
    """Make the message of a queue."""
    settings = queue.settings
    message = pb.Queue(
        name=queue.name,
        max_concurrency=settings.max_concurrency,
        max_concurrency_per_worker=settings.max_concurrency_per_worker,
        max_waiting=settings.max_waiting,
        default_priority=PRIORITIES[settings.priority]
        if settings.priority
        else common_pb2.PRIORITY_UNSPECIFIED,
        paused=queue.paused,
        pause_reason=queue.pause_reason,
        etag=queue.etag,
    )
    if settings.rate is not None:
        message.rate_limit.max_units = settings.rate.units
        message.rate_limit.burst = settings.rate.burst
        set_span(message.rate_limit.per, settings.rate.per_ms)
    set_span(message.default_attempt_timeout, settings.timeout_ms)
    if settings.max_attempts or settings.backoff_ms or settings.max_backoff_ms:
        message.default_retry_policy.max_attempts = settings.max_attempts
        set_span(message.default_retry_policy.initial_backoff, settings.backoff_ms)
        set_span(message.default_retry_policy.max_backoff, settings.max_backoff_ms)
    for field, kept in (
        (message.completed_retention, settings.completed),
        (message.failed_retention, settings.failed),
        (message.cancelled_retention, settings.cancelled),
    ):
        if kept is not None:
            set_span(field.max_age, kept.max_age_ms)
            field.max_count = kept.max_count
            field.SetInParent()
    return message


def _wanted(request: pb.UpdateQueueRequest) -> tuple[QueueSettings, list[str]]:
    """Read what an update asks for: settings, and which of them it names."""
    queue, values = request.queue, {}
    if not request.update_mask.paths:
        raise _wrong("update_mask", f"is empty; name what to change: {', '.join(_READERS)}")
    for path in request.update_mask.paths:
        if path in ("paused", "pause_reason"):
            raise _wrong("update_mask", f"{path} is changed with PauseQueue and ResumeQueue")
        if path in ("group_weights", "max_concurrency_per_group"):
            refuse_later(queue, "queue.")
            raise FeatureNotAvailable(f"queue.{path} is not available yet", field=f"queue.{path}")
        if path not in _READERS:
            raise _wrong("update_mask", f"{path!r} cannot be changed; there are {', '.join(_READERS)}")
        values.update(_READERS[path](queue))
    refuse_later(queue, "queue.")
    refuse_later(queue.rate_limit, "queue.rate_limit.")
    try:
        return QueueSettings(**values), list(values)
    except BadSetting as error:
        field = _FIELDS.get(error.field.split(" ")[0], error.field)
        raise _wrong(f"queue.{field}", error.problem) from None


_FIELDS: Mapping[str, str] = {
    "rate": "rate_limit",
    "burst": "rate_limit.burst",
    "timeout": "default_attempt_timeout",
    "max_attempts": "default_retry_policy.max_attempts",
    "backoff": "default_retry_policy.initial_backoff",
    "max_backoff": "default_retry_policy.max_backoff",
    "completed": "completed_retention",
    "failed": "failed_retention",
    "cancelled": "cancelled_retention",
}
"""Setting -> field of the contract, where the two have different names."""


def _ms(span: Duration) -> int:
    return span.seconds * 1_000 + -(-span.nanos // 1_000_000)


def _rate(queue: pb.Queue) -> dict[str, Any]:
    if not queue.HasField("rate_limit"):
        return {"rate": None}
    rate = queue.rate_limit
    return {"rate": RateLimit(rate.max_units, _ms(rate.per), rate.burst or 1.0)}


def _retry(queue: pb.Queue) -> dict[str, Any]:
    policy = queue.default_retry_policy
    usable = {"max_attempts", "initial_backoff", "max_backoff"}
    for field, _ in policy.ListFields():
        if field.name not in usable:
            path = f"queue.default_retry_policy.{field.name}"
            raise FeatureNotAvailable(
                f"{path} is not available for queues; set it for the handler", field=path
            )
    return {
        "max_attempts": policy.max_attempts,
        "backoff_ms": _ms(policy.initial_backoff),
        "max_backoff_ms": _ms(policy.max_backoff),
    }


def _priority(queue: pb.Queue) -> dict[str, Any]:
    if queue.default_priority and queue.default_priority not in _PRIORITIES:
        raise _wrong("queue.default_priority", f"{queue.default_priority} is not one of 10, 20, 30, 40")
    return {"priority": _PRIORITIES.get(queue.default_priority)}


def _kept(state: str) -> Callable[[pb.Queue], dict[str, Any]]:
    def read(queue: pb.Queue) -> dict[str, Any]:
        field = f"{state}_retention"
        if not queue.HasField(field):  # type: ignore[arg-type]
            return {state: None}
        kept: pb.Retention = getattr(queue, field)
        return {state: Retention(_ms(kept.max_age), kept.max_count)}

    return read


_READERS: Mapping[str, Callable[[pb.Queue], dict[str, Any]]] = {
    "max_concurrency": lambda queue: {"max_concurrency": queue.max_concurrency},
    "max_concurrency_per_worker": lambda queue: {
        "max_concurrency_per_worker": queue.max_concurrency_per_worker
    },
    "rate_limit": _rate,
    "max_waiting": lambda queue: {"max_waiting": queue.max_waiting},
    "default_attempt_timeout": lambda queue: {"timeout_ms": _ms(queue.default_attempt_timeout)},
    "default_retry_policy": _retry,
    "default_priority": _priority,
    "completed_retention": _kept("completed"),
    "failed_retention": _kept("failed"),
    "cancelled_retention": _kept("cancelled"),
}
"""Path of an update mask -> what it reads out of the message."""


def _name(name: str, field: str) -> str:
    try:
        return check_queue_name(name)
    except BadSetting as error:
        raise _wrong(field, error.problem) from None


def _wrong(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {problem}", [Violation(field, problem)])
