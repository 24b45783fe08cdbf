"""StreamLogs: the log lines of a job, and those that follow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from jobsvc.model.ids import check_id
from jobsvc.rpc.errors import ServerStopping
from jobsvc.rpc.guard import Context
from jobsvc.rpc.loglines import log_line
from jobsvc.rpc.read import no_such_job
from jobsvc.rpc.watch.ear import Ear, listening
from jobsvc.rpc.watch.hub import Hub
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import job_service_pb2 as pb

LINES_AT_ONCE = 500
MESSAGE_BYTES = 1_000_000


class StreamLogs:
    """Answers StreamLogs.

    Args:
        hub: Tells of changes.
        store: Where the lines are.
        interval_s: New lines are looked for no more often.
        heartbeat_s: Longest silence.
    """

    def __init__(self, hub: Hub, store: AsyncStore, *, interval_s: float, heartbeat_s: float) -> None:
        self._hub = hub
        self._store = store
        self._interval_s = interval_s
        self._heartbeat_s = heartbeat_s

    async def __call__(self, request: pb.StreamLogsRequest, context: Context) -> None:
        """Send what there is, and with ``follow`` what comes until the job has ended."""
        check_id(request.job_id, "job_id")
        if not request.follow:
            await self._send(request, context, max(0, request.after_line))
            return
        ear = Ear(self._interval_s)
        async with listening(self._hub, "job", request.job_id, ear) as feed:
            await self._hub.refresh([feed])
            after, ended = await self._send(request, context, max(0, request.after_line))
            while not ended:
                if ear.stopped:
                    raise ServerStopping("the server is stopping; ask again with the last line number")
                if await ear.wait(asyncio.get_running_loop().time() + self._heartbeat_s):
                    after, ended = await self._send(request, context, after)
                else:
                    await context.write(pb.StreamLogsResponse(heartbeat=pb.Heartbeat()))

    async def _send(self, request: pb.StreamLogsRequest, context: Context, after: int) -> tuple[int, bool]:
        """Send the lines after a number; returns the number of the last line, and whether the job has ended.

        The state is read before the lines, so that an ended job has no more of them than are read.
        """
        keys = self._store.keys
        [state], texts = await self._store.run_many(
            [calls.read_states([request.job_id]), calls.read_logs(keys, request.job_id)]
        )
        if state is None:
            raise no_such_job(request.job_id)
        lines = [log_line(request.job_id, text) for text in texts]
        dropped_before = lines[0].line_number if lines and lines[0].line_number > 1 else 0
        new = [line for line in lines if line.line_number > after and request.attempt in (0, line.attempt)]
        for part in _parts(new):
            await context.write(pb.StreamLogsResponse(lines=part, first_kept_line=dropped_before))
        return max(after, lines[-1].line_number if lines else 0), state[0].terminal


def _parts(lines: Sequence[pb.LogLine]) -> list[list[pb.LogLine]]:
    """Cut lines into messages of a bounded size."""
    parts: list[list[pb.LogLine]] = []
    size = MESSAGE_BYTES
    for line in lines:
        size += line.ByteSize()
        if size > MESSAGE_BYTES or len(parts[-1]) >= LINES_AT_ONCE:
            parts.append([])
            size = line.ByteSize()
        parts[-1].append(line)
    return parts
