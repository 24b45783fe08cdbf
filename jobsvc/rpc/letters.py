"""Dead letters: Retry and ClearDeadLetters, and PurgeQueue beside them. They work in portions; what is done stays."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from jobsvc.model.errors import InvalidRequest, Violation
from jobsvc.model.ids import check_id
from jobsvc.model.lifecycle import JobState
from jobsvc.model.queue import QUEUE_NAME
from jobsvc.rpc.cancel import no_such_batch
from jobsvc.rpc.catalog_cache import CatalogCache
from jobsvc.rpc.conversion import STATES
from jobsvc.rpc.guard import Context
from jobsvc.rpc.intake import check_request_id
from jobsvc.rpc.queues import existing_queue
from jobsvc.rpc.read import check_ids, no_such_job
from jobsvc.rpc.views import JobWriter
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1 import queue_service_pb2 as queue_pb

MAX_IDS = 1_000
AT_ONCE = 200
"""Jobs that one script acts on; other calls get their turn in between."""

REMOVABLE = (JobState.SCHEDULED, JobState.QUEUED, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
_STATES: Mapping[int, JobState] = {number: state for state, number in STATES.items()}
_FOR_EVER = float("inf")


@dataclass(frozen=True, slots=True)
class Letters:
    """Which dead letters are meant; empty fields match everything."""

    queue: str
    job_type: str
    error_type: str
    error_code: str
    after_ms: float
    before_ms: float
    limit: int

    def matches(self, failure: calls.Failure | None) -> bool:
        """Whether one is meant, as far as its type and error say."""
        if failure is None:
            return False
        error_type = {failure.error_type, failure.error_type.rpartition(".")[2]}
        return (
            self.job_type in ("", failure.job_type)
            and (not self.error_type or self.error_type in error_type)
            and self.error_code in ("", failure.error_code)
        )


class DeadLetters:
    """Answers Retry, ClearDeadLetters and PurgeQueue."""

    def __init__(self, store: AsyncStore, catalog: CatalogCache, writer: JobWriter) -> None:
        self._store = store
        self._catalog = catalog
        self._writer = writer

    # -- retry --------------------------------------------------------------------------------------------------

    async def retry(self, request: pb.RetryRequest, context: Context) -> pb.RetryResponse:
        """Queue failed jobs again; those that have not failed are left alone."""
        check_request_id(request.request_id)
        which = request.WhichOneof("target")
        answer = await self._answered_before(request.request_id)
        if answer is None:
            answer = await self._retry(request, which)
            if request.request_id:
                await self._store.run(calls.remember_answer(self._store.keys, request.request_id, answer))
        response = pb.RetryResponse(
            requeued_count=answer["requeued"],
            skipped_count=answer["skipped"],
            missing_job_ids=answer["missing"],
        )
        if which == "job_id":
            [job] = await self._store.read([request.job_id], full=True)
            if job is None:
                raise no_such_job(request.job_id)
            self._writer.fill(response.job, job, full=True)
        return response

    async def _answered_before(self, request_id: str) -> dict[str, Any] | None:
        if not request_id:
            return None
        return await self._store.run(calls.remembered_answer(self._store.keys, request_id))

    async def _retry(self, request: pb.RetryRequest, which: str | None) -> dict[str, Any]:
        """Act, or go on where this very request was broken off; the store counts what is queued."""
        request_id = request.request_id or secrets.token_hex(8)
        most = request.dead_letters.limit
        requeued = await self._store.run(calls.retried_by(self._store.keys, request_id))
        skipped, missing = 0, []
        async for ids in self._targets(request, which, requeued):
            call = calls.retry(ids, reset=request.reset_attempts, request_id=request_id, most=most)
            replies = await self._store.run(call)
            skipped += replies.count("skipped")
            missing += [job_id for job_id, reply in zip(ids, replies, strict=True) if reply == "missing"]
        requeued = await self._store.run(calls.retried_by(self._store.keys, request_id))
        return {"requeued": requeued, "skipped": skipped, "missing": missing}

    async def _targets(
        self, request: pb.RetryRequest, which: str | None, done: int
    ) -> AsyncIterator[list[str]]:
        if which == "job_id":
            yield [check_id(request.job_id, "job_id")]
        elif which == "jobs":
            for part in _portions(check_ids(request.jobs.job_ids, "jobs.job_ids", MAX_IDS)):
                yield part
        elif which == "dead_letters":
            letters = _letters(request.dead_letters, "dead_letters.")
            if letters.limit and letters.limit <= done:
                return
            async for ids in self._find(letters, done):
                yield ids
        elif which == "batch_id":
            batch = await self._store.run(calls.read_batch(check_id(request.batch_id, "batch_id")))
            if batch is None:
                raise no_such_batch(request.batch_id)
            for part in _portions([batch.job_id(index) for index in range(batch.size)]):
                states = await self._store.run(calls.read_states(part))
                yield [
                    job_id
                    for job_id, row in zip(part, states, strict=True)
                    if row and row[0] is JobState.FAILED
                ]
        else:
            problem = "one of job_id, jobs, dead_letters and batch_id must be set"
            raise InvalidRequest(problem, [Violation("target", problem)])

    # -- clear and purge ----------------------------------------------------------------------------------------

    async def clear(
        self, request: queue_pb.ClearDeadLettersRequest, context: Context
    ) -> queue_pb.ClearDeadLettersResponse:
        """Remove dead letters."""
        cleared = 0
        async for ids in self._find(_letters(request.filter, "filter.")):
            cleared += await self._store.run(calls.remove(ids, JobState.FAILED))
        return queue_pb.ClearDeadLettersResponse(cleared_count=cleared)

    async def purge(
        self, request: queue_pb.PurgeQueueRequest, context: Context
    ) -> queue_pb.PurgeQueueResponse:
        """Remove jobs of a queue that do not run."""
        states = _states(request.states)
        age_ms = request.older_than.seconds * 1_000 + request.older_than.nanos // 1_000_000
        if age_ms < 0:
            raise _wrong("older_than", "must not be negative")
        await existing_queue(self._store, self._catalog, request.name)
        purged = 0
        for state in states:
            # those that wait are in the order of their turn, not of their age: all of them are looked at
            until = await self._store.run(calls.clock()) - age_ms if state.terminal else _FOR_EVER
            async for ids in self._walk(request.name, state, -_FOR_EVER, until):
                purged += await self._store.run(calls.remove(ids, state, min_age_ms=age_ms))
        return queue_pb.PurgeQueueResponse(purged_count=purged)

    # -- finding ------------------------------------------------------------------------------------------------

    async def _find(self, letters: Letters, done: int = 0) -> AsyncIterator[list[str]]:
        """Find dead letters, oldest first within each queue, in portions.

        What fails from now on is not among them: a job that is queued again and fails at once is not met twice.

        Args:
            letters: Which.
            done: How many of its limit were acted on before.
        """
        left = letters.limit - done if letters.limit else _FOR_EVER
        now_ms = await self._store.run(calls.clock())
        until = min(letters.before_ms - 0.001, float(now_ms))
        queues = (
            [letters.queue] if letters.queue else await self._store.run(calls.queue_names(self._store.keys))
        )
        for queue in queues:
            async for ids in self._walk(queue, JobState.FAILED, letters.after_ms, until):
                found = await self._store.run(calls.failures(ids))
                meant = [job_id for job_id, one in zip(ids, found, strict=True) if letters.matches(one)]
                meant = meant[: int(min(left, len(meant)))]
                left -= len(meant)
                if meant:
                    yield meant
                if not left:
                    return

    async def _walk(
        self, queue: str, state: JobState, after: float, until: float
    ) -> AsyncIterator[list[str]]:
        """Walk through the jobs of a queue in one state, in portions, also while they are taken away."""
        place, skip = (after, ""), 0
        while True:
            page = await self._store.run(
                calls.oldest(
                    self._store.keys, queue, state, after=place[0], until=until, skip=skip, limit=AT_ONCE
                )
            )
            new = [(score, job_id) for job_id, score in page if (score, job_id) > place]
            if new:
                yield [job_id for _, job_id in new]
                place, skip = new[-1], 0
            elif len(page) < AT_ONCE:
                return
            else:
                skip += len(page)  # all of these have the same score as the last one, and were met


def _letters(message: pb.DeadLetterFilter, path: str) -> Letters:
    problems = []
    if message.queue and not QUEUE_NAME.fullmatch(message.queue):
        problems.append(Violation(f"{path}queue", "is not the name of a queue"))
    if message.limit < 0:
        problems.append(Violation(f"{path}limit", "must not be negative"))
    if problems:
        raise InvalidRequest(f"{problems[0].field} {problems[0].description}", problems)
    return Letters(
        queue=message.queue,
        job_type=message.job_type,
        error_type=message.error_type,
        error_code=message.error_code,
        after_ms=_ms(message.failed_after_time) if message.HasField("failed_after_time") else -_FOR_EVER,
        before_ms=_ms(message.failed_before_time) if message.HasField("failed_before_time") else _FOR_EVER,
        limit=message.limit,
    )


def _states(numbers: Sequence[common_pb2.JobState.ValueType]) -> list[JobState]:
    if not numbers:
        raise _wrong("states", f"is empty; name at least one of {', '.join(REMOVABLE)}")
    found = []
    for index, number in enumerate(numbers):
        state = _STATES.get(number)
        if state not in REMOVABLE:
            raise _wrong(
                f"states[{index}]", f"must be one of {', '.join(REMOVABLE)}; jobs that run are cancelled"
            )
        found.append(state)
    return list(dict.fromkeys(found))


def _portions(ids: Sequence[str]) -> list[list[str]]:
    return [list(ids[at : at + AT_ONCE]) for at in range(0, len(ids), AT_ONCE)]


def _ms(instant: Timestamp) -> float:
    return instant.seconds * 1_000 + instant.nanos / 1_000_000


def _wrong(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {problem}", [Violation(field, problem)])
