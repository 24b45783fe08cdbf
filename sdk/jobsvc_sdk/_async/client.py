"""The client: submits, finds and lists jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobsvc_proto.v1 import catalog_service_pb2 as catalog_pb
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import _convert, _requests, _submission
from jobsvc_sdk._connection import Connection, check_version, sdk_version
from jobsvc_sdk._encode import encode_arguments
from jobsvc_sdk._requests import Options, Span
from jobsvc_sdk._retry_words import RetryPolicy
from jobsvc_sdk.errors import NotFound, ProtocolError
from jobsvc_sdk.tables import JobTable, JobTypeTable
from jobsvc_sdk.values import BatchStatus, JobTypeValue, ServerInfo

from .handles import AsyncBatch, AsyncJob
from .hub import AsyncHub
from .operations import AsyncOperations
from .transport import AsyncTransport
from .types import AsyncTypedCall

if TYPE_CHECKING:
    from .watched import AsyncWatched

PATIENCE_S = 10.0
BATCH_TIMEOUT_S = 120.0
_PAGE = 1000
_FULL_AT_ONCE = 200
_SUBMIT_OPTIONS = frozenset({field.name for field in fields(Options)} | {"job_id", "request_id"})
_log = logging.getLogger("jobsvc_sdk")


class AsyncClientCore(AsyncOperations):
    """What a client does the same way for threads and asyncio."""

    def __init__(
        self, connection: Connection, *, patience_s: float = PATIENCE_S, on_interrupt: str = "keep"
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            connection: The server.
            patience_s: For how long calls are repeated while the server is unavailable, in seconds.
            on_interrupt: What interrupting a wait does to the job: ``"keep"`` or ``"cancel"``.
        """
        if on_interrupt not in ("keep", "cancel"):
            raise ValueError(f"on_interrupt is {on_interrupt!r}; expected 'keep' or 'cancel'")
        self._transport = AsyncTransport(connection, patience_s=patience_s)
        self.on_interrupt = on_interrupt
        self._hub = AsyncHub(self._transport)
        self._kept: dict[int, AsyncWatched[Any]] = {}
        self._info: ServerInfo | None = None

    @property
    def address(self) -> str:
        """``host:port`` of the server."""
        return self._transport.connection.address

    @property
    def patience_s(self) -> float:
        """For how long calls are repeated while the server is unavailable, in seconds."""
        return self._transport.patience_s

    @property
    def hub(self) -> AsyncHub:
        """Watches jobs and batches for their handles and views."""
        return self._hub

    async def server_info(self, *, patience_s: float | None = None) -> ServerInfo:
        """Ask the server for its version, limits and number of workers.

        Args:
            patience_s: For how long to try, in seconds; None takes the client's.

        Raises:
            ServerUnavailable: No server answers.
            NotAvailable: It no longer serves clients as old as this one.
        """
        answer = await self._transport.call(
            lambda: self._transport.catalog.GetServerInfo,
            catalog_pb.GetServerInfoRequest(client_name=f"jobsvc-sdk-python/{sdk_version()}"),
            doing="GetServerInfo",
            patience_s=patience_s,
        )
        check_version(answer.min_client_version, self.address)
        self._info = _convert.server_info(answer)
        return self._info

    async def submit(
        self,
        job_type: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        queue: str = "",
        priority: str | None = None,
        delay: Span | None = None,
        start_at: datetime | None = None,
        expires: datetime | Span | None = None,
        max_attempts: int | None = None,
        timeout: Span | None = None,
        retry: RetryPolicy | Mapping[str, Any] | None = None,
        title: str = "",
        labels: Mapping[str, str] | None = None,
        job_id: str = "",
        request_id: str = "",
    ) -> AsyncJob:
        """Submit a job.

        The job is stored when this returns. A call whose answer is lost is repeated under the same request id, so
        it never becomes two jobs.

        Args:
            job_type: Registered name, e.g. ``"reports.monthly"``.
            arguments: Keyword arguments of its handler: what JSON can carry, dates, decimals, NumPy scalars.
            queue: Where it goes; empty takes the job type's queue.
            priority: ``low``, ``medium``, ``high`` or ``urgent``; None takes the job type's.
            delay: Start no earlier than this from now; a timedelta or seconds.
            start_at: Start no earlier than then; a datetime with a time zone.
            expires: Cancel what has not started by then: a datetime, or a timedelta or seconds from now.
            max_attempts: Attempts in total, from 1; None takes the job type's.
            timeout: Limit of one attempt; a timedelta or seconds; None takes the job type's.
            retry: When failed attempts are repeated: a RetryPolicy, or a mapping with its words.
            title: Text for people.
            labels: Searchable pairs, kept with the job.
            job_id: An id of your own choice; submitting the same again gives the same job.
            request_id: Names this request; made up when empty.

        Raises:
            ParamError: An argument or option is wrong; nothing was submitted.
            UnknownJobType: No worker ever published this job type.
            Conflict: The id is taken by something else.
            ServerUnavailable: The server or its Redis cannot be reached.
        """
        __tracebackhide__ = True
        return await self._submit(
            job_type,
            encode_arguments({} if arguments is None else arguments),
            queue=queue,
            priority=priority,
            delay=delay,
            start_at=start_at,
            expires=expires,
            max_attempts=max_attempts,
            timeout=timeout,
            retry=retry,
            title=title,
            labels=labels or {},
            job_id=job_id,
            request_id=request_id,
        )

    async def _submit(
        self, job_type: str, arguments_json: str, *, job_id: str = "", request_id: str = "", **options: Any
    ) -> AsyncJob:
        __tracebackhide__ = True
        spec = _requests.job_spec(job_type, arguments_json, Options(**options))
        request = pb.SubmitRequest(
            spec=spec, job_id=job_id, request_id=request_id or _requests.new_request_id()
        )
        answer = await self._transport.call(lambda: self._transport.jobs.Submit, request, doing="Submit")
        for warning in answer.warnings:
            _log.warning("%s %s: %s", job_type, answer.job.job_id, warning)
        status = _convert.job(answer.job, full=False)
        if status.arguments_json is None:
            status = replace(status, arguments_json=arguments_json)
        return AsyncJob(self, status, tuple(answer.warnings))

    async def map(
        self,
        job_type: str | AsyncTypedCall,
        items: Iterable[Mapping[str, Any]],
        *,
        common: Mapping[str, Any] | None = None,
        name: str = "",
        all_or_nothing: bool = True,
        queue: str = "",
        priority: str | None = None,
        delay: Span | None = None,
        start_at: datetime | None = None,
        expires: datetime | Span | None = None,
        max_attempts: int | None = None,
        timeout: Span | None = None,
        retry: RetryPolicy | Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        batch_id: str = "",
        request_id: str = "",
    ) -> AsyncBatch:
        """Submit one job for each item, as one batch, in one call.

        Args:
            job_type: Registered name, or an attribute of ``types``, which checks all items before anything is sent.
            items: Arguments of each job; at most 10,000.
            common: Arguments that all jobs share; an item's own win.
            name: Text for people.
            all_or_nothing: Submit nothing when any item is wrong. Otherwise wrong items stand in ``batch.rejected``.
            queue: Where they go; empty takes the job type's queue.
            priority: ``low``, ``medium``, ``high`` or ``urgent``; None takes the job type's.
            delay: Start no earlier than this from now; a timedelta or seconds.
            start_at: Start no earlier than then; a datetime with a time zone.
            expires: Cancel what has not started by then: a datetime, or a timedelta or seconds from now.
            max_attempts: Attempts of each job in total; None takes the job type's.
            timeout: Limit of one attempt; a timedelta or seconds; None takes the job type's.
            retry: When failed attempts are repeated: a RetryPolicy, or a mapping with its words.
            labels: Searchable pairs, kept with each job.
            batch_id: An id of your own choice; submitting the same again gives the same batch.
            request_id: Names this request; made up when empty.

        Raises:
            BatchRejected: Items are wrong, and ``all_or_nothing``, or all of them are; nothing was submitted.
            ParamError: An option is wrong, or there are no items or too many.
            UnknownJobType: No worker ever published this job type.
            ServerUnavailable: The server or its Redis cannot be reached.
        """
        __tracebackhide__ = True
        type_name, check = _checker(job_type)
        options = Options(
            queue, priority, delay, max_attempts, timeout, "", labels or {}, retry, start_at, expires
        )
        plan = _submission.plan(type_name, items, common or {}, options, check, all_or_nothing=all_or_nothing)
        request = _requests.submit_batch(
            plan.specs,
            title=name,
            all_or_nothing=all_or_nothing,
            batch_id=batch_id,
            request_id=request_id or _requests.new_request_id(),
        )
        answer = await self._transport.call(
            lambda: self._transport.jobs.SubmitBatch, request, doing="SubmitBatch", timeout_s=BATCH_TIMEOUT_S
        )
        return self._accepted(plan, answer, name)

    def _accepted(self, plan: _submission.Plan, answer: pb.SubmitBatchResponse, name: str) -> AsyncBatch:
        accepted = _submission.accepted(plan, answer)
        for warning in answer.warnings:
            _log.warning("batch %s: %s", answer.batch_id, warning)
        jobs = [AsyncJob(self, status) for status in accepted.statuses]
        status = BatchStatus(
            id=answer.batch_id,
            title=name,
            total=len(jobs),
            counts={**BatchStatus(id="").counts, "queued": len(jobs)},
        )
        return AsyncBatch(
            self, status, jobs=jobs, rejected=accepted.rejected, warnings=tuple(answer.warnings)
        )

    async def job(self, job_id: str) -> AsyncJob:
        """Return a handle of a job that was submitted before, by whomever, from its id alone.

        Raises:
            NotFound: There is no such job, or it is no longer kept.
        """
        return AsyncJob(self, await self._transport.job_status(_requests.check_id(job_id, "job id")))

    async def batch(self, batch_id: str) -> AsyncBatch:
        """Return a handle of a batch that was submitted before, by whomever, from its id alone.

        Raises:
            NotFound: There is no such batch, or it is no longer kept.
        """
        _requests.check_id(batch_id, "batch id")
        return AsyncBatch(self, await self._transport.batch_status(batch_id))

    async def jobs(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        batch: str | None = None,
        job_type: str | None = None,
        limit: int | None = 100,
    ) -> JobTable:
        """List jobs, live ones first, the newest first within a state.

        Args:
            state: Only jobs in this state.
            queue: Only jobs of this queue.
            batch: Only jobs of the batch with this id.
            job_type: Only jobs of this type.
            limit: At most so many; None means all.
        """
        condition = _requests.list_filter(state=state, queue=queue, batch=batch, job_type=job_type)
        found: list[AsyncJob] = []
        token = ""
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            request = pb.ListRequest(
                filter=condition, page_size=size, page_token=token, view=pb.JOB_VIEW_BASIC
            )
            answer = await self._transport.call(lambda: self._transport.jobs.List, request, doing="List")
            found += [AsyncJob(self, _convert.job(message, full=False)) for message in answer.jobs]
            token = answer.next_page_token
            if not token:
                break
        return JobTable(found)

    async def job_types(self, *, patience_s: float | None = None) -> JobTypeTable:
        """List what can be submitted.

        Args:
            patience_s: For how long to try, in seconds; None takes the client's.
        """
        found = JobTypeTable()
        token = ""
        while True:
            request = catalog_pb.ListJobTypesRequest(page_size=_PAGE, page_token=token)
            answer = await self._transport.call(
                lambda: self._transport.catalog.ListJobTypes,
                request,
                doing="ListJobTypes",
                patience_s=patience_s,
            )
            found += [_convert.job_type(message) for message in answer.job_types]
            token = answer.next_page_token
            if not token:
                return found

    async def close(self) -> None:
        """Close the connection; jobs go on, whoever waits here is told."""
        self.hub.close()
        await self._transport.close()

    # For handles.

    def _types_again(self) -> Sequence[JobTypeValue] | None:
        """Return what can be submitted now, when there is a way to ask."""
        return None

    def _check_options(self, options: Mapping[str, Any]) -> None:
        unknown = sorted(set(options) - _SUBMIT_OPTIONS)
        if unknown:
            raise TypeError(
                f"unknown option {', '.join(unknown)}; there are {', '.join(sorted(_SUBMIT_OPTIONS))}. "
                "Arguments of the job go into the call that follows"
            )

    async def _fill(self, jobs: Iterable[AsyncJob], *, again: bool = False) -> None:
        """Get arguments, attempts and result of many jobs in few calls.

        Args:
            jobs: Handles that take what comes.
            again: Also ask for jobs that had failed when they were last heard of: they may have been queued again.
        """
        wanted = [
            job
            for job in jobs
            if not (job.last_status.full and job.last_status.terminal)
            or (again and job.last_status.state == "failed")
        ]
        start, size = 0, _FULL_AT_ONCE
        while start < len(wanted):
            some = {job.id: job for job in wanted[start : start + size]}
            request = pb.BatchGetStatusRequest(job_ids=list(some), view=pb.JOB_VIEW_FULL)
            try:
                answer = await self._transport.call(
                    lambda: self._transport.jobs.BatchGetStatus, request, doing="BatchGetStatus"
                )
            except ProtocolError:
                if size == 1:
                    raise
                size = max(1, size // 4)  # most likely too large for one message
                continue
            for message in answer.jobs:
                some[message.job_id].on_status(_convert.job(message, full=True))
            for job_id in answer.missing_job_ids:
                some[job_id].on_gone(NotFound(f"there is no job {job_id}, or it is no longer kept"))
            start += size

    def _keep(self, handle: AsyncWatched[Any]) -> None:
        """Keep a handle alive until it has ended, because somebody counts on its callback.

        By identity: two handles of one job are equal, and each has callbacks of its own.
        """
        self._kept[id(handle)] = handle

    def _let_go(self, handle: AsyncWatched[Any]) -> None:
        self._kept.pop(id(handle), None)

    def __repr__(self) -> str:
        if self._transport.closed:
            state = "closed"
        elif self._info is None:
            state = "not connected yet"
        else:
            workers = f"{self._info.worker_count} worker{'s' if self._info.worker_count != 1 else ''}"
            state = f"{workers}, server {self._info.version}, SDK {sdk_version()}"
        return f"<{type(self).__name__} {self.address}, {state}>"


def _checker(job_type: str | AsyncTypedCall) -> tuple[str, Callable[[Mapping[str, Any]], str]]:
    """Return the name of a job type, and what turns arguments into JSON text."""
    if isinstance(job_type, AsyncTypedCall):
        return job_type.job_type.name, lambda item: job_type.bind((), dict(item))
    return job_type, encode_arguments
