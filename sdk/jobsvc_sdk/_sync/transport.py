# Generated from _async/transport.py by tools/gen_sync.py; change that one.
"""Calls to the server: one channel, a deadline and patience for each call, errors as our own."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import grpc

from jobsvc_proto.v1 import catalog_service_pb2 as catalog_pb
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1.admin_service_pb2_grpc import AdminServiceStub
from jobsvc_proto.v1.catalog_service_pb2_grpc import CatalogServiceStub
from jobsvc_proto.v1.job_service_pb2_grpc import JobServiceStub
from jobsvc_proto.v1.queue_service_pb2_grpc import QueueServiceStub
from jobsvc_sdk import _convert, _faults, _requests
from jobsvc_sdk._connection import Connection
from jobsvc_sdk._tracker import Tracker
from jobsvc_sdk.errors import NotFound, ProtocolError
from jobsvc_sdk.values import BatchStatus, JobStatus, JobTypeValue, RetrySummary

from .native import Channel, StreamCall, Unary, open_channel, responses, sleep

if TYPE_CHECKING:
    from jobsvc_proto.v1.admin_service_pb2_grpc import AdminServiceStub
    from jobsvc_proto.v1.catalog_service_pb2_grpc import CatalogServiceStub
    from jobsvc_proto.v1.job_service_pb2_grpc import JobServiceStub
    from jobsvc_proto.v1.queue_service_pb2_grpc import QueueServiceStub

Request = TypeVar("Request")
Response = TypeVar("Response")

CALL_TIMEOUT_S = 10.0
LONG_CALL_TIMEOUT_S = 300.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


class _Patience:
    """How often and how long a call is tried again."""

    def __init__(self, for_s: float) -> None:
        self._give_up = time.monotonic() + for_s
        self._next_s = _FIRST_PAUSE_S

    def pause_or_raise(self, fault: _faults.Fault) -> float:
        """Return the pause before another try, in seconds, or raise what the fault means."""
        asked_s = fault.retry_after.total_seconds() if fault.retry_after else 0.0
        pause = max(self._next_s * random.uniform(0.5, 1.0), asked_s)
        if fault.code is not grpc.StatusCode.UNAVAILABLE or time.monotonic() + pause > self._give_up:
            raise _faults.batch_rejected(fault) if fault.doing == "SubmitBatch" else _faults.error_of(fault)
        self._next_s = min(self._next_s * 2, _LONGEST_PAUSE_S)
        return pause


class Transport:
    """The connection of one client.

    The channel is opened by the first call, in the process that makes it: a channel does not survive a fork.
    """

    def __init__(self, connection: Connection, *, patience_s: float) -> None:
        """Remember where to connect.

        Args:
            connection: The server.
            patience_s: For how long a call is repeated while the server is unavailable, in seconds.
        """
        self.connection = connection
        self.patience_s = patience_s
        self.closed = False
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._process = 0

    @property
    def jobs(self) -> JobServiceStub:
        """Stub of the job service."""
        return JobServiceStub(self._open())

    @property
    def catalog(self) -> CatalogServiceStub:
        """Stub of the catalogue."""
        return CatalogServiceStub(self._open())

    @property
    def admin(self) -> AdminServiceStub:
        """Stub of the admin service."""
        return AdminServiceStub(self._open())

    @property
    def queues(self) -> QueueServiceStub:
        """Stub of the queue service."""
        return QueueServiceStub(self._open())

    def _open(self) -> Channel:
        with self._lock:
            if self.closed:
                raise RuntimeError("this client is closed; connect() makes a new one")
            if self._channel is None or self._process != os.getpid():
                self._channel, self._process = open_channel(self.connection), os.getpid()
            return self._channel

    def call(
        self,
        method: Callable[[], Unary[Request, Response]],
        request: Request,
        *,
        doing: str,
        timeout_s: float = CALL_TIMEOUT_S,
        patience_s: float | None = None,
    ) -> Response:
        """Make a call and repeat it while the server is unavailable.

        Only calls that may be repeated are made this way: reads, cancellations, and submissions with a request id.

        Args:
            method: Gives the call, e.g. ``lambda: transport.jobs.Submit``.
            request: What to send.
            doing: Its name, for messages.
            timeout_s: Limit of each try, in seconds.
            patience_s: For how long to go on trying, in seconds; None takes the client's.

        Raises:
            JobsvcError: What the server answered, or that it did not.
        """
        patience = _Patience(self.patience_s if patience_s is None else patience_s)
        while True:
            try:
                return method()(request, timeout=timeout_s, metadata=self.connection.metadata)
            except grpc.RpcError as exc:
                fault = _faults.read_fault(exc, address=self.connection.address, doing=doing)
            sleep(patience.pause_or_raise(fault))

    def job_status(self, job_id: str) -> JobStatus:
        """Return everything about a job as it is now.

        Raises:
            NotFound: There is no such job.
            JobsvcError: What else the server answered, or that it did not.
        """
        request = pb.GetStatusRequest(job_id=job_id, view=pb.JOB_VIEW_FULL)
        answer = self.call(lambda: self.jobs.GetStatus, request, doing="GetStatus")
        return _convert.job(answer.job, full=True)

    def job_type(self, name: str) -> JobTypeValue:
        """Return a job type as it is now; fails fast, because an older answer would do."""
        request = catalog_pb.GetJobTypeRequest(name=name)
        answer = self.call(
            lambda: self.catalog.GetJobType, request, doing="GetJobType", timeout_s=2.0, patience_s=0.0
        )
        return _convert.job_type(answer.job_type)

    def cancel(self, request: pb.CancelRequest, timeout_s: float | None) -> pb.CancelResponse:
        """Ask for something to be cancelled, once within a time limit, or for as long as the client's patience."""
        if timeout_s is None:
            return self.call(lambda: self.jobs.Cancel, request, doing="Cancel")
        return self.call(
            lambda: self.jobs.Cancel, request, doing="Cancel", timeout_s=timeout_s, patience_s=0.0
        )

    def retry(self, request: pb.RetryRequest) -> RetrySummary:
        """Queue failed jobs again. Named, so that a repeat after a lost answer changes nothing."""
        request.request_id = _requests.new_request_id()
        answer = self.call(lambda: self.jobs.Retry, request, doing="Retry", timeout_s=LONG_CALL_TIMEOUT_S)
        return RetrySummary(
            requeued=answer.requeued_count,
            skipped=answer.skipped_count,
            missing=tuple(answer.missing_job_ids),
        )

    def batch_status(self, batch_id: str) -> BatchStatus:
        """Return the counts of a batch as they are now: the first message of a stream has them.

        Raises:
            NotFound: There is no such batch.
            JobsvcError: What the server answered, or that it did not.
        """
        patience = _Patience(self.patience_s)
        request = _requests.stream([(("batch", batch_id), 0, False)])
        while True:
            call = self.stream_progress(request, timeout_s=CALL_TIMEOUT_S)
            tracker = Tracker()
            try:
                for response in responses(call):
                    news = tracker.apply(response, ())
                    status = tracker.get(("batch", batch_id))
                    if isinstance(status, BatchStatus):
                        return status
                    if news.missing:
                        raise NotFound(f"there is no batch {batch_id}, or it is no longer kept")
                raise ProtocolError(
                    f"the server said nothing about the batch {batch_id}; its log may say more"
                )
            except grpc.RpcError as exc:
                fault = _faults.read_fault(exc, address=self.connection.address, doing="StreamProgress")
            finally:
                call.cancel()
            sleep(patience.pause_or_raise(fault))

    def stream_progress(
        self, request: pb.StreamProgressRequest, *, timeout_s: float | None = None
    ) -> StreamCall[pb.StreamProgressResponse]:
        """Open a stream of progress; errors come while it is read."""
        return self.jobs.StreamProgress(request, timeout=timeout_s, metadata=self.connection.metadata)

    def stream_logs(self, request: pb.StreamLogsRequest) -> StreamCall[pb.StreamLogsResponse]:
        """Open a stream of log lines; errors come while it is read."""
        return self.jobs.StreamLogs(request, metadata=self.connection.metadata)

    def error(self, exc: grpc.RpcError, doing: str) -> Exception:
        """Return our error for a stream that broke."""
        return _faults.from_rpc(exc, address=self.connection.address, doing=doing)

    def close(self) -> None:
        """Close the channel; calls that run are cancelled."""
        with self._lock:
            self.closed, channel, self._channel = True, self._channel, None
            same_process = self._process == os.getpid()
        if channel is not None and same_process:
            channel.close()
