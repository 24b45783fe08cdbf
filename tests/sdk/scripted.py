"""A server that does on command what a real one does not: break streams, send old news, stay silent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from jobsvc_proto.v1 import catalog_service_pb2 as catalog_pb
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1.catalog_service_pb2_grpc import (
    CatalogServiceServicer,
    add_CatalogServiceServicer_to_server,
)
from jobsvc_proto.v1.job_service_pb2_grpc import JobServiceServicer, add_JobServiceServicer_to_server

Stream = Callable[[pb.StreamProgressRequest, grpc.ServicerContext], Iterator[pb.StreamProgressResponse]]
END = object()


def job(number: int | str, version: int = 1, state: str = "queued", **changes: Any) -> pb.Job:
    """Make a job called ``0-<number>``."""
    return pb.Job(
        job_id=f"0-{number}",
        version=version,
        state=common_pb2.JobState.Value(f"JOB_STATE_{state.upper()}"),
        **{"spec": {"job_type": "a.b"}, **changes},
    )


def done(number: int | str, version: int = 9, result: str = "5", **changes: Any) -> pb.Job:
    """Make a job that has completed."""
    return job(number, version, "completed", result={"json": result}, **changes)


def snapshot(*jobs: pb.Job, **changes: Any) -> pb.StreamProgressResponse:
    """Make the first message of a stream."""
    return say(snapshot=pb.Snapshot(jobs=jobs, **changes))


def completed(message: pb.Job) -> pb.StreamProgressResponse:
    """Make the message that a job has ended."""
    return say(completed=pb.Completed(job=message))


def say(token: str = "", **event: Any) -> pb.StreamProgressResponse:
    """Make a message of one event."""
    return pb.StreamProgressResponse(resume_token=token, events=[pb.StreamEvent(**event)])


def job_ids(request: pb.StreamProgressRequest) -> list[str]:
    """Return the jobs a stream was asked for."""
    return [target.job_id for target in request.targets if target.job_id]


class ScriptedServer(JobServiceServicer, CatalogServiceServicer):
    """Answers as it is told.

    Each stream is given to ``stream``; by default it says what ``tell`` is called with, to whoever listens then.
    """

    def __init__(self, port: int = 0) -> None:
        self.streams: list[pb.StreamProgressRequest] = []
        self.submits: list[pb.SubmitRequest] = []
        self.asked: list[str] = []
        self.refuse_submits: list[grpc.StatusCode] = []
        self.records: dict[str, pb.Job] = {}
        self.stream: Stream = self._live
        self.open_streams = 0
        self._lock = threading.Lock()
        self._listeners: list[queue.SimpleQueue[Any]] = []
        self._server = grpc.server(ThreadPoolExecutor(30), options=(("grpc.so_reuseport", 0),))
        add_JobServiceServicer_to_server(self, self._server)
        add_CatalogServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def latest(self) -> pb.StreamProgressRequest:
        """The newest request to watch."""
        return self.streams[-1] if self.streams else pb.StreamProgressRequest()

    def stop(self) -> None:
        stopped = self._server.stop(0)  # breaks the streams
        self.end_streams()
        stopped.wait()

    def tell(self, *messages: pb.StreamProgressResponse | object) -> None:
        """Say something on every stream that is open."""
        with self._lock:
            for listener in self._listeners:
                for message in messages:
                    listener.put(message)

    def end_streams(self) -> None:
        """End every stream that is open, with OK."""
        self.tell(END)

    def _live(
        self, request: pb.StreamProgressRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StreamProgressResponse]:
        """Begin with a snapshot of the records, then pass on what is told."""
        news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._lock:
            self._listeners.append(news)
        known = [self.records[id] for id in job_ids(request) if id in self.records]
        yield snapshot(*known)
        if not context.add_callback(lambda: news.put(END)):
            return
        while (message := news.get()) is not END:
            if isinstance(message, grpc.StatusCode):
                context.abort(message, "told to")
            yield message

    def StreamProgress(self, request: Any, context: Any) -> Iterator[pb.StreamProgressResponse]:
        with self._lock:
            self.streams.append(request)
            self.open_streams += 1
        if not context.add_callback(self._closed):
            self._closed()  # it ended before it began
            return
        yield from self.stream(request, context)

    def _closed(self) -> None:
        with self._lock:
            self.open_streams -= 1

    def Submit(self, request: Any, context: Any) -> pb.SubmitResponse:
        self.submits.append(request)
        if self.refuse_submits:
            context.abort(self.refuse_submits.pop(0), "told to")
        return pb.SubmitResponse(job=job("new"))

    def GetStatus(self, request: Any, context: Any) -> pb.GetStatusResponse:
        self.asked.append(request.job_id)
        if request.job_id not in self.records:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no job {request.job_id}")
        return pb.GetStatusResponse(job=self.records[request.job_id])

    def BatchGetStatus(self, request: Any, context: Any) -> pb.BatchGetStatusResponse:
        self.asked.extend(request.job_ids)
        return pb.BatchGetStatusResponse(
            jobs=[self.records[id] for id in request.job_ids if id in self.records],
            missing_job_ids=[id for id in request.job_ids if id not in self.records],
        )

    def GetServerInfo(self, request: Any, context: Any) -> catalog_pb.GetServerInfoResponse:
        return catalog_pb.GetServerInfoResponse(server_version="1.2.3", worker_count=2)
