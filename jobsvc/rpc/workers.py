"""AdminService, as far as workers are concerned: who lives, and sending one away."""

from __future__ import annotations

from bisect import bisect_right

from jobsvc.model.catalog import WorkerInfo
from jobsvc.model.errors import InvalidRequest, Violation, WorkerNotFound
from jobsvc.rpc.conversion import set_time
from jobsvc.rpc.guard import Context
from jobsvc.rpc.paging import page_size, read_token, write_token
from jobsvc.rpc.status import cut
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import admin_service_pb2 as pb

MAX_REASON = 1_000


class Workers:
    """Answers ListWorkers and DrainWorker."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def list_workers(self, request: pb.ListWorkersRequest, context: Context) -> pb.ListWorkersResponse:
        """Return one page of live workers, oldest first."""
        size = page_size(request.page_size)
        after = tuple(read_token("workers", request.page_token, int, str) or (-1, ""))
        workers = sorted(await self._live(), key=_place)
        first = bisect_right([_place(worker) for worker in workers], after)
        page = workers[first : first + size]
        response = pb.ListWorkersResponse(workers=[worker_message(worker) for worker in page])
        if first + size < len(workers):
            response.next_page_token = write_token("workers", list(_place(page[-1])))
        return response

    async def drain_worker(self, request: pb.DrainWorkerRequest, context: Context) -> pb.DrainWorkerResponse:
        """Tell a worker to take nothing more and to end."""
        if len(request.reason) > MAX_REASON:
            problem = f"must have at most {MAX_REASON} characters"
            raise InvalidRequest(f"reason {problem}", [Violation("reason", problem)])
        found = [worker for worker in await self._live() if worker.id == request.worker_id]
        if not found:
            shown = cut(request.worker_id, 64)
            raise WorkerNotFound(
                f"there is no live worker {shown!r}; ListWorkers names them", worker_id=shown
            )
        await self._store.run_many(
            calls.drain_worker(self._store.keys, request.worker_id, request.reason or "drained")
        )
        response = pb.DrainWorkerResponse(worker=worker_message(found[0]))
        response.worker.draining = True
        return response

    async def _live(self) -> list[WorkerInfo]:
        keys = self._store.keys
        now, beats = await self._store.run_many([calls.clock(), calls.worker_heartbeats(keys)])
        live = {worker: beat for worker, beat in beats.items() if now - beat <= calls.LIVE_WORKER_MS}
        workers: list[WorkerInfo] = await self._store.run(calls.read_workers(keys, live))
        return workers


def worker_message(worker: WorkerInfo) -> pb.Worker:
    """Make the message of a worker."""
    message = pb.Worker(
        worker_id=worker.id,
        hostname=worker.hostname,
        pid=worker.pid,
        queues=worker.queues,
        concurrency=worker.slots,
        running_job_ids=worker.running,
        running_count=worker.busy,
        draining=worker.draining,
        version=worker.version,
        memory_bytes=worker.memory_bytes,
    )
    set_time(message.start_time, worker.start_ms)
    set_time(message.heartbeat_time, worker.heartbeat_ms)
    return message


def _place(worker: WorkerInfo) -> tuple[int, str]:
    return (worker.start_ms, worker.id)
