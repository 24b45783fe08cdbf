"""AdminService's view of workers, over a real connection."""

from __future__ import annotations

from typing import Any

import pytest

from jobsvc.model.catalog import WorkerInfo
from jobsvc.store import calls
from jobsvc_proto.v1 import admin_service_pb2 as pb
from jobsvc_proto.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.rpc.rig import Rig, refusal


@pytest.fixture
def admin(rig: Rig) -> Any:
    return AdminServiceStub(rig.channel)


async def hello(rig: Rig, name: str, start_ms: int) -> None:
    worker = WorkerInfo(
        id=name,
        hostname="host",
        pid=7,
        queues=("q",),
        types=("t",),
        slots=3,
        start_ms=start_ms,
        memory_bytes=5,
        running=("a", "b"),
        busy=2,
        version="1",
    )
    await rig.run(calls.renew(worker, lease_ms=10_000, held=[]))


async def test_workers_are_listed_page_by_page_oldest_first(rig: Rig, admin: Any) -> None:
    await hello(rig, "young", 2_000)
    await hello(rig, "old", 1_000)

    first = await admin.ListWorkers(pb.ListWorkersRequest(page_size=2))
    second = await admin.ListWorkers(pb.ListWorkersRequest(page_size=2, page_token=first.next_page_token))

    assert [worker.worker_id for worker in (*first.workers, *second.workers)] == ["w1", "old", "young"]
    old = first.workers[1]
    assert (old.hostname, old.pid, list(old.queues), old.concurrency) == ("host", 7, ["q"], 3)
    assert (list(old.running_job_ids), old.running_count, old.memory_bytes) == (["a", "b"], 2, 5)
    assert old.start_time.ToMilliseconds() == 1_000
    assert old.HasField("heartbeat_time")


async def test_drained_worker_is_told_with_its_heartbeat(rig: Rig, admin: Any) -> None:
    await hello(rig, "w9", 1_000)

    for _ in range(2):
        answer = await admin.DrainWorker(pb.DrainWorkerRequest(worker_id="w9", reason="why"))
        assert (answer.worker.worker_id, answer.worker.draining) == ("w9", True)

    worker = WorkerInfo(id="w9", hostname="h", pid=1, queues=(), types=(), slots=1, start_ms=1)
    assert (await rig.run(calls.renew(worker, lease_ms=1_000, held=[]))).drain
    assert (
        await refusal(admin.DrainWorker(pb.DrainWorkerRequest(worker_id="x")))
    ).reason == "WORKER_NOT_FOUND"
    long = pb.DrainWorkerRequest(worker_id="w9", reason="x" * 1_001)
    assert (await refusal(admin.DrainWorker(long))).reason == "INVALID_ARGUMENT"
