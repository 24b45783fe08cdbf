"""What happens beside the running jobs of a worker: their leases are kept, and those that have to stop are stopped.

One thread talks to Redis: every piece of its work is small and may fail without harm, the next round does it again.
Another one watches time limits; it waits for nobody, so that they hold also while Redis is silent. Neither runs code of
handlers.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import structlog

from jobsvc.model.catalog import JobType, WorkerInfo
from jobsvc.model.errors import JobsvcError, StoreUnavailable
from jobsvc.store import calls
from jobsvc.store.store import Store
from jobsvc.worker.engine import Engine
from jobsvc.worker.memory import family_bytes, text_of
from jobsvc.worker.slot import Running

TOLD_JOBS = 100
"""So many running jobs are named in a heartbeat."""

TICK_S = 0.05
REPORT_EVERY_S = 0.1
SWEEP_EVERY_S = 1.0
PUBLISH_EVERY_S = 30.0
GIVE_BACK_AFTER_S = 0.03

log = structlog.get_logger(__name__)


class Keeper:
    """Keeps one worker process in order.

    Args:
        store: The store.
        engine: The slots.
        worker: What the worker says of itself.
        types: Job types to publish.
        lease_ms: How long a lease lasts, milliseconds; renewed three times as often.
        grace_s: How long a job that was told to stop may take before it is stopped by force, seconds.
        on_drain: Called, perhaps more than once, when somebody wants the worker to take nothing more and to end.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        worker: WorkerInfo,
        types: Sequence[JobType],
        *,
        lease_ms: int,
        grace_s: float,
        on_drain: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._worker = worker
        self._types = types
        self._lease_ms = lease_ms
        self._grace_s = grace_s
        self._on_drain = on_drain
        self.draining = False
        self.round_at = time.monotonic()
        """When the last round began, monotonic seconds."""
        self.renewed_at = 0.0
        """When Redis last took a heartbeat, monotonic seconds."""
        self._control = store.connection()
        self._listening = False
        self._listen_at = 0.0
        self._stopping = threading.Event()
        self._due: dict[str, float] = {}
        self._asking = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name="jobsvc-keeper", daemon=True),
            threading.Thread(target=self._watch, name="jobsvc-limits", daemon=True),
        ]

    def introduce(self) -> None:
        """Publish the job types and say that the worker lives.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        publish = [calls.publish_types(self._store.keys, self._types)] if self._types else []
        self._store.run_many([*publish, calls.renew(self._said(), lease_ms=self._lease_ms, held=())])
        self.renewed_at = time.monotonic()
        self._store.run(calls.announce_catalog(self._store.keys))

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop, and say goodbye for the worker."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)
        try:
            self._report()
            self._store.run_many(calls.forget_worker(self._store.keys, self._worker.id))
            self._store.run(calls.announce_catalog(self._store.keys))
        except JobsvcError as error:
            log.warning("could not say goodbye; this worker will be seen as gone soon", error=str(error))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.round_at = time.monotonic()
                self._hear()
                if self._every("sweep", SWEEP_EVERY_S):
                    self._store.run(calls.sweep())
                if self._every("renew", self._lease_ms / 3_000):
                    self._renew()
                if self._every("report", REPORT_EVERY_S):
                    self._report()
                self._engine.outbox.write_stops()
                if self._every("publish", PUBLISH_EVERY_S):
                    self.introduce()
                self._engine.give_back(GIVE_BACK_AFTER_S)
            except StoreUnavailable:
                # the slots say so
                self._due.pop("renew", None)  # as soon as it is back: the leases may be about to end
                self._stopping.wait(TICK_S)
            except Exception:
                log.exception("the keeper met something unexpected and goes on")
                self._stopping.wait(TICK_S)
        self._control.close()
        self._store.close()

    def _watch(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                self._limits()
            except Exception:
                log.exception(
                    "the keeper met something unexpected while it looked at time limits, and goes on"
                )

    def _every(self, what: str, period_s: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + period_s
        return True

    # -- cancellation -------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Wait a tick for news on the control channel; without a connection just wait."""
        if not self._listening:
            if time.monotonic() < self._listen_at:
                self._stopping.wait(TICK_S)
                return
            try:
                self._control.send([("SUBSCRIBE", self._store.keys.control)])
                self._listening = True
            except StoreUnavailable:
                self._listen_at = time.monotonic() + random.uniform(0.2, 0.6)
                raise
        if not self._control.readable(TICK_S):
            return
        try:
            message = self._control.receive()
        except StoreUnavailable:
            self._listening = False
            raise
        if isinstance(message, list) and message[0] == "message":
            word, _, rest = str(message[2]).partition(" ")
            if word == "cancel":
                job_id, _, token = rest.rpartition(" ")
                self._cancel((job_id, token))
            elif word == "drain" and rest == self._worker.id:
                self._drain()

    def _cancel(self, key: tuple[str, str]) -> None:
        running = self._engine.running.get(key)
        if running is not None and running.asked != "cancel" and not running.killed:
            self._ask(running, "cancel")

    def _ask(self, running: Running, why: Literal["cancel", "timeout"]) -> None:
        with self._asking:
            if running.asked in ("cancel", why):
                return
            running.asked, running.asked_at = why, time.monotonic()
        if running.runner is not None and running.task is not None:
            running.runner.ask_to_stop(running.task, why)
        if why == "cancel":
            self._engine.outbox.on_stop((running.claim.job_id, running.claim.token), "deliver")

    def _limits(self) -> None:
        """Tell jobs that their time is up, and stop by force those that were told and did not stop."""
        now = time.monotonic()
        for running in list(self._engine.running.values()):
            runner, task = running.runner, running.task
            if runner is None or task is None or running.killed or running.ended:
                continue
            limit = running.memory_limit_bytes
            if limit and runner.started_at and (used := runner.memory_bytes()) > limit:
                running.killed = True
                detail = f"it used {text_of(used)} of memory, its limit is {text_of(limit)}"
                runner.kill(task, "memory", detail)
            elif running.asked:
                if now > running.asked_at + self._grace_s:
                    self._kill(running)
                else:
                    runner.ask_to_stop(task, "cancel" if running.asked == "cancel" else "timeout")
            elif running.timeout_ms and 0 < runner.started_at < now - running.timeout_ms / 1_000:
                self._ask(running, "timeout")

    def _kill(self, running: Running) -> None:
        runner, task = running.runner, running.task
        assert runner is not None
        assert task is not None
        running.killed = True
        if runner.can_kill and running.asked == "cancel":
            # noted first: the end of the attempt may be written as soon as it is killed
            self._engine.outbox.on_stop((running.claim.job_id, running.claim.token), "kill")
        runner.kill(task, "cancel" if running.asked == "cancel" else "timeout")

    # -- leases and reports -------------------------------------------------------------------------------------

    def _renew(self) -> None:
        keys = list(self._engine.running)
        answer = self._store.run(calls.renew(self._said(), lease_ms=self._lease_ms, held=keys))
        self.renewed_at = time.monotonic()
        if answer.drain:
            self._drain()
        for key, reply in zip(keys, answer.jobs, strict=True):
            self._answered(key, reply)

    def _said(self) -> WorkerInfo:
        """What the worker says of itself now."""
        ids = [job_id for job_id, _ in list(self._engine.running)]
        return replace(
            self._worker,
            memory_bytes=family_bytes(self._worker.pid),
            running=tuple(ids[:TOLD_JOBS]),
            busy=len(ids),
            draining=self.draining,
        )

    def _drain(self) -> None:
        if not self.draining:
            self.draining = True
            log.info("this worker is drained: it takes nothing more, and ends when what runs has ended")
        self._on_drain()

    def _answered(self, key: tuple[str, str], answer: str) -> None:
        if answer == "cancel":
            self._cancel(key)
        elif answer == "lost":
            self._lost(key)

    def _lost(self, key: tuple[str, str]) -> None:
        """Stop an attempt whose lease is lost. If its end was written a moment ago there is nothing to stop."""
        running = self._engine.running.get(key)
        if running is None or running.killed or running.ended:
            return
        running.asked = running.asked or "cancel"  # if it has not begun it does not
        running.asked_at = running.asked_at or time.monotonic()
        if running.runner is None or running.task is None:
            return
        running.killed = True
        running.runner.ask_to_stop(running.task, "cancel")
        if running.runner.kill(running.task, "cancel"):
            log.warning("the lease of a running job was lost; it was stopped here", job_id=key[0])

    def _report(self) -> None:
        """Write what the handlers have said."""
        for key, answer in self._engine.outbox.write_all():
            self._answered(key, answer)
