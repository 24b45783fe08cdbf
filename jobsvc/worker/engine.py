"""The slots of one worker process: threads that take jobs, run them and report what came of them.

Nothing is handed from one thread to another. A thread that has finished a job reports it and takes the next one in the
same round trip, together with what other threads finished meanwhile. When there is nothing to do, one thread at a time
waits for Redis to wake it; the others queue behind it, and whoever gets a job lets the next one through.

Only what can run now is claimed. The exception are jobs so short that several run within ``LOOK_AHEAD_MS``: then a few
more are taken along, and given back if they should not have started after all (``give_back``).
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex

import structlog

from jobsvc.model.errors import JobsvcError, StoreUnavailable
from jobsvc.model.lifecycle import Outcome
from jobsvc.store import calls
from jobsvc.store.calls import Call, Claim, Exchanged, Report
from jobsvc.store.store import Store
from jobsvc.worker.children import ForkServer
from jobsvc.worker.execution import Handlers
from jobsvc.worker.outbox import Outbox
from jobsvc.worker.slot import Running, Slot
from jobsvc.worker.wake import Waker, Woken

LOOK_AHEAD_MS = 4.0
MAX_LOOK_AHEAD = 16
ROUNDING_S = 0.002
"""Redis counts in milliseconds: an instant that is sooner by less than this is the same."""

GIVE_BACK_PATIENCE_S = 3.0
"""How long a worker that stops tries to give its jobs back while Redis does not answer."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Lane:
    """Requests for jobs that follow one another.

    Attributes:
        name: One of ``CLAIM_LANES``.
        request: Name of the request whose answer has not come yet; empty when there is none. Asked again under the same
            name it gets the same jobs, whether or not it was carried out.
    """

    name: str
    request: str = ""


class Engine:
    """Runs jobs on a number of slots.

    Args:
        store: The store.
        worker_id: Id of this worker process.
        handlers: What can be run.
        fork_server: Makes child processes; ``None`` when no handler wants one.
        queues: Queues to serve.
        slots: Number of jobs to run at the same time.
        lease_ms: How long a lease lasts without being renewed, milliseconds.
        result_limit_bytes: Largest result, bytes of JSON.
    """

    def __init__(
        self,
        store: Store,
        *,
        worker_id: str,
        handlers: Handlers,
        fork_server: ForkServer | None,
        queues: Sequence[str],
        slots: int,
        lease_ms: int,
        result_limit_bytes: int,
    ) -> None:
        self.store = store
        self.worker_id = worker_id
        self.handlers = handlers
        self.queues = list(queues)
        self.slots = slots
        self.lease_ms = lease_ms
        self.running: dict[tuple[str, str], Running] = {}
        self.outbox = Outbox(store)
        self._fork_server = fork_server
        self._result_limit_bytes = result_limit_bytes
        self._stopping = threading.Event()
        self._local: deque[Claim] = deque()
        self._reports: deque[Report] = deque()
        self._exchanging = threading.Lock()
        self._exchange_queue = 0
        self._counting = threading.Lock()
        self._connection = store.connection()
        self._busy_lane, self._idle_lane = (Lane(name) for name in calls.CLAIM_LANES)
        self._requests = 0
        self._incarnation = token_hex(4)
        self._idling = threading.Lock()
        self._waker = Waker(store, self.queues)
        self._due_at: float | None = None
        self._full: frozenset[str] = frozenset()
        self._mean_ms = LOOK_AHEAD_MS
        self._away = False
        self._threads: list[threading.Thread] = []

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the slots."""
        for number in range(self.slots):
            thread = threading.Thread(target=self._work, name=f"jobsvc-slot-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, grace_s: float) -> None:
        """Take nothing more, let running jobs finish for ``grace_s`` seconds, and give the others back."""
        self._stopping.set()
        self._waker.interrupt()
        deadline = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for running in list(self.running.values()):
            running.given_up = True
            if running.runner is not None:
                running.runner.give_up(1.0)  # before others may run the job
        self._let_go()
        self._connection.close()
        self._waker.close()

    def _let_go(self) -> None:
        """Report what has ended and give back the rest, also what a lost answer had claimed for us."""
        deadline = time.monotonic() + GIVE_BACK_PATIENCE_S
        lanes = (self._busy_lane, self._idle_lane)
        while time.monotonic() < deadline:
            with self._exchanging:
                reported = {(report.job_id, report.token) for report in self._reports}
                for key in self.running.keys() - reported:
                    self._reports.append(Report(*key, Outcome.RELEASED))
                unanswered = next((lane for lane in lanes if lane.request), None)
                if unanswered is None and not self._reports:
                    return
                self._exchange(0, unanswered)
            if self._away:
                time.sleep(0.1)  # nobody can be kept waiting by it any more

    @property
    def busy(self) -> int:
        """Number of attempts this worker is responsible for now."""
        return len(self.running)

    # -- a slot -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        slot = Slot(self.handlers, self._fork_server, self.running, self.outbox, self._result_limit_bytes)
        slot.warm_up()
        while (claim := self._next()) is not None:
            report = slot.run(claim)
            self._mean_ms += 0.1 * (slot.spent_ms - self._mean_ms)
            if report is not None:
                self._reports.append(report)
        slot.close()
        self.store.close()

    # -- getting work -------------------------------------------------------------------------------------------

    def _next(self) -> Claim | None:
        """The next job to run; ``None`` when the worker stops."""
        while True:
            try:
                return self._find()
            except Exception:
                # a slot that ends here would leave its worker with one less, and nobody would notice
                log.exception("a slot met something unexpected while it looked for work, and goes on")
                self._stopping.wait(1.0)

    def _find(self) -> Claim | None:
        self._exchange_early()
        claim = self._take()
        if claim is not None:
            return claim
        with self._counting:
            self._exchange_queue += 1
        with self._exchanging:
            with self._counting:
                self._exchange_queue -= 1
            stopping = self._stopping.is_set()
            if not self._local or stopping:
                # those who wait for this lock have finished a job too, and want another
                wanted = 0 if stopping else 1 + self._exchange_queue + self._look_ahead()
                if wanted or self._reports:
                    self._exchange(wanted)
            claim = self._take()
        return self._idle() if claim is None else claim

    def _take(self) -> Claim | None:
        """A job that was taken along and waits here. Needs no lock: taking the first of a deque is one step."""
        if self._stopping.is_set():
            return None
        try:
            return self._local.popleft()
        except IndexError:
            return None

    def _exchange_early(self) -> None:
        """With short jobs, report and claim while the other slots still have something to run."""
        if not 0 < len(self._local) < self.slots:
            return
        want = self._look_ahead()
        if want and self._exchanging.acquire(blocking=False):
            try:
                if not self._stopping.is_set():
                    self._exchange(want)
            finally:
                self._exchanging.release()

    def _idle(self) -> Claim | None:
        while not self._stopping.is_set():
            with self._idling:
                with self._exchanging:  # an exchange that is on its way may bring more than its thread needs
                    claim = self._take()
                    if claim is not None:
                        return claim
                    free = self.slots - len(self.running)
                    look = self._call(self._idle_lane, free) if free > 0 else None
                    due_at, full = self._due_at, self._full
                claim = self._fetch(self._waker.wait(due_at, look, but=full))
                if claim is not None:
                    return claim
        return None

    def _fetch(self, woken: Woken) -> Claim | None:
        with self._exchanging:
            if woken.answer is not None:
                self._accept(self._idle_lane, woken.answer, looked=True)
                return self._take()
            # those that have ended are reported by the same script, and free their slots for it
            held = len(self.running) - len(self._reports)
            wanted = 0 if self._stopping.is_set() else self.slots - held
            if wanted > 0:
                self._exchange(wanted, self._idle_lane)
            elif woken.marker:
                self._put_marker_back()
            return self._take()

    def _put_marker_back(self) -> None:
        try:
            self._waker.put_back()
        except JobsvcError as error:
            self._pause(error)

    def _look_ahead(self) -> int:
        if self._mean_ms >= LOOK_AHEAD_MS / 2 or self._idling.locked():
            return 0  # whoever idles is woken for what is left
        return min(MAX_LOOK_AHEAD, int(LOOK_AHEAD_MS / max(self._mean_ms, 0.05)))

    def _exchange(self, want: int, lane: Lane | None = None) -> None:
        """Write what has been reported and claim up to ``want`` jobs. The caller holds ``_exchanging``."""
        lane = lane or self._busy_lane
        reports = list(self._reports)
        if not self.outbox.empty:
            try:
                for report in reports:
                    self.outbox.write((report.job_id, report.token))  # after the end nothing is accepted
            except StoreUnavailable as error:
                self._pause(error)
                return
        try:
            answer = self.store.run_on(self._connection, self._call(lane, want, reports))
        except JobsvcError as error:
            # the reports are kept and the request keeps its name: whatever was carried out is not done twice
            self._pause(error)
            return
        self._accept(lane, answer, reports, looked=want > 0)

    def _call(self, lane: Lane, want: int, reports: Sequence[Report] = ()) -> Call[Exchanged]:
        if not lane.request:
            self._requests += 1
            lane.request = f"{self._incarnation}-{self._requests}"
        return calls.exchange(
            self.worker_id,
            lane.request,
            lane=lane.name,
            lease_ms=self.lease_ms,
            reports=reports,
            want=want,
            queues=self.queues,
        )

    def _accept(self, lane: Lane, answer: Exchanged, reports: Sequence[Report] = (), *, looked: bool) -> None:
        if self._away:
            self._away = False
            log.info("Redis answers again; going on")
        lane.request = ""
        if len(self.queues) > 1:
            self.queues.append(self.queues.pop(0))  # no queue is always looked at first
        for report, reply in zip(reports, answer.replies, strict=True):
            self._reports.popleft()
            self._forget(report, reply)
        now = time.monotonic()
        if looked:
            self._look_again(
                None if answer.due_in_ms is None else now + answer.due_in_ms / 1_000, answer.full
            )
        for claim in answer.claims:
            self.running[claim.job_id, claim.token] = Running(claim, now)
            self._local.append(claim)

    def _look_again(self, due_at: float | None, full: frozenset[str]) -> None:
        """Note what to wait for; whoever waits already, for less, is told."""
        sooner = due_at is not None and (self._due_at is None or due_at < self._due_at - ROUNDING_S)
        opened = not self._full <= full
        self._due_at, self._full = due_at, full
        if (sooner or opened) and self._idling.locked():
            self._waker.nudge()

    def _forget(self, report: Report, reply: str) -> None:
        key = (report.job_id, report.token)
        self.running.pop(key, None)
        self.outbox.forget(key)
        if reply == "lost":
            log.warning(
                "the lease of a job was lost, so what this attempt did was refused; it runs again or ran elsewhere",
                job_id=report.job_id,
                outcome=report.outcome.value,
            )

    def _pause(self, error: JobsvcError) -> None:
        if not self._away:
            self._away = True
            log.warning("Redis does not answer; trying again until it does", error=str(error))
        self._stopping.wait(random.uniform(0.1, 0.4))

    # -- what the keeper asks for -------------------------------------------------------------------------------

    def give_back(self, older_than_s: float) -> None:
        """Leave nothing lying while the slots are busy: it would wait for the end of the jobs that run.

        Jobs that were claimed and have not begun since ``older_than_s`` seconds go back; what has ended is reported.
        """
        if not self._local and not self._reports:
            return
        limit = time.monotonic() - older_than_s
        if not self._exchanging.acquire(blocking=False):
            return  # an exchange is on its way; who keeps the leases must not wait for it
        try:
            while (claim := self._take()) is not None:
                if not self._claimed_before(claim, limit):
                    self._local.appendleft(claim)  # it is the oldest: the others are younger still
                    break
                self._reports.append(Report(claim.job_id, claim.token, Outcome.RELEASED))
            if self._reports:
                self._exchange(0)
        finally:
            self._exchanging.release()

    def _claimed_before(self, claim: Claim, limit: float) -> bool:
        running = self.running.get((claim.job_id, claim.token))
        return running is None or running.claimed_at < limit
