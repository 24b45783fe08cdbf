"""Stats: how many jobs are where, by queue and over all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jobsvc.model.errors import InvalidRequest, Violation
from jobsvc.model.meter import DEFAULT_WINDOW_MS, MAX_WINDOW_MS, STEP_MS, Meter
from jobsvc.rpc.conversion import set_span, set_time
from jobsvc.rpc.guard import Context
from jobsvc.rpc.status import cut
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.calls import QueueCounts
from jobsvc_proto.v1 import job_service_pb2 as pb

MAX_QUEUES = 1_000
METERS_AT_ONCE = 50
QUEUE_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Stats:
    """Answers Stats: counts of one instant, and rates and percentiles of the time before it."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def __call__(self, request: pb.StatsRequest, context: Context) -> pb.StatsResponse:
        """Count."""
        _check_queues(request.queues)
        window_ms = _window(request)
        now_ms, counts = await self._store.run(calls.counts(list(dict.fromkeys(request.queues))))
        meters = await self._meters([one.queue for one in counts], window_ms)
        response = pb.StatsResponse()
        for one in counts:
            message = fill_stats(response.queues.add(), [one], now_ms)
            message.queue = one.queue
            message.paused = one.paused
            fill_meter(message, meters[one.queue])
        fill_stats(response.total, counts, now_ms)
        fill_meter(response.total, sum(meters.values(), Meter(window_ms)))
        set_time(response.sample_time, now_ms)
        return response

    async def _meters(self, queues: Sequence[str], window_ms: int) -> dict[str, Meter]:
        parts = [queues[at : at + METERS_AT_ONCE] for at in range(0, len(queues), METERS_AT_ONCE)]
        found = await self._store.run_many([calls.meters(part, window_ms=window_ms) for part in parts])
        return {queue: meter for part in found for queue, meter in part.items()}


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


def fill_meter(message: pb.QueueStats, meter: Meter) -> None:
    """Fill in rates and percentiles; what nothing happened for stays unset."""
    message.throughput_per_second = meter.per_second
    message.failure_ratio = meter.failure_ratio
    for field, ms in (
        (message.wait_p50, meter.wait_ms(0.5)),
        (message.wait_p95, meter.wait_ms(0.95)),
        (message.run_p50, meter.run_ms(0.5)),
        (message.run_p95, meter.run_ms(0.95)),
    ):
        if ms is not None:
            field.FromMicroseconds(round(ms * 1_000))
            field.SetInParent()  # also when it is nothing: that was measured


def _window(request: pb.StatsRequest) -> int:
    if not request.HasField("window"):
        return DEFAULT_WINDOW_MS
    window = request.window
    ms = window.seconds * 1_000 + window.nanos // 1_000_000
    if not STEP_MS <= ms <= MAX_WINDOW_MS:
        problem = f"must be from {STEP_MS // 1_000} s to {MAX_WINDOW_MS // 60_000} min"
        raise InvalidRequest(f"window {problem}", [Violation("window", problem)])
    return ms


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
