"""What is newest of one job, and what of it a watcher has not heard yet. No I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from jobsvc.model.job import CancelStatus, Job, JobError, Progress
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.conversion import STATES, error_of, fill_error, fill_progress, progress_of
from jobsvc.rpc.estimate import job_finish
from jobsvc.rpc.views import JobWriter
from jobsvc.rpc.watch.wire import event_part
from jobsvc_proto.v1 import job_service_pb2 as pb

TRAIL_LENGTH = 64
"""Moves of a job that are remembered until every watcher has heard of them; a reader slower than that misses some."""

LOG_LINES_KEPT = 1_000


class JobTrack:
    """The newest record of a job, shared by all who watch it on this server.

    Attributes:
        record: As last read, without arguments and result; ``None`` before the first reading and when it is missing.
        missing: It was looked for and is not there.
        trail: (version, state) of its latest moves, as they were announced.
        logs: (number, encoded event) of the latest log lines, when somebody wants them.
        last_line: Number of the last line that was seen.
    """

    __slots__ = ("_heard", "_parts", "_writer", "id", "last_line", "logs", "missing", "record", "trail")

    def __init__(self, job_id: str, writer: JobWriter) -> None:
        self.id = job_id
        self.record: Job | None = None
        self.missing = False
        self.trail: deque[tuple[int, JobState]] = deque(maxlen=TRAIL_LENGTH)
        self.logs: deque[tuple[int, bytes]] = deque(maxlen=LOG_LINES_KEPT)
        self.last_line = 0
        self._heard: tuple[int, JobState | None] = (0, None)
        self._parts: dict[tuple[object, ...], bytes] = {}
        self._writer = writer

    @property
    def heard_of_end(self) -> bool:
        """Whether the end of the job was announced."""
        return self._heard[1] is not None and self._heard[1].terminal

    def hear(self, version: int, state: JobState) -> bool:
        """Take an announcement; returns whether the job has moved."""
        known, before = self._heard
        if version <= known:
            return False
        self._heard = (version, state)
        if state is before:
            return False
        self.trail.append((version, state))
        return True

    def forget_announcements(self) -> None:
        """Take whatever is announced next: some were missed, and Redis may have lost its last second."""
        self._heard = (0, None)

    def take(self, record: Job | None) -> bool:
        """Take a record that was read; returns whether there is anything new in it."""
        if record is None:
            was_missing, self.missing = self.missing, True
            return not was_missing
        if self.record is not None and record.version == self.record.version and not self.missing:
            return False
        self.missing = False
        self.record = record
        self._parts = {}
        return True

    def progress_part(self, job: Job, progress: Progress) -> bytes:
        """Encode the newest progress."""
        key = ("progress", job.version)
        if key not in self._parts:
            event = pb.StreamEvent()
            event.progress.job_id, event.progress.version = self.id, job.version
            fill_progress(event.progress.progress, progress, job_finish(job))
            self._parts[key] = event_part(event)
        return self._parts[key]

    def move_part(
        self, before: JobState | None, state: JobState, version: int, attempt: int, error: JobError | None
    ) -> bytes:
        """Encode a move from one state to another."""
        key = ("move", before, state, version, attempt)
        if key not in self._parts:
            event = pb.StreamEvent()
            change = event.state_change
            change.job_id, change.version, change.attempt = self.id, version, attempt
            change.state = STATES[state]
            if before is not None:
                change.previous_state = STATES[before]
            if error is not None:
                fill_error(change.error, error, full=False)
            self._parts[key] = event_part(event)
        return self._parts[key]

    def whole_part(self, job: Job) -> bytes:
        """Encode the whole record, for what no smaller event can tell."""
        key = ("whole", job.version)
        if key not in self._parts:
            event = pb.StreamEvent()
            self._writer.fill(event.snapshot.jobs.add(), job, full=False)
            self._parts[key] = event_part(event)
        return self._parts[key]


@dataclass(slots=True)
class Told:
    """What a stream has told of a job.

    Attributes:
        progress_at: When it last told of progress, by the loop's clock.
        line: Number of the last log line that it told.
    """

    version: int = 0
    state: JobState | None = None
    attempt: int = 0
    progress: Progress | None = None
    cancel: CancelStatus | None = None
    progress_at: float = 0.0
    line: int = 0

    def take(self, job: Job, *, at_least: int = 0) -> None:
        """Everything of this record is told."""
        self.version = max(job.version, at_least)
        self.state = job.state
        self.attempt = job.attempt
        self.progress = progress_of(job)
        self.cancel = job.cancel


def job_news(track: JobTrack, told: Told, *, with_progress: bool = True) -> list[bytes]:
    """Return the events that bring a watcher up to date, and note them as told.

    Each event has a higher version than the one before. Every move is told, as far as it was announced; of progress
    only the newest report.

    Args:
        track: The newest record, which is there.
        told: What the watcher has heard.
        with_progress: False keeps a new report back for later.
    """
    job = track.record
    if job is None or (job.version <= told.version and not _unheard_end(job, told)):
        return []
    parts = _moves_in_between(track, job, told)
    if job.state is JobState.PROCESSING and job.cancel != told.cancel:
        told.take(job)
        return [*parts, track.whole_part(job)]
    progress = progress_of(job) if job.state is JobState.PROCESSING else None
    is_new = progress is not None and progress != told.progress
    if job.state is not told.state or job.attempt != told.attempt:
        # the report came later than the move, and needs a higher version than it to be believed
        version = job.version - 1 if is_new and job.version - 1 > told.version else job.version
        parts.append(track.move_part(told.state, job.state, version, job.attempt, error_of(job)))
        told.version, told.state, told.attempt = version, job.state, job.attempt
    if progress is not None and is_new:
        if with_progress:
            parts.append(track.progress_part(job, progress))
            told.version, told.progress = job.version, progress
    else:
        told.version = job.version
    return parts


def log_news(track: JobTrack, told: Told) -> list[bytes]:
    """Return the log lines that a watcher has not heard of, and note them as told."""
    parts = [part for number, part in track.logs if number > told.line]
    told.line = max(told.line, track.last_line)
    return parts


def _unheard_end(job: Job, told: Told) -> bool:
    """A Redis that lost its last second may count from a lower version: the end is told all the same."""
    return job.state.terminal and told.state is not job.state


def _moves_in_between(track: JobTrack, job: Job, told: Told) -> list[bytes]:
    parts = []
    for version, state in track.trail:
        if told.version < version < job.version and state is not told.state:
            attempt = min(job.attempt, told.attempt + (state is JobState.PROCESSING))
            parts.append(track.move_part(told.state, state, version, attempt, None))
            told.version, told.state, told.attempt = version, state, attempt
    return parts
