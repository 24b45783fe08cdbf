"""List: jobs that are kept, page by page.

Jobs of queues are walked through state by state, in the order of the sorted set that holds them: ended jobs by their
end, scheduled ones by their time, queued ones from the end of the line, running ones by their creation. Jobs of a batch
come in the same order of states, within a state in the order of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobsvc.model.errors import InvalidRequest, Violation
from jobsvc.model.job import Job
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.filters import Filter, matches, parse_filter
from jobsvc.rpc.guard import Context
from jobsvc.rpc.paging import page_size, read_token, write_token
from jobsvc.rpc.views import JobWriter
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.calls import PLACES
from jobsvc_proto.v1 import job_service_pb2 as pb

ORDER = {state: number for number, state in enumerate(PLACES)}
"""Live states first; the number of a state is part of page tokens."""

MAX_LOOKED_AT = 2_000
"""After so many records a page ends, also when the filter let few of them through."""

MAX_RUNNING = 10_000
_STATES_AT_ONCE = 1_000
_FULL_AT_ONCE = 50

Row = tuple[float, str]
"""Score and id of a job in one of the sets."""

END: Row = (float("inf"), "\U0010ffff")
"""Before all rows: walking goes downwards."""


class Listing:
    """Answers List."""

    def __init__(self, store: AsyncStore, writer: JobWriter) -> None:
        self._store = store
        self._writer = writer

    async def __call__(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Return one page."""
        if request.order_by not in ("", "state"):
            problem = f"{request.order_by[:40]!r} is not available; leave it empty or write state"
            raise InvalidRequest(f"order_by: {problem}", [Violation("order_by", problem)])
        wanted, size = parse_filter(request.filter), page_size(request.page_size)
        full = request.view == pb.JOB_VIEW_FULL
        walk = self._walk_batch if wanted.batch else self._walk_queues
        jobs, place, total = await walk(request, wanted, size, full)
        response = pb.ListResponse(total_size=total)
        for job in jobs:
            self._writer.fill(response.jobs.add(), job, full=full)
        if place is not None:
            response.next_page_token = write_token(request.filter, place)
        return response

    async def _walk_queues(
        self, request: pb.ListRequest, wanted: Filter, size: int, full: bool
    ) -> tuple[list[Job], Any, int]:
        number, score, last_id = read_token(request.filter, request.page_token, int, float, str) or (0, *END)
        queues = (
            [wanted.queue] if wanted.queue else await self._store.run(calls.queue_names(self._store.keys))
        )
        states = [state for state in PLACES if ORDER[state] >= number and wanted.state in (None, state)]
        jobs: list[Job] = []
        looked_at = 0
        for state in states:
            before = (score, last_id) if ORDER[state] == number else END
            while len(jobs) < size and looked_at < MAX_LOOKED_AT:
                limit = min(size - len(jobs) if not wanted.job_type else 200, MAX_LOOKED_AT - looked_at)
                rows = await self._rows(queues, state, before, limit)
                if not rows:
                    break
                looked_at += len(rows)
                for row, job in zip(rows, await self._read([row[1] for row in rows], full), strict=True):
                    before = row
                    if job and self._belongs(job, state, wanted):
                        jobs.append(job)
                        if len(jobs) == size:
                            break
            if len(jobs) >= size or looked_at >= MAX_LOOKED_AT:
                place = (ORDER[state], *before)
                return jobs, await self._or_end(place, states, queues), await self._count(wanted, queues)
        return jobs, None, await self._count(wanted, queues)

    async def _or_end(
        self, place: tuple[int, float, str], states: Sequence[JobState], queues: Sequence[str]
    ) -> tuple[int, float, str] | None:
        """Return ``None`` instead of a place behind which there is nothing."""
        for state in states:
            if ORDER[state] >= place[0]:
                before = place[1:] if ORDER[state] == place[0] else END
                if await self._rows(queues, state, before, 1):
                    return place
        return None

    async def _rows(self, queues: Sequence[str], state: JobState, before: Row, limit: int) -> list[Row]:
        """Return the next rows of a state over several queues, highest first."""
        if state is JobState.PROCESSING:
            rows = await self._running(queues)
            return [row for row in rows if row < before][:limit]
        found: list[Row] = []
        for queue in queues:
            found += await self._rows_of(queue, state, before, limit)
        return sorted(found, reverse=True)[:limit]

    async def _rows_of(self, queue: str, state: JobState, before: Row, limit: int) -> list[Row]:
        rows: list[Row] = []
        skip = 0
        score = None if before == END else before[0]
        while len(rows) < limit:
            page = await self._store.run(
                calls.page(self._store.keys, queue, state, limit=limit + 50, before=score, skip=skip)
            )
            rows += [(score_of, job_id) for job_id, score_of in page if (score_of, job_id) < before]
            skip += len(page)
            if len(page) < limit + 50:
                break
        return rows[:limit]

    async def _running(self, queues: Sequence[str]) -> list[Row]:
        """Return running jobs by their creation: their place in the set of leases changes with each renewal."""
        ids: list[str] = []
        for queue in queues:
            page = calls.page(self._store.keys, queue, JobState.PROCESSING, limit=MAX_RUNNING)
            ids += [job_id for job_id, _ in await self._store.run(page)]
        jobs = await self._store.read(ids)
        return sorted(((float(job.create_ms), job.id) for job in jobs if job), reverse=True)

    async def _read(self, ids: Sequence[str], full: bool) -> list[Job | None]:
        if not full:
            return await self._store.read(ids)
        found: list[Job | None] = []
        for at in range(0, len(ids), _FULL_AT_ONCE):
            found += await self._store.read(ids[at : at + _FULL_AT_ONCE], full=True)
        return found

    def _belongs(self, job: Job, state: JobState, wanted: Filter) -> bool:
        """Whether a job is to be listed here. One that moved on meanwhile is, unless it will be met again."""
        if job.state is not state and (wanted.state or ORDER[job.state] > ORDER[state]):
            return False
        return matches(wanted, job_type=job.type, queue=job.queue)

    async def _count(self, wanted: Filter, queues: Sequence[str]) -> int:
        if wanted.job_type:
            return -1
        _, counts = await self._store.run(calls.counts(queues)) if queues else (0, [])
        states = [wanted.state] if wanted.state else list(PLACES)
        return sum(
            getattr(one, state.value) for one in counts for state in states if state is not JobState.BLOCKED
        )

    async def _walk_batch(
        self, request: pb.ListRequest, wanted: Filter, size: int, full: bool
    ) -> tuple[list[Job], Any, int]:
        after = tuple(read_token(request.filter, request.page_token, int, int) or (-1, -1))
        batch = await self._store.run(calls.read_batch(wanted.batch))
        if batch is None:
            return [], None, 0
        ids = [batch.job_id(index) for index in range(batch.size)]
        places: list[tuple[int, int]] = []
        for at in range(0, len(ids), _STATES_AT_ONCE):
            found = await self._store.run(calls.read_states(ids[at : at + _STATES_AT_ONCE]))
            places += [
                (ORDER[row[0]], at + number)
                for number, row in enumerate(found)
                if row and wanted.state in (None, row[0]) and matches(wanted, job_type=row[1], queue=row[2])
            ]
        left = sorted(place for place in places if place > after)
        page = left[:size]
        jobs = [job for job in await self._read([ids[index] for _, index in page], full) if job]
        return jobs, page[-1] if len(left) > size else None, len(places)
