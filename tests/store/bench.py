"""What tests of the store do again and again, in few words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import redis

from jobsvc.model.job import Batch, Job, NewBatch, NewJob
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls
from jobsvc.store.calls import Call, Claim, Committed, Exchanged, Report, Submitted, Swept
from jobsvc.store.store import Store
from tests.store import invariants

T = TypeVar("T")
FOR_EVER_MS = 10**12


class Bench:
    """A store, and the moves that jobs make in it.

    Args:
        store: The store under test.
        client: A plain client on the same Redis.
    """

    def __init__(self, store: Store, client: redis.Redis) -> None:
        self.store = store
        self.redis: Any = client
        self.keys = store.keys
        self._numbers = itertools.count(1)

    def close(self) -> None:
        self.store.close()
        self.redis.close()

    def check(self) -> None:
        """Compare everything with everything, see ``invariants``."""
        invariants.check(self.redis, self.keys.tag)

    def run(self, call: Call[T]) -> T:
        return self.store.run(call)

    def twice(self, call: Call[T]) -> tuple[T, T]:
        """Send a call again, as happens when its answer was lost."""
        return self.store.run(call), self.store.run(call)

    def new(self, job_id: str = "", **options: Any) -> NewJob:
        job_id = job_id or f"job{next(self._numbers)}"
        return NewJob(**{"id": job_id, "type": "test.do", "queue": "q", "arguments": "{}", **options})

    def submit(self, job_id: str = "", **options: Any) -> Submitted:
        return self.run(calls.submit(self.new(job_id, **options)))

    def batch(self, batch_id: str, jobs: Sequence[NewJob], **options: Any) -> Committed:
        """Stage and commit; jobs get the ids that follow from their place unless they have one."""
        items = list(enumerate(jobs))
        for call in calls.stage(NewBatch(id=batch_id, **options), len(jobs), items):
            self.run(call)
        return self.run(calls.commit(batch_id))

    def items(self, batch_id: str, count: int, **options: Any) -> list[NewJob]:
        return [self.new(f"{batch_id}.{index}", **options) for index in range(count)]

    def exchange(
        self,
        *reports: Report,
        want: int = 0,
        worker: str = "w1",
        request: str = "",
        lane: str = "",
        lease_ms: int = 10_000,
        queues: Sequence[str] = ("q",),
    ) -> Exchanged:
        return self.run(
            calls.exchange(
                worker,
                request or f"r{next(self._numbers)}",
                lane=lane,
                lease_ms=lease_ms,
                reports=reports,
                want=want,
                queues=queues,
            )
        )

    def claim(self, want: int = 1, **options: Any) -> list[Claim]:
        return self.exchange(want=want, **options).claims

    def claim_one(self, **options: Any) -> Claim:
        (claim,) = self.claim(1, **options)
        return claim

    def finish(
        self, claim: Claim, outcome: Outcome = Outcome.COMPLETED, body: str = "", *, delay_ms: int = 0
    ) -> str:
        report = Report(claim.job_id, claim.token, outcome, delay_ms, body)
        return self.exchange(report).replies[0]

    def cancel(self, *job_ids: str) -> list[str]:
        return self.run(calls.cancel(job_ids, reason="why", requested_by="who"))

    def sweep(self, *, outage_ms: int = FOR_EVER_MS, **options: Any) -> Swept:
        """Sweep as if somebody had swept a moment ago, unless told otherwise."""
        return self.run(calls.sweep(outage_ms=outage_ms, **options))

    def expire(self, job_id: str, queue: str = "q") -> None:
        """Let the lease of a job end now."""
        assert self.redis.zadd(self.keys.queue(queue, "leases"), {job_id: 1}, xx=True, ch=True) == 1

    def make_due(self, job_id: str, queue: str = "q", at_ms: int = 1) -> None:
        """Let the time of a scheduled job come now; its record says so, too, as it does when time has really passed."""
        self.redis.hset(self.keys.job(job_id), "due_ms", at_ms)
        assert self.redis.zadd(self.keys.queue(queue, "scheduled"), {job_id: at_ms}, xx=True, ch=True) == 1

    def age(self, queue: str, state: JobState, job_ids: Iterable[str], by_ms: int) -> None:
        """Let jobs have ended longer ago."""
        for job_id in job_ids:
            self.redis.zincrby(self.keys.queue(queue, state.value), -by_ms, job_id)

    def job(self, job_id: str) -> Job:
        found = self.find(job_id)
        assert found is not None, f"{job_id} does not exist"
        return found

    def find(self, job_id: str) -> Job | None:
        return self.run(calls.read([job_id], full=True))[0]

    def state(self, job_id: str) -> JobState | None:
        found = self.find(job_id)
        return found and found.state

    def read_batch(self, batch_id: str) -> Batch:
        found = self.run(calls.read_batch(batch_id))
        assert found is not None, f"{batch_id} does not exist"
        return found

    def now_ms(self) -> int:
        return self.run(calls.clock())

    def woken(self, queue: str = "q") -> bool:
        """Take the marker of a queue, if it is set."""
        return bool(self.redis.zpopmin(self.keys.queue(queue, "wake")))

    def queue_keys(self, queue: str = "q") -> dict[str, int]:
        """Number of jobs in each place of a queue."""
        places = ("ready", "scheduled", "leases", "completed", "failed", "cancelled")
        return {place: self.redis.zcard(self.keys.queue(queue, place)) for place in places}
