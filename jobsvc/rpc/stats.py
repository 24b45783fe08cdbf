"""Stats: how many jobs are where, by queue and over all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jobsvc.model.errors import InvalidRequest, Violation
from jobsvc.rpc.conversion import set_span, set_time
from jobsvc.rpc.features import refuse_later
from jobsvc.rpc.guard import Context
from jobsvc.rpc.status import cut
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.calls import QueueCounts
from jobsvc_proto.v1 import job_service_pb2 as pb

MAX_QUEUES = 1_000
QUEUE_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Stats:
    """Answers Stats. Rates and percentiles are not measured yet and stay unset."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def __call__(self, request: pb.StatsRequest, context: Context) -> pb.StatsResponse:
        """Count."""
        refuse_later(request)
        _check_queues(request.queues)
        now_ms, counts = await self._store.run(calls.counts(list(dict.fromkeys(request.queues))))
        response = pb.StatsResponse()
        for one in counts:
            fill_stats(response.queues.add(), [one], now_ms).queue = one.queue
        fill_stats(response.total, counts, now_ms)
        set_time(response.sample_time, now_ms)
        return response


def fill_stats(message: pb.QueueStats, counts: Sequence[QueueCounts], now_ms: int) -> pb.QueueStats:
    """Fill in the sum over some queues."""
    message.waiting = sum(one.queued for one in counts)
    message.active = sum(one.processing for one in counts)
    message.delayed = sum(one.scheduled for one in counts)
    message.completed = sum(one.completed for one in counts)
    message.failed = message.dead_lettered = sum(one.failed for one in counts)
    message.cancelled = sum(one.cancelled for one in counts)
    message.total = (
        message.waiting
        + message.active
        + message.delayed
        + message.completed
        + message.failed
        + message.cancelled
    )
    message.completed_ever = sum(one.ever.get("completed", 0) for one in counts)
    message.failed_ever = sum(one.ever.get("failed", 0) for one in counts)
    message.cancelled_ever = sum(one.ever.get("cancelled", 0) for one in counts)
    since = [one.oldest_ready_ms for one in counts if one.oldest_ready_ms is not None]
    if since:
        set_span(message.oldest_waiting_age, max(0, now_ms - min(since)))
    return message


def _check_queues(queues: Sequence[str]) -> None:
    problems = [
        Violation(f"queues[{index}]", f"{cut(name, 40)!r} is not the name of a queue")
        for index, name in enumerate(queues)
        if not QUEUE_NAME.fullmatch(name)
    ]
    if len(queues) > MAX_QUEUES:
        problems.append(Violation("queues", f"has more than {MAX_QUEUES} names"))
    if problems:
        raise InvalidRequest(f"{problems[0].field}: {problems[0].description}", problems)
