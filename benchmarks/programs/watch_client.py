"""Watches jobs with many streams at once, and counts what each stream tells.

``python -m benchmarks.programs.watch_client ADDRESS JOB_IDS STREAMS CONNECTIONS`` prints a line when every stream has
its snapshot, and at the end JSON: ``complete`` streams (snapshot first, then at least one update, then the end, and
closed in good order), ``messages`` after the snapshots, the ``seconds`` in which they came, and ``cpu_us`` for one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterable, Sequence

import grpc

from benchmarks.programs.loops import run
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1.job_service_pb2_grpc import JobServiceStub

# streams of different connections must not end up on one
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


class Watcher:
    """What one stream has told."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.updates = 0
        self.snapshot = asyncio.Event()
        self.times_s: list[float] = []
        self.complete = False

    async def watch(self, responses: AsyncIterable[pb.StreamProgressResponse]) -> None:
        """Read the stream to its end."""
        ended = False
        async for response in responses:
            for event in response.events:
                kind = event.WhichOneof("event")
                if not self.snapshot.is_set():
                    if kind != "snapshot" or [job.job_id for job in event.snapshot.jobs] != [self.job_id]:
                        return
                    self.snapshot.set()
                self.updates += kind == "progress"
                ended = kind == "completed" and event.completed.job.state == common_pb2.JOB_STATE_COMPLETED
            self.times_s.append(time.monotonic())
        self.complete = ended and self.updates > 0


async def watch(address: str, job_ids: Sequence[str], streams: int, connections: int) -> None:
    """Watch until all jobs have ended, and print what came of it."""
    channels = [grpc.aio.insecure_channel(address, options=OPTIONS) for _ in range(connections)]
    stubs = [JobServiceStub(channel) for channel in channels]
    watchers = [Watcher(job_ids[number % len(job_ids)]) for number in range(streams)]

    async def one(number: int, watcher: Watcher) -> None:
        request = pb.StreamProgressRequest(targets=[pb.WatchTarget(job_id=watcher.job_id)])
        try:
            await watcher.watch(stubs[number % connections].StreamProgress(request))
        finally:
            watcher.snapshot.set()  # whatever happened: nobody shall wait for it

    tasks = [asyncio.create_task(one(number, watcher)) for number, watcher in enumerate(watchers)]
    await asyncio.gather(*(watcher.snapshot.wait() for watcher in watchers))
    print("ready", flush=True)
    cpu_s = time.process_time()
    for error in await asyncio.gather(*tasks, return_exceptions=True):
        if error is not None:
            print(f"a stream broke: {error!r}", file=sys.stderr)
    times_s = [at_s for watcher in watchers for at_s in watcher.times_s[1:]] or [0.0]
    said = {
        "complete": sum(watcher.complete for watcher in watchers),
        "messages": len(times_s),
        "seconds": max(times_s) - min(times_s),
        "cpu_us": (time.process_time() - cpu_s) / len(times_s) * 1e6,
    }
    print(json.dumps(said), flush=True)
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    run(watch(sys.argv[1], sys.argv[2].split(","), int(sys.argv[3]), int(sys.argv[4])))
