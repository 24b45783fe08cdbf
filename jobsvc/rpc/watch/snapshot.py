"""Snapshots, cut into messages of a bounded size."""

from __future__ import annotations

from jobsvc.model.job import Job
from jobsvc.rpc.views import JobWriter
from jobsvc.rpc.watch.wire import event_part
from jobsvc_proto.v1 import job_service_pb2 as pb

MAX_JOBS = 200


class SnapshotWriter:
    """Collects a snapshot; hands out encoded pieces of it when they are large enough.

    Args:
        writer: Writes jobs into messages.
        max_bytes: A piece that has reached this size is handed out.
    """

    def __init__(self, writer: JobWriter, max_bytes: int) -> None:
        self._writer = writer
        self._max_bytes = max_bytes
        self._event = pb.StreamEvent()
        self._size = 0
        self._pieces = 0

    def job(self, job: Job) -> list[bytes]:
        """Add a job; returns the pieces that are full."""
        full = self._hand_out_if_full()
        message = self._event.snapshot.jobs.add()
        self._writer.fill(message, job, full=False)
        self._size += message.ByteSize()
        return full

    def batch(self, progress: pb.BatchProgress) -> list[bytes]:
        """Add the counts of a batch; returns the pieces that are full."""
        full = self._hand_out_if_full()
        self._event.snapshot.batches.append(progress)
        self._size += progress.ByteSize()
        return full

    def missing(self, target_id: str) -> None:
        """Add an id that does not exist."""
        self._event.snapshot.missing_ids.append(target_id)

    def last(self, *, gap: bool, needed: bool) -> list[bytes]:
        """Return the last piece.

        Args:
            gap: The caller has missed events since its resume token.
            needed: Also return one that is empty.
        """
        if not (needed or self._pieces or self._event.HasField("snapshot")):
            return []
        self._event.snapshot.gap = gap
        return [event_part(self._event)]

    def _hand_out_if_full(self) -> list[bytes]:
        snapshot = self._event.snapshot
        if len(snapshot.jobs) + len(snapshot.batches) < MAX_JOBS and self._size < self._max_bytes:
            return []
        snapshot.more = True
        part = event_part(self._event)
        self._event, self._size = pb.StreamEvent(), 0
        self._pieces += 1
        return [part]
