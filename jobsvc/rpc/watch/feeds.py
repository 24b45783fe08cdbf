"""What is watched: jobs and batches, each with its channel, its newest record and those who listen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from jobsvc.model.job import Batch, Job
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.views import JobWriter
from jobsvc.rpc.watch.batchnews import batch_message, has_ended
from jobsvc.rpc.watch.news import JobTrack
from jobsvc.rpc.watch.wire import event_part
from jobsvc_proto.v1 import job_service_pb2 as pb


class Listener(Protocol):
    """Somebody who watches a feed.

    Attributes:
        interval_s: It need not hear of progress more often.
        wants_jobs: Of a batch, it wants to hear of each job.
        wants_logs: It wants log lines.
    """

    interval_s: float
    wants_jobs: bool
    wants_logs: bool

    def notify(self, changed: Collection[str]) -> None:
        """Something is newer; of a batch, ``changed`` are jobs that were read."""


Mark = Callable[["Feed", bool], None]
"""Asks for a feed to be read: at once, or when its listeners want to hear of it again."""


class Feed:
    """One thing that is watched.

    Attributes:
        id: Of the job or batch; also names the channel.
        last_read: When it was read last, by the loop's clock.
        subscribed: Done when its channel is listened on; failed when that could not be confirmed.
    """

    def __init__(self, target_id: str, writer: JobWriter, mark: Mark) -> None:
        self.id = target_id
        self.last_read = 0.0
        self.subscribed: asyncio.Task[None] | None = None
        self.listeners: set[Listener] = set()
        self.interval_s = 60.0
        self.wants_jobs = False
        self.wants_logs = False
        self._writer = writer
        self._mark = mark

    def join(self, listener: Listener) -> None:
        """Add a listener."""
        self.listeners.add(listener)
        self._look_at_listeners()

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        self.listeners.discard(listener)
        self._look_at_listeners()

    def _look_at_listeners(self) -> None:
        self.interval_s = min((one.interval_s for one in self.listeners), default=60.0)
        self.wants_jobs = any(one.wants_jobs for one in self.listeners)
        self.wants_logs = any(one.wants_logs for one in self.listeners)

    def tell(self, changed: Collection[str]) -> None:
        """Tell all listeners that something is newer."""
        for listener in list(self.listeners):
            listener.notify(changed)

    def hear(self, text: str) -> None:
        """Take an announcement: ``<job id> <version> <state>``, or nothing for a batch that was committed."""
        if not text:
            self._mark(self, True)
            return
        job_id, _, rest = text.partition(" ")
        version, _, state = rest.partition(" ")
        try:
            self._hear(job_id, int(version), JobState(state))
        except ValueError:
            return  # of another version of jobsvc

    def _hear(self, job_id: str, version: int, state: JobState) -> None:
        raise NotImplementedError

    def tracks_to_read(self) -> list[JobTrack]:
        """Return the jobs that have to be read now."""
        raise NotImplementedError

    def after_gap(self) -> None:
        """Announcements were missed: read everything again."""
        self._mark(self, True)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        raise NotImplementedError


class JobFeed(Feed):
    """One job.

    Attributes:
        wants_final: Somebody waits for its completion message.
    """

    def __init__(self, target_id: str, writer: JobWriter, mark: Mark) -> None:
        super().__init__(target_id, writer, mark)
        self.track = JobTrack(target_id, writer)
        self.wants_final = False
        self._final: tuple[int, bytes] | None = None

    @property
    def final(self) -> bytes | None:
        """Its completion message, encoded, once it was read in full after its end.

        The one of an end before it was queued again counts no more.
        """
        record = self.track.record
        if self._final is None or record is None or record.version != self._final[0]:
            return None
        return self._final[1]

    def _hear(self, job_id: str, version: int, state: JobState) -> None:
        if job_id == self.id:
            self._mark(self, self.track.hear(version, state))

    def tracks_to_read(self) -> list[JobTrack]:
        """Return the job."""
        return [self.track]

    @property
    def read_in_full(self) -> bool:
        """Whether its end is known or announced, so that its result is wanted."""
        return self.final is None and (self.wants_final or self.track.heard_of_end)

    def take_full(self, job: Job) -> None:
        """Keep the completion message of a job that was read in full."""
        if job.state.terminal:
            event = pb.StreamEvent()
            self._writer.fill(event.completed.job, job, full=True)
            self._final = job.version, event_part(event)
            self.wants_final = False

    def after_gap(self) -> None:
        """Read it again, and believe what is announced next."""
        self.track.forget_announcements()
        super().after_gap()

    @property
    def ended(self) -> bool:
        """Whether the job has ended or is missing."""
        record = self.track.record
        return self.track.missing or (record is not None and record.state.terminal)


class BatchFeed(Feed):
    """One batch.

    Attributes:
        batch: As last read; ``None`` before and when it is missing.
        missing: It was looked for and is not there.
        jobs: Its jobs by id, while somebody wants to hear of each.
        example: One of its running jobs.
        failed: Its newest failures by id.
        message: The counts as they are told.
        number: Grows whenever the message changes.
        part: The message, encoded as an event.
    """

    def __init__(self, target_id: str, writer: JobWriter, mark: Mark) -> None:
        super().__init__(target_id, writer, mark)
        self.batch: Batch | None = None
        self.missing = False
        self.jobs: dict[str, JobTrack] = {}
        self.example: JobTrack | None = None
        self.failed: dict[str, Job] = {}
        self.message = pb.BatchProgress()
        self.number = 0
        self.part = b""
        self._running: dict[str, None] = {}
        self._dirty: set[str] = set()
        self._left = 0
        self._told: tuple[object, ...] = ()

    def leave(self, listener: Listener) -> None:
        """Remove a listener, and forget the jobs when nobody wants to hear of them any more."""
        super().leave(listener)
        if not self.wants_jobs:
            self.jobs.clear()
            self._dirty.clear()

    def job(self, job_id: str) -> JobTrack:
        """Return one of its jobs."""
        track = self.jobs.get(job_id)
        if track is None:
            track = self.jobs[job_id] = JobTrack(job_id, self._writer)
        return track

    def _hear(self, job_id: str, version: int, state: JobState) -> None:
        moved = job_id not in self._running
        urgent = False
        self.failed.pop(job_id, None)  # it may have been queued again, and fail with something else
        if state is JobState.PROCESSING:
            self._running[job_id] = None
            if self.example is None:
                self.example = JobTrack(job_id, self._writer)
        else:
            moved = True
            self._stops_running(job_id)
        if state.terminal:
            self._left -= 1
            urgent = self._left <= 0
        if self.wants_jobs:
            urgent = self.job(job_id).hear(version, state) or urgent
            self._dirty.add(job_id)
        if moved or self.wants_jobs or (self.example is not None and self.example.id == job_id):
            self._mark(self, urgent)

    def _stops_running(self, job_id: str) -> None:
        self._running.pop(job_id, None)
        if self.example is not None and self.example.id == job_id:
            following = next(iter(self._running), None)
            self.example = JobTrack(following, self._writer) if following else None

    def suppose_running(self, job_id: str) -> None:
        """A job of the batch was found running, although none was announced since this server watches."""
        if self.example is None:
            self._running[job_id] = None
            self.example = JobTrack(job_id, self._writer)

    def tracks_to_read(self) -> list[JobTrack]:
        """Return the jobs that changed, if anybody wants to hear of them, and the example."""
        tracks = [self.job(job_id) for job_id in self._dirty] if self.wants_jobs else []
        self._dirty.clear()
        if self.example is not None:
            tracks.append(self.example)
        return tracks

    def read_again(self, job_ids: Iterable[str]) -> None:
        """Have some of the jobs read in the next round."""
        self._dirty.update(job_id for job_id in job_ids if job_id in self.jobs)

    def take(self, batch: Batch | None, now_ms: int) -> bool:
        """Take what was read, failures and example included; returns whether there is anything new in it."""
        if batch is None:
            was_missing, self.missing = self.missing, True
            return not was_missing
        self.missing = False
        self.batch = batch
        self._left = sum(count for state, count in batch.counts.items() if not state.terminal)
        failures = [self.failed[job_id] for job_id in batch.recent_failures if job_id in self.failed]
        example = self.example.record if self.example else None
        if example is not None and example.state is not JobState.PROCESSING:
            self._stops_running(example.id)
            example = None
        told = (batch.version, example and (example.id, example.version), tuple(job.id for job in failures))
        if told == self._told:
            return False
        self._told = told
        self.message = batch_message(batch, now_ms=now_ms, failures=failures, example=example)
        self.number += 1
        self.part = event_part(pb.StreamEvent(batch=self.message))
        return True

    def after_gap(self) -> None:
        """Read it and its jobs again, and believe what is announced next."""
        self._running.clear()
        self.example = None
        for track in self.jobs.values():
            track.forget_announcements()
            if track.record is None or track.record.state not in (JobState.COMPLETED, JobState.CANCELLED):
                self._dirty.add(track.id)  # also failed ones: they may have been queued again
        super().after_gap()

    @property
    def ended(self) -> bool:
        """Whether all of it has ended or it is missing."""
        return self.missing or (self.batch is not None and has_ended(self.batch))
