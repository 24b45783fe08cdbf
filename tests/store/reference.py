"""The life of jobs as it ought to be: a model in plain Python, against which the Lua scripts are checked.

It knows no Redis and no clock: whoever drives it says that a job has become due or that a lease has ended. Its methods
are named as the commands of the store, change the model, and return what the command must answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from jobsvc.model.job import HEAD_START_MS, Priority
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store.calls import MAX_LOST_ATTEMPTS

ENOUGH = 1_000_000
"""More jobs than any history has."""

UNCOUNTED = (Outcome.RELEASED, Outcome.SNOOZED)
"""Outcomes that do not count as an attempt."""


@dataclass
class Record:
    """What is known of a job.

    Attributes:
        attempt: Number of the newest attempt; released and snoozed ones do not count.
        lost: How many attempts were lost.
        told: Somebody asked for its cancellation.
        token: Of the present or last lease; empty when the lease was lost.
        ends: How often it became terminal.
        outcomes: Of all attempts that are on record, oldest first: completed ones are not.
        worker: Who runs it, or ran it last.
        spared: Failed attempts that do not count since somebody retried it; -1 when the next one is the last.
        lost_spared: Lost attempts that do not count.
        expires: It has a start deadline, and has not started yet.
    """

    queue: str = "q"
    priority: Priority = Priority.MEDIUM
    batch: str = ""
    state: JobState = JobState.QUEUED
    attempt: int = 0
    lost: int = 0
    told: bool = False
    token: str = ""
    ends: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    worker: str = ""
    spared: int = 0
    lost_spared: int = 0
    expires: bool = False

    def close(self, state: JobState) -> None:
        """Reach a terminal state."""
        self.state = state
        self.ends += 1


@dataclass
class Gate:
    """What holds the jobs of a queue back; 0 is no limit."""

    paused: bool = False
    max_concurrency: int = 0
    max_concurrency_per_worker: int = 0
    max_waiting: int = 0


class Reference:
    """Jobs of some queues."""

    def __init__(self) -> None:
        self.gates: defaultdict[str, Gate] = defaultdict(Gate)
        self.jobs: dict[str, Record] = {}
        self.lost_ever: Counter[str] = Counter()
        self.ended_ever: Counter[tuple[str, JobState]] = Counter()

    def in_state(self, *states: JobState, queue: str = "") -> list[str]:
        """Ids of the jobs in some states, of one queue or of all."""
        return [
            job_id for job_id, job in self.jobs.items() if job.state in states and queue in ("", job.queue)
        ]

    def has_place(self, queue: str, more: int = 1) -> bool:
        """Whether so many more jobs may wait in a queue."""
        waiting = len(self.in_state(JobState.QUEUED, JobState.SCHEDULED, queue=queue))
        most = self.gates[queue].max_waiting
        return not most or waiting + more <= most

    def submit(self, job_id: str, *, delayed: bool, **facts: object) -> None:
        """Add a job that did not exist."""
        assert job_id not in self.jobs
        record = Record(**facts)  # type: ignore[arg-type]
        record.state = JobState.SCHEDULED if delayed else JobState.QUEUED
        self.jobs[job_id] = record

    # -- running --------------------------------------------------------------------------------------------------

    def room(self, queue: str) -> int:
        """How many jobs of a queue its gate lets start, over all workers."""
        gate, active = self.gates[queue], len(self.in_state(JobState.PROCESSING, queue=queue))
        if gate.paused:
            return 0
        return max(0, gate.max_concurrency - active) if gate.max_concurrency else ENOUGH

    def room_of(self, worker: str, queue: str) -> int:
        """The same for one worker."""
        own = self.gates[queue].max_concurrency_per_worker
        held = sum(
            self.jobs[job_id].worker == worker for job_id in self.in_state(JobState.PROCESSING, queue=queue)
        )
        return min(self.room(queue), max(0, own - held) if own else ENOUGH)

    def expected_starts(self, worker: str, want: int, queues: Sequence[str]) -> dict[str, int]:
        """How many jobs of each queue a claim must get."""
        starts: dict[str, int] = {}
        for queue in queues:
            ready = len(self.in_state(JobState.QUEUED, queue=queue))
            starts[queue] = min(want - sum(starts.values()), self.room_of(worker, queue), ready)
        return starts

    def must_wake(self, queue: str) -> bool:
        """Whether a worker that waits must find something that says so."""
        return bool(self.in_state(JobState.QUEUED, queue=queue)) and self.room(queue) > 0

    def check_order(self, queue: str, chosen: Iterable[str]) -> None:
        """Check that the most urgent were taken.

        All jobs of a history become ready within seconds, so that head starts, which are minutes, decide; of equal ones
        any may come first.
        """
        taken = list(chosen)
        waiting = set(self.in_state(JobState.QUEUED, queue=queue)) - set(taken)
        heads = [HEAD_START_MS[self.jobs[job_id].priority] for job_id in taken]
        assert heads == sorted(heads, reverse=True)
        if heads and waiting:
            assert min(heads) >= max(HEAD_START_MS[self.jobs[job_id].priority] for job_id in waiting)

    def start(self, job_id: str, token: str, worker: str) -> Record:
        """A worker has claimed a job."""
        job = self.jobs[job_id]
        assert job.state is JobState.QUEUED
        assert token not in ("", job.token)
        job.state, job.token, job.worker, job.attempt = JobState.PROCESSING, token, worker, job.attempt + 1
        job.expires = False
        return job

    def report(self, job_id: str, token: str, outcome: Outcome, *, delayed: bool) -> str:
        """A worker says what came of an attempt."""
        job = self.jobs[job_id]
        if job.token != token:
            return "lost"
        if job.state is not JobState.PROCESSING:
            return "already"
        if job.told and outcome is not Outcome.COMPLETED:
            outcome = Outcome.CANCELLED
        if outcome in UNCOUNTED:
            job.attempt -= 1
        elif outcome is not Outcome.COMPLETED:
            job.outcomes.append(outcome)
        if outcome in UNCOUNTED or outcome is Outcome.RETRIED:
            job.state = JobState.SCHEDULED if delayed else JobState.QUEUED
        else:
            self._close(job, JobState(outcome.value))
        return "ok"

    def cancel(self, job_id: str) -> str:
        """Somebody does not want a job any more."""
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if job.state.terminal:
            return "finished"
        job.told = True
        if job.state is JobState.PROCESSING:
            return "requested"
        self._close(job, JobState.CANCELLED)
        return "cancelled"

    def retry(self, job_id: str, *, reset: bool) -> str:
        """Somebody wants a failed job to run again."""
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if job.state is not JobState.FAILED:
            return "skipped"
        job.state, job.spared = JobState.QUEUED, -1
        if reset:
            job.spared, job.lost_spared = job.attempt - job.lost, job.lost
        return "requeued"

    def remove(self, job_id: str, state: JobState) -> int:
        """Somebody does not want to keep a job that is in a state."""
        if job_id not in self.jobs or self.jobs[job_id].state is not state:
            return 0
        del self.jobs[job_id]
        return 1

    # -- time -----------------------------------------------------------------------------------------------------

    def become_due(self, job_ids: Iterable[str]) -> None:
        """The time of scheduled jobs has come, and somebody has looked."""
        for job_id in job_ids:
            assert self.jobs[job_id].state is JobState.SCHEDULED
            self.jobs[job_id].state = JobState.QUEUED

    def may_expire(self) -> list[str]:
        """Ids of the jobs that wait for their first start and have a deadline for it."""
        return [
            job_id
            for job_id in self.in_state(JobState.QUEUED, JobState.SCHEDULED)
            if self.jobs[job_id].expires
        ]

    def expire(self, job_ids: Iterable[str]) -> None:
        """The start deadlines of jobs have passed, and somebody has looked."""
        for job_id in job_ids:
            self._close(self.jobs[job_id], JobState.CANCELLED)

    def lose(self, job_ids: Iterable[str]) -> None:
        """The leases of running jobs have ended, and somebody has looked."""
        for job_id in job_ids:
            job = self.jobs[job_id]
            assert job.state is JobState.PROCESSING
            job.lost += 1
            job.token = ""
            job.outcomes.append(Outcome.LOST)
            self.lost_ever[job.queue] += 1
            if job.told:
                self._close(job, JobState.CANCELLED)
            elif job.lost - job.lost_spared > MAX_LOST_ATTEMPTS:
                self._close(job, JobState.FAILED)
            else:
                job.state = JobState.QUEUED

    def _close(self, job: Record, state: JobState) -> None:
        job.close(state)
        self.ended_ever[job.queue, state] += 1

    # -- counting -------------------------------------------------------------------------------------------------

    def counts(self, queue: str) -> Counter[JobState]:
        """A recount of the jobs of a queue by state."""
        return Counter(job.state for job in self.jobs.values() if job.queue == queue)

    def queues(self) -> Iterator[str]:
        """Names of all queues that have a job."""
        return iter(sorted({job.queue for job in self.jobs.values()}))
