"""Random histories: the scripts against a small model of the life of a job."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from jobsvc.model.job import HEAD_START_MS, Priority
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls
from jobsvc.store.calls import MAX_LOST_ATTEMPTS, Claim, Report
from jobsvc.store.store import Store
from tests.store.bench import Bench

_namespaces = itertools.count(1)
WORKERS = ("w1", "w2")


@dataclass
class Expected:
    """What the model knows of a job."""

    priority: Priority
    state: JobState = JobState.QUEUED
    batch: str = ""
    attempt: int = 0
    lost: int = 0
    told: bool = False
    token: str = ""
    version: int = 0
    ends: int = 0
    outcomes: list[Outcome] = field(default_factory=list)


class History(RuleBasedStateMachine):
    """Jobs of one queue, two workers, and time that passes when the history says so."""

    bench: Bench
    claims = Bundle("claims")
    stale = Bundle("stale")

    @initialize()
    def begin(self) -> None:
        self.jobs: dict[str, Expected] = {}
        self.numbers = itertools.count(1)

    # -- moves ----------------------------------------------------------------------------------------------------

    def _expect(self, job_id: str, priority: Priority, *, delayed: bool, batch: str = "") -> None:
        self.jobs[job_id] = Expected(priority, JobState.SCHEDULED if delayed else JobState.QUEUED, batch)

    @rule(priority=st.sampled_from(Priority), delayed=st.booleans(), again=st.booleans())
    def submit(self, priority: Priority, delayed: bool, again: bool) -> None:
        job_id = f"j{next(self.numbers)}"
        job = self.bench.new(job_id, priority=priority, delay_ms=600_000 if delayed else 0)
        assert self.bench.run(calls.submit(job)).created
        if again:
            assert not self.bench.run(calls.submit(job)).created
        self._expect(job_id, priority, delayed=delayed)

    @rule(delays=st.lists(st.booleans(), min_size=1, max_size=4), abort=st.booleans(), again=st.booleans())
    def submit_batch(self, delays: list[bool], abort: bool, again: bool) -> None:
        batch = f"b{next(self.numbers)}"
        jobs = [
            self.bench.new(f"{batch}.{index}", delay_ms=600_000 if delayed else 0)
            for index, delayed in enumerate(delays)
        ]
        stages = calls.stage(calls.submitting.NewBatch(id=batch), len(jobs), list(enumerate(jobs)))
        for stage in stages * (2 if again else 1):
            assert not self.bench.run(stage).committed
        if abort:
            assert self.bench.run(calls.abort(batch))
            return
        assert self.bench.run(calls.commit(batch)).created
        assert not (again and self.bench.run(calls.commit(batch)).created)
        for index, delayed in enumerate(delays):
            self._expect(f"{batch}.{index}", Priority.MEDIUM, delayed=delayed, batch=batch)

    @rule(
        target=claims,
        worker=st.sampled_from(WORKERS),
        want=st.integers(1, 4),
        again=st.booleans(),
    )
    def claim(self, worker: str, want: int, again: bool) -> Any:
        request = f"r{next(self.numbers)}"
        ready = [job_id for job_id, job in self.jobs.items() if job.state is JobState.QUEUED]
        got = self.bench.claim(want, worker=worker, request=request)
        if again:
            assert self.bench.claim(want, worker=worker, request=request) == got
        assert len(got) == min(want, len(ready))
        # all that is compared became ready within a test: the head start decides, then nothing but the priority is sure
        chosen = [HEAD_START_MS[self.jobs[claim.job_id].priority] for claim in got]
        left = [
            HEAD_START_MS[self.jobs[job_id].priority]
            for job_id in ready
            if job_id not in {claim.job_id for claim in got}
        ]
        assert chosen == sorted(chosen, reverse=True)
        assert not left or not chosen or min(chosen) >= max(left)
        for claim in got:
            job = self.jobs[claim.job_id]
            assert claim.attempt == job.attempt + 1
            assert claim.lost_attempts == job.lost
            assert claim.token != job.token
            job.state, job.attempt, job.token = JobState.PROCESSING, claim.attempt, claim.token
        return multiple(*got)

    def _report(self, claim: Claim, outcome: Outcome, delay_ms: int) -> str:
        body = "1" if outcome is Outcome.COMPLETED else '{"category":"application"}'
        return self.bench.exchange(Report(claim.job_id, claim.token, outcome, delay_ms, body)).replies[0]

    @rule(
        target=stale,
        claim=consumes(claims),
        outcome=st.sampled_from(
            [
                Outcome.COMPLETED,
                Outcome.FAILED,
                Outcome.RETRIED,
                Outcome.CANCELLED,
                Outcome.RELEASED,
                Outcome.SNOOZED,
            ]
        ),
        delayed=st.booleans(),
        again=st.booleans(),
    )
    def report(self, claim: Claim, outcome: Outcome, delayed: bool, again: bool) -> Claim:
        job = self.jobs[claim.job_id]
        mine = job.token == claim.token and job.state is JobState.PROCESSING
        delay_ms = 600_000 if delayed or outcome in (Outcome.RETRIED, Outcome.SNOOZED) else 0
        reply = self._report(claim, outcome, delay_ms)
        assert reply == ("ok" if mine else "lost")
        if mine:
            self._ended(job, outcome, delay_ms)
            assert not again or self._report(claim, outcome, delay_ms) == "already"
        return claim

    def _ended(self, job: Expected, outcome: Outcome, delay_ms: int) -> None:
        if job.told and outcome is not Outcome.COMPLETED:
            outcome = Outcome.CANCELLED
        if outcome in (Outcome.RELEASED, Outcome.SNOOZED):
            job.attempt -= 1
            job.state = JobState.SCHEDULED if delay_ms else JobState.QUEUED
            return
        if outcome is Outcome.RETRIED:
            job.outcomes.append(outcome)
            job.state = JobState.SCHEDULED
            return
        if outcome is not Outcome.COMPLETED:
            job.outcomes.append(outcome)
        job.state = JobState(outcome.value)
        job.ends += 1

    @rule(claim=stale)
    def report_late(self, claim: Claim) -> None:
        job = self.jobs[claim.job_id]
        reply = self._report(claim, Outcome.COMPLETED, 0)
        assert reply == ("already" if job.token == claim.token else "lost")

    @rule(data=st.data(), again=st.booleans())
    def cancel(self, data: st.DataObject, again: bool) -> None:
        if not self.jobs:
            return
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs[job_id]
        wanted = "cancelled"
        if job.state is JobState.PROCESSING:
            job.told, wanted = True, "requested"
        elif job.state.terminal:
            wanted = "finished"
        else:
            job.told, job.state = True, JobState.CANCELLED
            job.ends += 1
        assert self.bench.cancel(job_id) == [wanted]
        if again:
            assert self.bench.cancel(job_id) == ["requested" if wanted == "requested" else "finished"]

    # -- time -----------------------------------------------------------------------------------------------------

    @rule(share=st.floats(0, 1), by_sweep=st.booleans())
    def time_passes_for_scheduled_jobs(self, share: float, by_sweep: bool) -> None:
        waiting = [job_id for job_id, job in self.jobs.items() if job.state is JobState.SCHEDULED]
        due = waiting[: round(share * len(waiting))]
        for job_id in due:
            self.bench.make_due(job_id, at_ms=self.bench.now_ms() - 1)
            self.jobs[job_id].state = JobState.QUEUED
        if by_sweep:
            assert self.bench.sweep().promoted == len(due)
        else:
            self.bench.exchange()

    @rule(share=st.floats(0, 1), again=st.booleans())
    def leases_end(self, share: float, again: bool) -> None:
        held = [job_id for job_id, job in self.jobs.items() if job.state is JobState.PROCESSING]
        lost = held[: round(share * len(held))]
        for job_id in lost:
            self.bench.expire(job_id)
            job = self.jobs[job_id]
            job.lost += 1
            job.token = ""
            job.outcomes.append(Outcome.LOST)
            job.state = JobState.QUEUED
            if job.told or job.lost > MAX_LOST_ATTEMPTS:
                job.state = JobState.CANCELLED if job.told else JobState.FAILED
                job.ends += 1
        assert self.bench.sweep().reaped == len(lost)
        assert not again or self.bench.sweep().reaped == 0

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def store_agrees_with_the_model(self) -> None:
        found = self.bench.run(calls.read(list(self.jobs), full=True))
        for (job_id, expected), job in zip(self.jobs.items(), found, strict=True):
            assert job is not None, job_id
            assert (job.state, job.attempt, job.lost_attempts) == (
                expected.state,
                expected.attempt,
                expected.lost,
            )
            assert job.version >= expected.version
            assert (job.cancel is not None) == expected.told
            assert [attempt.outcome for attempt in job.attempts] == expected.outcomes
            assert expected.ends == (1 if job.state.terminal else 0)
            expected.version = job.version

    @invariant()
    def everything_is_in_one_place_and_counted(self) -> None:
        self.bench.check()

    @invariant()
    def counts_equal_a_recount(self) -> None:
        (row,) = self.bench.run(calls.counts(["q"]))[1]
        states = [job.state for job in self.jobs.values()]
        for name in ("queued", "processing", "scheduled", "completed", "failed", "cancelled"):
            assert getattr(row, name) == states.count(JobState(name))
        ends = {name: row.ever.get(name, 0) for name in ("completed", "failed", "cancelled")}
        assert ends == {name: states.count(JobState(name)) for name in ends}
        assert row.ever.get("lost", 0) == sum(job.lost for job in self.jobs.values())


@pytest.fixture
def benches(redis_url: tuple[str, str]) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.timeout(120)
def test_random_histories_agree_with_the_model(redis_url: tuple[str, str], benches: ExitStack) -> None:
    url, namespace = redis_url
    client = redis.Redis.from_url(url, decode_responses=True)
    benches.callback(client.close)

    class Fresh(History):
        def __init__(self) -> None:
            super().__init__()
            self.bench = Bench(Store(url, f"{namespace}.{next(_namespaces)}"), client)

        def teardown(self) -> None:
            self.bench.store.close()

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Fresh,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
