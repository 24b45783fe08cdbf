"""A handle of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import _convert, _frame, _outcome
from jobsvc_sdk._tracker import Key, Status
from jobsvc_sdk.errors import JobsvcError
from jobsvc_sdk.tables import JobTable
from jobsvc_sdk.values import BatchStatus, CancelSummary

from .watched import AsyncWatched

if TYPE_CHECKING:
    import pandas as pd

    from .client import AsyncClientCore
    from .handles import AsyncJob

Handle = TypeVar("Handle")


class AsyncBatchCore(AsyncWatched[BatchStatus]):
    """What a handle of a batch does the same way for threads and asyncio."""

    def __init__(
        self,
        client: AsyncClientCore,
        status: BatchStatus,
        *,
        jobs: Sequence[AsyncJob] | None = None,
        rejected: Mapping[int, JobsvcError] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(client, status)
        self._jobs = None if jobs is None else JobTable(jobs)
        self.rejected = dict(rejected or {})
        self.warnings = warnings

    @property
    def status(self) -> BatchStatus:
        """Everything known about the batch."""
        return self._status

    @property
    def counts(self) -> dict[str, int]:
        """How many of its jobs are in each state."""
        return dict(self.status.counts)

    @property
    def total(self) -> int:
        """How many jobs it has."""
        return self._status.total

    @property
    def progress(self) -> float:
        """Percent of its jobs that have ended, 0 to 100."""
        return self.status.percent

    def done(self) -> bool:
        """Tell whether all its jobs have ended, one way or another."""
        return self.status.terminal

    def __len__(self) -> int:
        return self._status.total

    def __bool__(self) -> bool:
        return True

    async def refresh(self) -> AsyncBatchCore:
        """Ask the server for the newest counts, and return this handle.

        Raises:
            NotFound: It does not exist, or is no longer kept.
            JobsvcError: What else the server answered, or that it did not.
        """
        self.on_status(await self._client._transport.batch_status(self.id))
        return self

    async def wait(self, timeout: float | None = None, *, on_interrupt: str | None = None) -> AsyncBatchCore:
        """Wait until every job of the batch has ended, whatever way, and return this handle.

        Args:
            timeout: In seconds; None waits for ever.
            on_interrupt: ``"keep"`` lets the jobs run on when the waiting is interrupted, ``"cancel"`` cancels what
                remains; None takes the client's choice.

        Raises:
            TimeoutError: They have not ended in time; they go on.
            NotFound: There is no such batch.
        """
        __tracebackhide__ = True
        with self._interruptible(on_interrupt):
            await self._until_ended(timeout)
        return self

    async def results(
        self,
        timeout: float | None = None,
        *,
        return_exceptions: bool = False,
        on_interrupt: str | None = None,
    ) -> list[Any]:
        """Wait for the batch and return all results in the order of its items.

        Args:
            timeout: In seconds; None waits for ever.
            return_exceptions: Put the errors of failed, cancelled and rejected items in their places, instead of
                raising the first one.
            on_interrupt: See :meth:`wait`.

        Raises:
            JobFailed: A job failed; a note says how many more did.
            JobCancelled: A job was cancelled.
            TimeoutError: They have not ended in time; they go on.
        """
        __tracebackhide__ = True
        await self.wait(timeout, on_interrupt=on_interrupt)
        jobs = await self.list_jobs()
        await self._client._fill(jobs)
        outcomes: list[Any] = [self._outcome(job) for job in jobs]
        for index in sorted(self.rejected):
            outcomes.insert(index, self.rejected[index])
        failures = [outcome for outcome in outcomes if isinstance(outcome, JobsvcError)]
        if failures and not return_exceptions:
            first = failures[0]
            if len(failures) > 1:
                first.add_note(f"{len(failures)} of {len(outcomes)} jobs gave no result: batch.failed")
            first.add_note("batch.results(return_exceptions=True) gives the results of the others")
            raise first
        return outcomes

    @staticmethod
    def _outcome(job: AsyncJob) -> Any:
        status = job.last_status
        if job._gone is not None:
            return job._gone
        try:
            error = _outcome.error_of(status)
            return _outcome.value_of(status) if error is None else error
        except JobsvcError as exc:
            return exc

    async def list_jobs(self, state: str | None = None) -> JobTable:
        """Return handles of the batch's jobs, in the order of its items; rejected items have none.

        Args:
            state: Only jobs that are in this state now; None means all.
        """
        if state is not None:
            return _in_order(
                await self._client.jobs(batch=self.id, state=state, limit=self.total or None), self.id
            )
        if self._jobs is None:
            self._jobs = _in_order(await self._client.jobs(batch=self.id, limit=self.total or None), self.id)
        return self._jobs

    async def cancel(self, reason: str = "", *, timeout: float | None = None) -> CancelSummary:
        """Ask for all jobs that have not ended to be cancelled; see :meth:`Job.cancel`.

        Args:
            reason: For people; kept with the jobs.
            timeout: How long the request may take, in seconds.
        """
        answer = await self._client._transport.cancel(
            pb.CancelRequest(batch_id=self.id, reason=reason), timeout
        )
        return _convert.cancel_summary(answer)

    async def retry_failed(self, *, reset_attempts: bool = False) -> int:
        """Queue the failed jobs of the batch again, and return how many; the batch goes on, and so does this handle.

        Args:
            reset_attempts: Count their attempts from the beginning; otherwise each gets one more.
        """
        summary = await self._client._transport.retry(
            pb.RetryRequest(batch_id=self.id, reset_attempts=reset_attempts)
        )
        await self._client._fill(self._jobs or (), again=True)
        await self.refresh()
        return summary.requeued

    async def to_frame(self) -> pd.DataFrame:
        """Return a data frame with a row for each job, as far as they have come.

        Its columns are the arguments, ``job_id``, ``state``, ``duration_s`` (seconds of the last attempt),
        ``attempts``, ``error``, and the results: a column for each key when they are dicts, else ``result``.

        Raises:
            ImportError: pandas is not installed.
        """
        jobs = await self.list_jobs()
        await self._client._fill(jobs, again=True)
        return _frame.frame_of([job.last_status for job in jobs])

    def _interruptible(self, on_interrupt: str | None) -> AbstractContextManager[object]:
        raise NotImplementedError

    def _key(self) -> Key:
        return ("batch", self.id)

    def _newest(self, incoming: Status) -> BatchStatus:
        if isinstance(incoming, BatchStatus) and incoming.version >= self._status.version:
            return incoming
        return self._status

    def _timeout_text(self, timeout: float) -> str:
        status = self._status
        return (
            f"batch {self.id}: {status.finished} of {status.total} jobs have ended after {timeout:g} s and the others "
            "go on; batch.wait() waits again, batch.cancel() stops what remains"
        )

    def __repr__(self) -> str:
        status = self._status
        counts = ", ".join(f"{count} {state}" for state, count in status.counts.items() if count)
        title = f" {status.title!r}" if status.title else ""
        return f"<{type(self).__name__}{title} {status.id} {status.finished}/{status.total}: {counts or 'no jobs'}>"


def _in_order(jobs: JobTable, batch_id: str) -> JobTable:
    """Sort by the item's index, which ends the ids that the server made; others keep their order at the end."""

    def index(job: AsyncJob) -> tuple[bool, int]:
        number = job.id.removeprefix(f"{batch_id}.")
        known = number != job.id and number.isdecimal()
        return (not known, int(number) if known else 0)

    return JobTable(sorted(jobs, key=index))
