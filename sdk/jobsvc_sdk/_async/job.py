"""A handle of one job."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc

from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import _convert, _outcome
from jobsvc_sdk._tracker import Key, Status, newest
from jobsvc_sdk.errors import JobsvcError
from jobsvc_sdk.tables import LogLines
from jobsvc_sdk.values import AttemptValue, ErrorValue, JobStatus, LogLine

from .native import responses, sleep
from .watched import AsyncWatched

if TYPE_CHECKING:
    from .client import AsyncClientCore

_STALE_S = 2.0
_LOG_PAUSE_S = 1.0
_log = logging.getLogger("jobsvc_sdk")


class AsyncJobCore(AsyncWatched[JobStatus]):
    """What a handle of a job does the same way for threads and asyncio."""

    def __init__(self, client: AsyncClientCore, status: JobStatus, warnings: tuple[str, ...] = ()) -> None:
        super().__init__(client, status)
        self.warnings = warnings

    @property
    def status(self) -> JobStatus:
        """Everything known about the job."""
        return self._status

    @property
    def job_type(self) -> str:
        """Name of its job type."""
        return self._status.job_type

    @property
    def state(self) -> str:
        """``blocked``, ``scheduled``, ``queued``, ``processing``, ``completed``, ``failed`` or ``cancelled``."""
        return self.status.state

    @property
    def progress(self) -> float | None:
        """Percent done, 0 to 100; None when the job cannot tell."""
        return self.status.percent

    @property
    def step(self) -> str:
        """Name of the step it is at; may be empty."""
        return self.status.step

    @property
    def message(self) -> str:
        """What it last said about itself; may be empty."""
        return self.status.message

    @property
    def attempt(self) -> int:
        """Number of the newest attempt, from 1; 0 before the first."""
        return self.status.attempt

    @property
    def eta(self) -> datetime | None:
        """When it is expected to end: as likely sooner as later; None when nobody can tell."""
        return self.status.finish_p50

    @property
    def error(self) -> ErrorValue | None:
        """Why it failed, or why its last attempt did."""
        return self.status.error

    @property
    def attempts(self) -> tuple[AttemptValue, ...]:
        """Its attempts, oldest first, as last read: with ``client.job``, ``refresh`` and the end of the job."""
        return self.status.attempts

    @property
    def batch_id(self) -> str:
        """Its batch; empty when it has none."""
        return self._status.batch_id

    def done(self) -> bool:
        """Tell whether it has ended, one way or another."""
        return self.status.terminal

    def running(self) -> bool:
        """Tell whether a worker is at it."""
        return self.status.state == "processing"

    def cancelled(self) -> bool:
        """Tell whether it ended by being cancelled."""
        return self.status.state == "cancelled"

    async def refresh(self) -> AsyncJobCore:
        """Ask the server for everything about the job, and return this handle.

        Raises:
            NotFound: It does not exist, or is no longer kept.
            JobsvcError: What else the server answered, or that it did not.
        """
        self.on_status(await self._client._transport.job_status(self.id))
        return self

    async def wait(self, timeout: float | None = None, *, on_interrupt: str | None = None) -> AsyncJobCore:
        """Wait until the job has ended, whatever way, and return this handle.

        Args:
            timeout: In seconds; None waits for ever.
            on_interrupt: ``"keep"`` lets the job run on when the waiting is interrupted, ``"cancel"`` cancels it;
                None takes the client's choice.

        Raises:
            TimeoutError: It has not ended in time; it goes on.
            NotFound: There is no such job.
        """
        __tracebackhide__ = True
        with self._interruptible(on_interrupt):
            await self._until_ended(timeout)
        return self

    async def result(self, timeout: float | None = None, *, on_interrupt: str | None = None) -> Any:
        """Wait for the job and return what its handler returned.

        Args:
            timeout: In seconds; None waits for ever.
            on_interrupt: ``"keep"`` lets the job run on when the waiting is interrupted, ``"cancel"`` cancels it;
                None takes the client's choice.

        Raises:
            JobFailed: It failed; the worker's traceback is the cause. JobTimedOut and JobLost are kinds of it.
            JobCancelled: It was cancelled.
            TimeoutError: It has not ended in time; it goes on.
            NotFound: There is no such job.
        """
        __tracebackhide__ = True
        await self.wait(timeout, on_interrupt=on_interrupt)
        status = await self._final()
        error = _outcome.error_of(status)
        if error is not None:
            raise error
        return _outcome.value_of(status)

    async def exception(self, timeout: float | None = None) -> JobsvcError | None:
        """Wait for the job and return the error that :meth:`result` would raise, None when it completed.

        Args:
            timeout: In seconds; None waits for ever.

        Raises:
            TimeoutError: It has not ended in time; it goes on.
        """
        __tracebackhide__ = True
        await self.wait(timeout)
        return _outcome.error_of(await self._final())

    async def _final(self) -> JobStatus:
        """Return the last status with the result in it; the job has ended."""
        if not self._status.full:
            await self.refresh()
        return self._status

    async def cancel(self, reason: str = "", *, timeout: float | None = None) -> bool:
        """Ask for the job to be cancelled.

        A job that waits is cancelled at once. A running one is told to stop and, in a process of its own, killed if
        it does not; its state stays ``processing`` until it has stopped.

        Args:
            reason: For people; kept with the job.
            timeout: How long the request may take, in seconds.

        Returns:
            True when the request was accepted, False when the job had ended before.
        """
        answer = await self._client._transport.cancel(
            pb.CancelRequest(job_id=self.id, reason=reason), timeout
        )
        if answer.HasField("job"):
            self.on_status(_convert.job(answer.job, full=True))
        return answer.cancelled_count + answer.requested_count > 0

    async def retry(self, *, reset_attempts: bool = False) -> bool:
        """Queue the job again after it has failed; its history of attempts is kept, and this handle follows it on.

        Args:
            reset_attempts: Count its attempts from the beginning; otherwise it gets one more.

        Returns:
            True when it is queued again, False when it had not failed.

        Raises:
            NotFound: It does not exist, or is no longer kept.
        """
        summary = await self._client._transport.retry(
            pb.RetryRequest(job_id=self.id, reset_attempts=reset_attempts)
        )
        await self.refresh()
        return summary.requeued > 0

    async def logs(self, *, after: int = 0, attempt: int = 0) -> LogLines:
        """Return the lines the job has logged so far, as far as they are kept.

        Args:
            after: Only lines with a higher number.
            attempt: Only lines of this attempt, from 1; 0 means all.
        """
        lines = LogLines()
        async for line in self._lines(after, attempt, follow=False):
            lines.append(line)
        return lines

    def follow_logs(self, *, after: int = 0, attempt: int = 0) -> AsyncIterator[LogLine]:
        """Iterate over log lines, as they come, until the job has ended.

        Args:
            after: Only lines with a higher number.
            attempt: Only lines of this attempt, from 1; 0 means all.
        """
        return self._lines(after, attempt, follow=True)

    async def _lines(self, after: int, attempt: int, *, follow: bool) -> AsyncIterator[LogLine]:
        """Read the log; a stream that breaks goes on after the last line seen."""
        give_up = time.monotonic() + self._client.patience_s
        while True:
            request = pb.StreamLogsRequest(job_id=self.id, attempt=attempt, after_line=after, follow=follow)
            call = self._client._transport.stream_logs(request)
            try:
                async for response in responses(call):
                    for message in response.lines:
                        line = _convert.log_line(message)
                        after = max(after, line.number)
                        yield line
                return
            except grpc.RpcError as exc:
                again = exc.code() is grpc.StatusCode.UNAVAILABLE and (follow or time.monotonic() < give_up)
                if not again:
                    raise self._client._transport.error(exc, "StreamLogs") from None
            finally:
                call.cancel()
            await sleep(_LOG_PAUSE_S)

    @property
    def arguments(self) -> Any:
        """The arguments it was submitted with; None when they are not known here."""
        text = self._status.arguments_json
        return None if text is None else json.loads(text)

    def _interruptible(self, on_interrupt: str | None) -> AbstractContextManager[object]:
        raise NotImplementedError

    def _key(self) -> Key:
        return ("job", self.id)

    def _through(self) -> str:
        return self._status.batch_id

    def _newest(self, incoming: Status) -> JobStatus:
        return newest(self._status, incoming) if isinstance(incoming, JobStatus) else self._status

    def _timeout_text(self, timeout: float) -> str:
        return (
            f"{_outcome.name_of(self._status)} is still {self._status.state} after {timeout:g} s and goes on; "
            "job.result() waits again, job.cancel() stops it"
        )

    def __repr__(self) -> str:
        status = self._status
        parts = [status.job_type or "job", status.id, status.state]
        if status.cancel_requested and not status.terminal:
            parts.append("(stopping)")
        if status.percent is not None and not status.terminal:
            parts.append(f"{status.percent:.0f}%")
        if status.step and not status.terminal:
            parts.append(status.step)
        if status.state == "failed" and status.error:
            parts.append(status.error.summary)
        if not status.terminal and time.monotonic() - self._heard_at > _STALE_S and not self._is_live():
            seconds = time.monotonic() - self._heard_at
            parts.append(f"({seconds:.0f} s ago)")
        return f"<{type(self).__name__} {' '.join(parts)}>"

    def _is_live(self) -> bool:
        return self._client.hub.is_live(self._key(), self._through())
