"""One stream's view: its targets, what it has told of each, and what it may tell next."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from jobsvc.model.job import Job
from jobsvc.rpc.watch.feeds import BatchFeed, Feed, JobFeed
from jobsvc.rpc.watch.news import Told, job_news, log_news
from jobsvc.rpc.watch.snapshot import SnapshotWriter
from jobsvc.rpc.watch.wire import event_part
from jobsvc_proto.v1 import job_service_pb2 as pb


class Target:
    """One thing that a stream watches.

    Attributes:
        known: The newest version that the caller has said to have.
        opened: The snapshot was told; changes are told from now on.
        feed: What it listens to.
        ended: Nothing more is to be told.
        missing: It does not exist.
        gap: The caller had seen something of it before, and has missed changes since.
        last_told: When something of it was told last, by the loop's clock.
    """

    wants_jobs = False

    def __init__(self, target_id: str, watcher: Watcher, known: int) -> None:
        self.id = target_id
        self.watcher = watcher
        self.interval_s = watcher.interval_s
        self.wants_logs = watcher.wants_logs
        self.known = known
        self.feed: Feed | None = None
        self.opened = False
        self.ended = False
        self.missing = False
        self.gap = False
        self.last_told = 0.0

    @property
    def version(self) -> int:
        """The newest version that the caller has."""
        raise NotImplementedError

    @property
    def over(self) -> bool:
        """Whether what it watches has ended, and that is still to be told."""
        return not self.ended and not self.missing and self.feed is not None and self.feed.ended

    def attach(self, feed: Feed) -> None:
        """Listen to this feed."""
        self.feed = feed

    def open(self, snapshot: SnapshotWriter) -> list[bytes]:
        """Begin with the newest record: add it to the snapshot, unless the caller has it; returns full pieces."""
        raise NotImplementedError

    def notify(self, changed: Collection[str]) -> None:
        """Something is newer."""
        raise NotImplementedError

    def collect(self, now: float) -> list[bytes]:
        """Return the events that are to be told now."""
        raise NotImplementedError


class JobTarget(Target):
    """A job."""

    def __init__(self, target_id: str, watcher: Watcher, known: int) -> None:
        super().__init__(target_id, watcher, known)
        self.told = Told()

    @property
    def version(self) -> int:
        """The newest version that the caller has."""
        return max(self.told.version, self.known)

    @property
    def job_feed(self) -> JobFeed:
        """What it listens to."""
        assert isinstance(self.feed, JobFeed)
        return self.feed

    def open(self, snapshot: SnapshotWriter) -> list[bytes]:
        """Begin with the newest record."""
        track, job = self.job_feed.track, self.job_feed.track.record
        self.opened = True
        self.missing = job is None or track.missing
        if job is None or self.missing:
            snapshot.missing(self.id)
            return []
        unknown = job.version > self.known
        self.gap = unknown and self.known > 0
        self.told.take(job, at_least=self.known)
        self.told.line = track.last_line
        return snapshot.job(job) if unknown else []

    def notify(self, changed: Collection[str]) -> None:
        """Tell of a move and of the end at once, of progress when it is time."""
        if not self.opened:
            return
        job = self.job_feed.track.record
        moved = job is None or self.job_feed.ended or job.state is not self.told.state
        self.watcher.mark(self, urgent=moved)

    def collect(self, now: float) -> list[bytes]:
        """Return what is new; the completion message is not among it."""
        track = self.job_feed.track
        if track.missing and not self.ended:
            self.missing = True
            return [event_part(pb.StreamEvent(snapshot=pb.Snapshot(missing_ids=[self.id])))]
        parts = log_news(track, self.told) if self.wants_logs else []
        return parts + job_news(track, self.told)


class BatchTarget(Target):
    """A batch, perhaps with each of its jobs."""

    def __init__(self, target_id: str, watcher: Watcher, known: int, *, include_jobs: bool) -> None:
        super().__init__(target_id, watcher, known)
        self.wants_jobs = include_jobs
        self.wants_logs = include_jobs and watcher.wants_logs
        self.told_version = 0
        self.jobs: dict[str, Told] = {}
        self._told_number = 0
        self._pending: set[str] = set()

    @property
    def version(self) -> int:
        """The newest version that the caller has."""
        return max(self.told_version, self.known)

    @property
    def batch_feed(self) -> BatchFeed:
        """What it listens to."""
        assert isinstance(self.feed, BatchFeed)
        return self.feed

    def open(self, snapshot: SnapshotWriter) -> list[bytes]:
        """Begin with the newest counts; its jobs follow by `open_job`."""
        self.opened = True
        self.missing = self.batch_feed.missing
        if self.missing:
            snapshot.missing(self.id)
            return []
        message, self._told_number = self.batch_feed.message, self.batch_feed.number
        self.told_version = message.version
        unknown = message.version > self.known
        self.gap = unknown and self.known > 0
        return snapshot.batch(message) if unknown else []

    def open_job(self, job: Job) -> None:
        """Begin with one of its jobs, which is told as part of the snapshot."""
        track = self.batch_feed.job(job.id)
        track.take(job)
        told = self.jobs.setdefault(job.id, Told())
        told.take(job)
        told.line = track.last_line

    def notify(self, changed: Collection[str]) -> None:
        """Tell of the end and of moves of jobs at once, of counts and progress when it is time."""
        if self.feed is None:
            return
        if self.wants_jobs:
            self._pending.update(changed)
        if self.opened:
            urgent = self.batch_feed.ended or (self.wants_jobs and any(map(self._has_moved, changed)))
            self.watcher.mark(self, urgent=urgent)

    def collect(self, now: float) -> list[bytes]:
        """Return what is new: of jobs first, then the counts; the completion message is not among it."""
        if self.batch_feed.missing:
            self.missing = True
            return [event_part(pb.StreamEvent(snapshot=pb.Snapshot(missing_ids=[self.id])))]
        parts: list[bytes] = []
        pending, self._pending = self._pending, set()
        for job_id in pending:
            parts += self._job_news(job_id, now)
        if self.batch_feed.number != self._told_number:
            self._told_number = self.batch_feed.number
            self.told_version = self.batch_feed.message.version
            parts.append(self.batch_feed.part)
        if self._pending:
            self.watcher.mark(self, urgent=False)
        return parts

    def unfinished(self) -> list[str]:
        """Return the jobs that have not ended as far as this stream has told."""
        return [
            job_id
            for job_id, told in self.jobs.items()
            if not (told.state is not None and told.state.terminal)
        ]

    def _has_moved(self, job_id: str) -> bool:
        track, told = self.batch_feed.jobs.get(job_id), self.jobs.get(job_id)
        if track is None or track.record is None:
            return False
        return told is None or track.record.state is not told.state

    def _job_news(self, job_id: str, now: float) -> list[bytes]:
        track = self.batch_feed.jobs.get(job_id)
        if track is None or track.record is None:
            return []
        told = self.jobs.get(job_id)
        if told is None:
            self.open_job(track.record)
            return [track.whole_part(track.record)]
        parts = log_news(track, told) if self.wants_logs else []
        due = self.batch_feed.ended or now - told.progress_at >= self.interval_s
        before = told.progress
        parts += job_news(track, told, with_progress=due)
        if told.progress is not before:
            told.progress_at = now
        elif track.record.version > told.version:
            self._pending.add(job_id)
        return parts


class Watcher:
    """Which targets of one stream have something to tell, and from when on.

    Args:
        interval_s: Progress of one target is told no more often.
        wants_logs: Log lines are wanted.
    """

    def __init__(self, *, interval_s: float, wants_logs: bool) -> None:
        self.interval_s = interval_s
        self.wants_logs = wants_logs
        self.targets: Sequence[Target] = ()
        self.stopped = False
        self._pending: dict[Target, float] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def mark(self, target: Target, *, urgent: bool) -> None:
        """A target has something to tell: at once, or when it has been silent for the interval."""
        if target.ended:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = now if urgent else max(now, target.last_told + self.interval_s)
        if due >= self._pending.get(target, float("inf")):
            return
        self._pending[target] = due
        if self._waiter is None or self._timer is None or self._waiter.done():
            return
        if due <= now:
            self._wake()
        elif due < self._timer.when():
            self._timer.cancel()
            self._timer = loop.call_at(due, self._wake)

    def stop(self) -> None:
        """The server goes away."""
        self.stopped = True
        self._wake()

    async def wait(self, until: float) -> list[Target]:
        """Wait until something is to be told; returns the targets that have it, none at the time ``until``."""
        loop = asyncio.get_running_loop()
        while not self.stopped:
            now = loop.time()
            due = [target for target, at in self._pending.items() if at <= now]
            if due or now >= until:
                for target in due:
                    del self._pending[target]
                    target.last_told = now
                return due
            self._waiter = loop.create_future()
            self._timer = loop.call_at(min(until, *self._pending.values(), until), self._wake)
            try:
                await self._waiter
            finally:
                self._timer.cancel()
        return []

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
