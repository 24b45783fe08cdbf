"""A real server in the test's own event loop, and hands that move its jobs on as a worker would."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2

from jobsvc.config import Settings, load
from jobsvc.model.catalog import JobType, WorkerInfo
from jobsvc.model.job import ErrorCategory, JobError, Progress
from jobsvc.model.lifecycle import Outcome
from jobsvc.rpc import server
from jobsvc.store import calls, records
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.calls import Call, Claim, Report
from jobsvc_proto.v1 import catalog_service_pb2_grpc, common_pb2, job_service_pb2_grpc
from jobsvc_proto.v1 import job_service_pb2 as pb

T = TypeVar("T")

SCHEMA = {
    "type": "object",
    "properties": {
        "limit": {"type": "integer", "minimum": 1},
        "rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}},
        "by": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["limit"],
    "additionalProperties": False,
    "$defs": {
        "Row": {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]},
    },
}
JOB_TYPE = JobType(name="test.count", queue="counting", arguments_schema=json.dumps(SCHEMA))
OTHER_TYPE = JobType(name="test.other", queue="other", arguments_schema='{"type": "object"}')


@dataclass(frozen=True)
class Fault:
    """A refused call, as a client sees it."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    call_id: str = ""


async def refusal(call: Awaitable[Any]) -> Fault:
    """Make a call that must be refused."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return read_fault(error)
    raise AssertionError(f"was not refused: {answer}")


def read_fault(error: grpc.aio.AioRpcError) -> Fault:
    """Read everything out of a refusal."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    found = [[detail for detail in status.details if detail.Unpack(kind)] for kind in (info, bad, retry)]
    assert info.domain in ("", "jobsvc")
    return Fault(
        code=error.code(),
        message=error.details() or "",
        reason=info.reason,
        metadata=dict(info.metadata),
        violations={one.field: one.description for one in bad.field_violations},
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds() if found[2] else None,
        call_id=str(trailers.get("jobsvc-call-id", "")),
    )


def spec(arguments: Any = None, **options: Any) -> pb.JobSpec:
    """A spec of the counting job; ``arguments`` may be a value or JSON text."""
    text = (
        arguments
        if isinstance(arguments, str)
        else json.dumps({"limit": 1} if arguments is None else arguments)
    )
    return pb.JobSpec(**{"job_type": JOB_TYPE.name, "arguments": common_pb2.Payload(json=text), **options})


class Rig:
    """A server, a client, and the store behind both.

    Args:
        settings: Of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = AsyncStore(settings.redis_url, settings.namespace)
        self.address = ""
        self._numbers = itertools.count(1)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, *, wait: bool = True) -> Rig:
        """Start the server; ``wait`` until it is ready for a Submit."""
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(server.serve(self.settings, ready=ready.set_result))
        await asyncio.wait({ready, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            self._serving.result()
        self.address = ready.result()
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.aio.insecure_channel(self.address, options=options)
        self.jobs: Any = job_service_pb2_grpc.JobServiceStub(self.channel)
        self.catalog: Any = catalog_service_pb2_grpc.CatalogServiceStub(self.channel)
        return self

    async def stop_server(self) -> None:
        """Stop the server as a signal does."""
        if self._serving is not None and not self._serving.done():
            self._serving.cancel()
            [outcome] = await asyncio.gather(self._serving, return_exceptions=True)
            self._serving = None
            assert isinstance(outcome, asyncio.CancelledError), outcome

    async def close(self) -> None:
        """End everything."""
        if self.address:
            await self.channel.close()
        await self.stop_server()
        await self.store.close()

    async def run(self, call: Call[T]) -> T:
        """Run a call of the store."""
        return await self.store.run(call)

    async def publish(self, *types: JobType, alive: bool = True) -> None:
        """Publish job types as a worker does that lives, or that lived once."""
        types = types or (JOB_TYPE, OTHER_TYPE)
        await self.run(calls.publish_types(self.store.keys, types))
        if alive:
            worker = WorkerInfo(
                id="w1",
                hostname="here",
                pid=1,
                queues=tuple({one.queue for one in types}),
                types=tuple(one.name for one in types),
                slots=4,
                start_ms=0,
            )
            await self.run(calls.renew(worker, lease_ms=10_000, held=[]))
        await self.run(calls.announce_catalog(self.store.keys))

    async def submit(self, arguments: Any = None, **options: Any) -> pb.SubmitResponse:
        """Submit a counting job."""
        own = {
            name: options.pop(name) for name in ("job_id", "request_id", "validate_only") if name in options
        }
        answer: pb.SubmitResponse = await self.jobs.Submit(
            pb.SubmitRequest(spec=spec(arguments, **options), **own)
        )
        return answer

    async def new_job(self, **options: Any) -> str:
        """Submit a counting job and return its id."""
        return (await self.submit(**options)).job.job_id

    async def new_batch(self, size: int, **options: Any) -> str:
        """Submit a batch of counting jobs and return its id."""
        requests = [pb.SubmitRequest(spec=spec({"limit": index + 1})) for index in range(size)]
        answer = await self.jobs.SubmitBatch(
            pb.SubmitBatchRequest(requests=requests, compact=True, **options)
        )
        return str(answer.batch_id)

    async def get(self, job_id: str) -> pb.Job:
        """Return a job in full."""
        return (await self.jobs.GetStatus(pb.GetStatusRequest(job_id=job_id))).job

    async def claim(self, want: int = 1, queues: Sequence[str] = ("counting", "other")) -> list[Claim]:
        """Start jobs."""
        request = f"r{next(self._numbers)}"
        call = calls.exchange("w1", request, lease_ms=60_000, reports=[], want=want, queues=queues)
        return (await self.run(call)).claims

    async def claim_one(self) -> Claim:
        """Start the next job."""
        [claim] = await self.claim(1)
        return claim

    async def progress(self, claim: Claim, **report: Any) -> None:
        """Report progress of a running job."""
        replies = await self.run(calls.progress([(claim.job_id, claim.token, Progress(**report))]))
        assert replies != ["lost"], await self.store.read([claim.job_id])

    async def log(self, claim: Claim, *texts: str, first: int) -> None:
        """Write log lines, numbered from ``first``."""
        lines = [
            json.dumps({"attempt": claim.attempt, "time_ms": 1_700_000_000_000, "level": "info",
                        "text": text})
            for text in texts
        ]  # fmt: skip
        assert await self.run(calls.log(claim.job_id, claim.token, lines, before=first - 1)) > 0

    async def finish(
        self,
        claim: Claim,
        outcome: Outcome = Outcome.COMPLETED,
        body: str = '{"ok": true}',
        delay_ms: int = 0,
    ) -> None:
        """End an attempt."""
        await self.finish_all([claim], outcome, body, delay_ms)

    async def finish_all(
        self,
        claims: Iterable[Claim],
        outcome: Outcome = Outcome.COMPLETED,
        body: str = '{"ok": true}',
        delay_ms: int = 0,
    ) -> None:
        """End attempts."""
        reports = [Report(one.job_id, one.token, outcome, delay_ms, body) for one in claims]
        call = calls.exchange(
            "w1", f"r{next(self._numbers)}", lease_ms=60_000, reports=reports, want=0, queues=["counting"]
        )
        assert set((await self.run(call)).replies) <= {"ok"}

    async def fail(self, claim: Claim, message: str = "bad row", *, retry_in_ms: int | None = None) -> None:
        """End an attempt with an error."""
        error = JobError(
            ErrorCategory.APPLICATION, "ValueError", message, stack_trace="Traceback ...", retryable=True
        )
        outcome = Outcome.FAILED if retry_in_ms is None else Outcome.RETRIED
        await self.finish(claim, outcome, records.dump_error(error), retry_in_ms or 0)

    def stream(self, *targets: pb.WatchTarget, **options: Any) -> Stream:
        """Watch."""
        if "min_interval_ms" in options:
            request = pb.StreamProgressRequest()
            request.min_interval.FromMilliseconds(options.pop("min_interval_ms"))
            options["min_interval"] = request.min_interval
        return Stream(self.jobs.StreamProgress(pb.StreamProgressRequest(targets=targets, **options)))


class Stream:
    """A stream of progress, read event by event."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.token = ""
        self.messages = 0
        self._events: list[pb.StreamEvent] = []

    async def next(self, timeout_s: float = 10) -> pb.StreamEvent:
        """Return the next event."""
        while not self._events:
            async with asyncio.timeout(timeout_s):
                message = await self.call.read()
            if message is grpc.aio.EOF:
                assert await self.call.code() is grpc.StatusCode.OK
                raise StopAsyncIteration
            self.messages += 1
            self.token = message.resume_token or self.token
            self._events += message.events
        return self._events.pop(0)

    async def until(self, wanted: Callable[[pb.StreamEvent], bool]) -> pb.StreamEvent:
        """Return the first event that is wanted; those before it are dropped."""
        while not wanted(event := await self.next()):
            pass
        return event

    async def kind(self, name: str) -> Any:
        """Return the next event, which must be of this kind."""
        event = await self.next()
        assert event.WhichOneof("event") == name, event
        return getattr(event, name)

    async def skip_to(self, name: str) -> Any:
        """Return the next event of this kind."""
        return getattr(await self.until(lambda event: event.WhichOneof("event") == name), name)

    async def rest(self) -> list[pb.StreamEvent]:
        """Return all events until the stream ends with OK."""
        events = []
        try:
            while True:
                events.append(await self.next())
        except StopAsyncIteration:
            return events

    async def fault(self) -> Fault:
        """Read until the stream ends with an error, and return it."""
        try:
            rest = await self.rest()
        except grpc.aio.AioRpcError as error:
            return read_fault(error)
        raise AssertionError(f"ended with OK after {rest}")

    def cancel(self) -> None:
        """Stop watching."""
        self.call.cancel()


def kinds(events: Iterable[pb.StreamEvent]) -> list[str]:
    """Name the kinds of events."""
    return [str(event.WhichOneof("event")) for event in events]


def settings_for(redis_url: tuple[str, str], **options: Any) -> Settings:
    """Settings of a server on a port that the system chooses."""
    url, namespace = redis_url
    return load(**{"redis_url": url, "namespace": namespace, "listen": "127.0.0.1:0", **options})


async def eventually(look: Callable[[], Awaitable[T]], timeout_s: float = 10) -> T:
    """Look again and again until the answer is true, and return it."""
    async with asyncio.timeout(timeout_s):
        while not (found := await look()):
            await asyncio.sleep(0.01)
    return found


Making = AsyncIterator[Callable[..., Awaitable[Rig]]]
