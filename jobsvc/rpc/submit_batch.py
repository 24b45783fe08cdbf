"""SubmitBatch: many jobs under one id, all or nothing or item by item."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobsvc.model.errors import FeatureNotAvailable, IdConflict, InvalidRequest, JobsvcError, Violation
from jobsvc.model.ids import new_batch_id
from jobsvc.model.job import Job, NewBatch, NewJob
from jobsvc.rpc.catalog_cache import CatalogCache, KnownType
from jobsvc.rpc.features import refuse_later
from jobsvc.rpc.guard import Context
from jobsvc.rpc.intake import Intake, check_chosen_id, check_labels, check_request_id
from jobsvc.rpc.policies import Problems
from jobsvc.rpc.status import MAX_VIOLATIONS
from jobsvc.rpc.submit import FORGOTTEN, fill_new_job, no_worker
from jobsvc.rpc.views import JobWriter
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.calls import Committed
from jobsvc_proto.v1 import job_service_pb2 as pb

PAUSE_EVERY = 200
"""After so many items other calls get their turn."""


@dataclass(slots=True)
class Items:
    """What the check of a batch found, by index."""

    accepted: dict[int, tuple[NewJob, KnownType]]
    refused: dict[int, JobsvcError]


class SubmitBatch:
    """Answers SubmitBatch. Everything is checked before anything is written.

    Args:
        store: Where the jobs go.
        catalog: What can be run, and by whom.
        intake: Checks the jobs.
        writer: Writes jobs that existed already.
        max_size: Most jobs in one batch.
    """

    def __init__(
        self, store: AsyncStore, catalog: CatalogCache, intake: Intake, writer: JobWriter, max_size: int
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._intake = intake
        self._writer = writer
        self._max_size = max_size

    async def __call__(self, request: pb.SubmitBatchRequest, context: Context) -> pb.SubmitBatchResponse:
        """Check, store, answer."""
        self._check_frame(request)
        batch_id = request.batch_id or new_batch_id(request.request_id)
        items = await self._check_items(request.requests, batch_id)
        if items.refused and request.all_or_nothing:
            raise whole_refusal(items.refused, len(request.requests))
        response = pb.SubmitBatchResponse()
        done = Committed(created=True, total=0, create_ms=0)
        if items.accepted:
            live = await self._catalog.live_workers()
            types = dict.fromkeys(new.type for new, _ in items.accepted.values())
            response.warnings.extend(filter(None, (no_worker(name, live) for name in types)))
            response.batch_id = batch_id
            done = await self._store_jobs(request, batch_id, items)
        await self._answer(request, items, done, response)
        return response

    def _check_frame(self, request: pb.SubmitBatchRequest) -> None:
        refuse_later(request)
        check_request_id(request.request_id)
        check_chosen_id(request.batch_id, "batch_id")
        problems: Problems = []
        if not 0 < len(request.requests) <= self._max_size:
            problems.append(
                Violation("requests", f"has {len(request.requests)} items; a batch has 1 to {self._max_size}")
            )
        check_labels(request.labels, request.title, "", problems)
        if problems:
            raise InvalidRequest(
                f"the batch is wrong: {problems[0].field} {problems[0].description}", problems
            )

    async def _check_items(self, requests: Sequence[pb.SubmitRequest], batch_id: str) -> Items:
        items = Items({}, {})
        named: dict[str, int] = {}
        now_ms = time.time_ns() // 1_000_000
        for index, request in enumerate(requests):
            try:
                refuse_later(request)
                check_chosen_id(request.job_id, "job_id")
                if request.job_id and named.setdefault(request.job_id, index) != index:
                    problem = f"is the same as that of requests[{named[request.job_id]}]"
                    raise InvalidRequest(f"job_id {problem}", [Violation("job_id", problem)])
                job_id = request.job_id or f"{batch_id}.{index}"
                items.accepted[index] = await self._intake.check(
                    request.spec, job_id=job_id, from_request_id=False, now_ms=now_ms
                )
            except (InvalidRequest, FeatureNotAvailable) as error:
                items.refused[index] = error
            if index % PAUSE_EVERY == PAUSE_EVERY - 1:
                await asyncio.sleep(0)
        return items

    async def _store_jobs(self, request: pb.SubmitBatchRequest, batch_id: str, items: Items) -> Committed:
        batch = NewBatch(
            id=batch_id,
            title=request.title,
            labels=dict(request.labels),
            from_request_id=bool(request.request_id),
        )
        jobs = [(index, new) for index, (new, _) in items.accepted.items()]
        done, conflicts = await self._store.submit_batch(
            batch, len(request.requests), jobs, all_or_nothing=request.all_or_nothing
        )
        if not done.created:
            conflicts = await self._conflicts_then(request, batch_id, items)
        for index in conflicts:
            new, _ = items.accepted.pop(index)
            items.refused[index] = IdConflict(f"the job id {new.id} is taken by another job", id=new.id)
        return done

    async def _conflicts_then(self, request: pb.SubmitBatchRequest, batch_id: str, items: Items) -> list[int]:
        """Find the items that the first answer to this request refused because their id was taken."""
        if not any(one.job_id for one in request.requests):
            return []
        batch = await self._store.run(calls.read_batch(batch_id))
        if batch is None:
            return []
        return [
            index for index in items.accepted if request.requests[index].job_id and index not in batch.named
        ]

    async def _answer(
        self, request: pb.SubmitBatchRequest, items: Items, done: Committed, response: pb.SubmitBatchResponse
    ) -> None:
        """Say what became of each item, in request order."""
        response.accepted_count = len(items.accepted)
        response.deduplicated = not done.created
        stored: dict[str, Job | None] = {}
        if not done.created and not request.compact:
            ids = [new.id for new, _ in items.accepted.values()]
            stored = dict(zip(ids, await self._store.read(ids), strict=True))
        for index in range(len(request.requests)):
            if index in items.refused:
                _fill_refusal(response.items.add().error, items.refused[index])
                response.job_ids.append("")
                continue
            new, known = items.accepted[index]
            response.job_ids.append(new.id)
            if not request.compact:
                submitted = response.items.add().submitted
                self._fill_accepted(submitted, new, known, done, stored.get(new.id))
                submitted.job.batch_id = response.batch_id
                if index % PAUSE_EVERY == PAUSE_EVERY - 1:
                    await asyncio.sleep(0)

    def _fill_accepted(
        self, message: pb.SubmitResponse, new: NewJob, known: KnownType, done: Committed, stored: Job | None
    ) -> None:
        message.deduplicated = not done.created
        if stored is not None:
            self._writer.fill(message.job, stored, full=False)
            return
        fill_new_job(message.job, new, known, create_ms=done.create_ms)
        if not done.created:
            message.warnings.append(FORGOTTEN)


def whole_refusal(refused: dict[int, JobsvcError], total: int) -> JobsvcError:
    """Return the error for a batch that is refused as a whole.

    Args:
        refused: Errors of items by index, at least one.
        total: Number of items.
    """
    violations: Problems = []
    for index, error in refused.items():
        violations += [
            replace(violation, field=f"requests[{index}].{violation.field}")
            for violation in _violations(error)[: MAX_VIOLATIONS - len(violations)]
        ]
        if len(violations) >= MAX_VIOLATIONS:
            break
    index, first = next(iter(refused.items()))
    message = (
        f"{len(refused)} of {total} items are wrong, nothing was queued; requests[{index}]: {first.message}"
    )
    if any(error.__class__ is not first.__class__ for error in refused.values()):
        return InvalidRequest(message, violations)
    if isinstance(first, InvalidRequest):
        return first.__class__(message, violations, **first.facts)
    return first.__class__(message, **{**first.facts, "field": violations[0].field})


def _violations(error: JobsvcError) -> Sequence[Violation]:
    if isinstance(error, InvalidRequest):
        return error.violations
    return [Violation(error.facts.get("field", "spec"), error.message)]


def _fill_refusal(message: pb.SubmitError, error: JobsvcError) -> None:
    message.reason = error.reason
    message.message = error.message
    message.metadata.update(error.facts)
    for violation in _violations(error)[:MAX_VIOLATIONS] if isinstance(error, InvalidRequest) else ():
        message.field_violations.add(field=violation.field, description=violation.description)
