"""A machine that makes random histories: each move is made in the store and in the reference model, and compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from jobsvc.model.errors import QueueFull
from jobsvc.model.job import NewBatch, Priority
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.model.queue import QueueSettings
from jobsvc.store import calls
from jobsvc.store.calls import Claim, Report
from tests.store.bench import Bench
from tests.store.reference import Reference

QUEUES = ("q", "p")
CONCURRENCY = ("max_concurrency", "max_concurrency_per_worker")
WORKERS = ("w1", "w2")
LATER_MS = 600_000
REPORTED = tuple(outcome for outcome in Outcome if outcome is not Outcome.LOST)
REMOVABLE = tuple(state for state in JobState if state not in (JobState.PROCESSING, JobState.BLOCKED))
_queues = st.sampled_from(QUEUES)


class History(RuleBasedStateMachine):
    """Jobs of two queues, two workers, and time that passes when the history says so.

    Attributes:
        make_bench: Makes a store that nobody else uses; set before a run.
        steps: Moves of all histories so far.
    """

    make_bench: ClassVar[Callable[[], Bench]]
    steps: ClassVar[int] = 0
    claims = Bundle("claims")
    stale = Bundle("stale")

    @initialize(limits=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=4, max_size=4))
    def begin(self, limits: list[int]) -> None:
        self.bench = type(self).make_bench()
        self.reference = Reference()
        self.versions: dict[str, int] = {}
        self.numbers = itertools.count(1)
        for (queue, name), limit in zip(itertools.product(QUEUES, CONCURRENCY), limits, strict=True):
            self._limit(queue, name, limit)
        type(self).steps -= 1  # what is looked at before the first move

    def teardown(self) -> None:
        self.bench.store.close()

    # -- submitting -----------------------------------------------------------------------------------------------

    @rule(
        queue=_queues,
        priorities=st.lists(st.sampled_from(Priority), min_size=1, max_size=6),
        delayed=st.booleans(),
        expires=st.booleans(),
        again=st.booleans(),
    )
    def submit(
        self, queue: str, priorities: list[Priority], delayed: bool, expires: bool, again: bool
    ) -> None:
        for priority in priorities:
            self._submit(queue, priority, delayed=delayed, expires=expires, again=again)

    def _submit(self, queue: str, priority: Priority, *, delayed: bool, expires: bool, again: bool) -> None:
        job_id = f"j{next(self.numbers)}"
        job = self.bench.new(
            job_id,
            queue=queue,
            priority=priority,
            delay_ms=LATER_MS if delayed else 0,
            expire_ms=self.bench.now_ms() + 2 * LATER_MS if expires else 0,
        )
        if not self.reference.has_place(queue):
            with pytest.raises(QueueFull):
                self.bench.run(calls.submit(job))
            return
        assert self.bench.run(calls.submit(job)).created
        if again:
            assert not self.bench.run(calls.submit(job)).created
        self.reference.submit(job_id, delayed=delayed, queue=queue, priority=priority, expires=expires)

    @rule(
        queue=_queues,
        delays=st.lists(st.booleans(), min_size=1, max_size=4),
        abort=st.booleans(),
        again=st.booleans(),
    )
    def submit_batch(self, queue: str, delays: list[bool], abort: bool, again: bool) -> None:
        batch = f"b{next(self.numbers)}"
        jobs = [
            self.bench.new(f"{batch}.{index}", queue=queue, delay_ms=LATER_MS if delayed else 0)
            for index, delayed in enumerate(delays)
        ]
        stages = calls.stage(NewBatch(id=batch), len(jobs), list(enumerate(jobs)))
        for stage in stages * (2 if again else 1):
            assert not self.bench.run(stage).committed
        full = not self.reference.has_place(queue, len(delays))
        if full:
            with pytest.raises(QueueFull):
                self.bench.run(calls.commit(batch))
        if abort or full:
            assert self.bench.run(calls.abort(batch))
            return
        assert self.bench.run(calls.commit(batch)).created
        assert not (again and self.bench.run(calls.commit(batch)).created)
        for index, delayed in enumerate(delays):
            self.reference.submit(f"{batch}.{index}", delayed=delayed, queue=queue, batch=batch)

    # -- running --------------------------------------------------------------------------------------------------

    @rule(
        target=claims,
        worker=st.sampled_from(WORKERS),
        lane=st.sampled_from(calls.CLAIM_LANES),
        want=st.integers(1, 6),
        queues=st.permutations(QUEUES),
        again=st.booleans(),
    )
    def claim(self, worker: str, lane: str, want: int, queues: Sequence[str], again: bool) -> Any:
        return multiple(*self._claim(worker, lane, want, queues, again=again))

    def _claim(self, worker: str, lane: str, want: int, queues: Sequence[str], *, again: bool) -> list[Claim]:
        request = f"r{next(self.numbers)}"
        expected = self.reference.expected_starts(worker, want, queues)
        for queue in queues:  # as a worker does that was woken
            self.bench.woken(queue)
        got = self.bench.claim(want, worker=worker, request=request, lane=lane, queues=queues)
        if again:
            assert self.bench.claim(want, worker=worker, request=request, lane=lane, queues=queues) == got
        for queue in queues:
            chosen = [claim.job_id for claim in got if claim.queue == queue]
            assert len(chosen) == expected[queue]
            self.reference.check_order(queue, chosen)
        for claim in got:
            job = self.reference.start(claim.job_id, claim.token, worker)
            assert (claim.attempt, claim.lost_attempts, claim.spared) == (job.attempt, job.lost, job.spared)
        return got

    def _report(self, claim: Claim, outcome: Outcome, delay_ms: int) -> str:
        body = "1" if outcome is Outcome.COMPLETED else '{"category":"application"}'
        return self.bench.exchange(Report(claim.job_id, claim.token, outcome, delay_ms, body)).replies[0]

    @rule(
        target=stale,
        claim=consumes(claims),
        outcome=st.sampled_from(REPORTED),
        delayed=st.booleans(),
        again=st.booleans(),
    )
    def report(self, claim: Claim, outcome: Outcome, delayed: bool, again: bool) -> Claim:
        delayed = delayed or outcome in (Outcome.RETRIED, Outcome.SNOOZED)
        delay_ms = LATER_MS if delayed else 0
        if claim.job_id not in self.reference.jobs:
            assert self._report(claim, outcome, delay_ms) == "lost"
            return claim
        expected = self.reference.report(claim.job_id, claim.token, outcome, delayed=delayed)
        assert self._report(claim, outcome, delay_ms) == expected
        assert not again or self._report(claim, outcome, delay_ms) == (
            "already" if expected == "ok" else expected
        )
        return claim

    @rule(
        worker=st.sampled_from(WORKERS),
        queues=st.permutations(QUEUES),
        outcomes=st.lists(st.sampled_from(REPORTED), min_size=1, max_size=4),
    )
    def run(self, worker: str, queues: Sequence[str], outcomes: list[Outcome]) -> None:
        """Claim and report in one move, so that histories have many ends."""
        for outcome in outcomes:
            for claim in self._claim(worker, "", 1, queues, again=False):
                delayed = outcome in (Outcome.RETRIED, Outcome.SNOOZED)
                expected = self.reference.report(claim.job_id, claim.token, outcome, delayed=delayed)
                assert self._report(claim, outcome, LATER_MS if delayed else 0) == expected

    @rule(claim=stale)
    def report_late(self, claim: Claim) -> None:
        if claim.job_id not in self.reference.jobs:
            assert self._report(claim, Outcome.COMPLETED, 0) == "lost"
            return
        expected = self.reference.report(claim.job_id, claim.token, Outcome.COMPLETED, delayed=False)
        assert self._report(claim, Outcome.COMPLETED, 0) == expected
        assert expected != "ok"

    @rule(data=st.data(), again=st.booleans())
    def cancel(self, data: st.DataObject, again: bool) -> None:
        job_id = data.draw(st.sampled_from(["nobody", *sorted(self.reference.jobs)]))
        for _ in range(2 if again else 1):
            assert self.bench.cancel(job_id) == [self.reference.cancel(job_id)]

    # -- operating ------------------------------------------------------------------------------------------------

    @rule(
        what=st.sampled_from(
            ["pause", "resume", "resume", "limit", "retry", "retry all", "retry all", "remove"]
        ),
        data=st.data(),
        queue=_queues,
        flag=st.booleans(),
        times=st.integers(1, 2),
    )
    def operate(self, what: str, data: st.DataObject, queue: str, flag: bool, times: int) -> None:
        """One rule for all that operators do, so that jobs mostly run."""
        for _ in range(times):
            if what in ("pause", "resume"):
                self._pause(queue, what == "pause")
            elif what == "limit":
                name = data.draw(st.sampled_from([*CONCURRENCY, "max_waiting"]))
                self._limit(queue, name, data.draw(st.sampled_from([0, 1, 2, 5])))
            elif what == "retry all":
                self._retry(self.reference.in_state(JobState.FAILED), reset=flag)
            else:
                job_id = data.draw(st.sampled_from(["nobody", *sorted(self.reference.jobs)]))
                if what == "retry":
                    self._retry([job_id], reset=flag)
                else:
                    self._remove(job_id, data.draw(st.sampled_from(REMOVABLE)))

    def _pause(self, queue: str, pause: bool) -> None:
        changed = self.bench.run(calls.pause(queue, "why") if pause else calls.resume(queue))
        assert changed.paused is pause
        self.reference.gates[queue].paused = pause

    def _limit(self, queue: str, name: str, limit: int) -> None:
        self.bench.run(calls.configure(queue, QueueSettings(**{name: limit}), [name], how="update"))
        setattr(self.reference.gates[queue], name, limit)

    def _retry(self, job_ids: list[str], *, reset: bool) -> None:
        expected = [self.reference.retry(job_id, reset=reset) for job_id in job_ids]
        assert self.bench.run(calls.retry(job_ids, reset=reset)) == expected

    def _remove(self, job_id: str, state: JobState) -> None:
        expected = self.reference.remove(job_id, state)
        assert self.bench.run(calls.remove([job_id], state)) == expected

    # -- time -----------------------------------------------------------------------------------------------------

    @rule(share=st.floats(0, 1), by_sweep=st.booleans())
    def time_passes_for_scheduled_jobs(self, share: float, by_sweep: bool) -> None:
        waiting = self.reference.in_state(JobState.SCHEDULED)
        due = waiting[: round(share * len(waiting))]
        for job_id in due:
            self.bench.make_due(job_id, self.reference.jobs[job_id].queue, at_ms=self.bench.now_ms() - 1)
        if by_sweep:
            assert self.bench.sweep().promoted == len(due)
        else:
            self.bench.exchange(queues=QUEUES)
        self.reference.become_due(due)

    @rule(share=st.floats(0, 1), again=st.booleans())
    def start_deadlines_pass(self, share: float, again: bool) -> None:
        waiting = self.reference.may_expire()
        late = waiting[: round(share * len(waiting))]
        for job_id in late:
            key = self.bench.keys.queue(self.reference.jobs[job_id].queue, "deadlines")
            assert self.bench.redis.zadd(key, {job_id: 1}, xx=True, ch=True) == 1
        for _ in range(2 if again else 1):
            self.bench.sweep()
        self.reference.expire(late)

    @rule(share=st.floats(0, 1), again=st.booleans())
    def leases_end(self, share: float, again: bool) -> None:
        held = self.reference.in_state(JobState.PROCESSING)
        lost = held[: round(share * len(held))]
        for job_id in lost:
            self.bench.expire(job_id, self.reference.jobs[job_id].queue)
        assert self.bench.sweep().reaped == len(lost)
        assert not again or self.bench.sweep().reaped == 0
        self.reference.lose(lost)

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def store_agrees_with_the_reference(self) -> None:
        type(self).steps += 1
        found = self.bench.run(calls.read(list(self.reference.jobs), full=True))
        for (job_id, expected), job in zip(self.reference.jobs.items(), found, strict=True):
            assert job is not None, job_id
            assert (job.state, job.queue, job.attempt, job.lost_attempts) == (
                expected.state,
                expected.queue,
                expected.attempt,
                expected.lost,
            )
            assert job.version >= self.versions.get(job_id, 1)
            assert (job.cancel is not None) == expected.told
            assert (job.end_ms > 0) == job.state.terminal
            assert [attempt.outcome for attempt in job.attempts] == expected.outcomes
            self.versions[job_id] = job.version

    @invariant()
    def who_waits_is_woken(self) -> None:
        for queue in self.reference.queues():
            woken = self.bench.redis.exists(self.bench.keys.queue(queue, "wake"))
            assert woken or not self.reference.must_wake(queue), queue

    @invariant()
    def everything_is_in_one_place_and_counted(self) -> None:
        self.bench.check()

    @invariant()
    def stats_equal_a_recount(self) -> None:
        rows = {row.queue: row for row in self.bench.run(calls.counts())[1]}
        for queue in self.reference.queues():
            row, states = rows[queue], self.reference.counts(queue)
            for state in (state for state in JobState if state is not JobState.BLOCKED):
                assert getattr(row, state) == states[state]
            for state in (state for state in JobState if state.terminal):
                assert row.ever.get(state, 0) == self.reference.ended_ever[queue, state]
            assert row.ever.get("lost", 0) == self.reference.lost_ever[queue]
