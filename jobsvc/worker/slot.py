"""One slot of a worker: runs one attempt after the other and says what became of each."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from jobsvc.model.errors import StoreUnavailable
from jobsvc.model.job import ErrorCategory, JobError
from jobsvc.model.lifecycle import Outcome
from jobsvc.model.retry import RetryPolicy
from jobsvc.store.calls import Claim, Report
from jobsvc.worker.children import ForkServer
from jobsvc.worker.decision import decide
from jobsvc.worker.execution import Handlers, Task
from jobsvc.worker.handler import Handler
from jobsvc.worker.isolation import ProcessRunner, Runner, ThreadRunner
from jobsvc.worker.outbox import Outbox
from jobsvc.worker.raised import Ended

UNKNOWN_TYPE_DELAY_MS = 2_000
"""A job whose type is not known here goes back for this long: another worker on the queue may know it."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Running:
    """An attempt that this worker is responsible for, from its claim until its report is written.

    Attributes:
        timeout_ms: Limit for the attempt, milliseconds; 0 for none.
        memory_limit_bytes: Limit for its memory; 0 for none.
        task: What is run; set before ``runner``.
        runner: Where it runs; ``None`` until it is about to begin.
        asked: Why it has to stop: empty, ``cancel`` or ``timeout``.
        asked_at: Since when, monotonic seconds.
        killed: It was stopped by force, as far as that is possible.
        ended: Its code runs no longer.
        given_up: The worker stops and has given the job back: nobody wants to know its end.
    """

    claim: Claim
    claimed_at: float
    timeout_ms: int = 0
    memory_limit_bytes: int = 0
    runner: Runner | None = None
    task: Task | None = None
    asked: str = ""
    asked_at: float = 0.0
    killed: bool = False
    ended: bool = False
    given_up: bool = False


class Slot:
    """Runs attempts, one at a time.

    Args:
        handlers: What can be run.
        fork_server: Makes child processes; ``None`` when no handler wants one.
        running: The worker's attempts by job id and token.
        outbox: Takes what handlers say.
        result_limit_bytes: Largest result, bytes of JSON.
    """

    def __init__(
        self,
        handlers: Handlers,
        fork_server: ForkServer | None,
        running: Mapping[tuple[str, str], Running],
        outbox: Outbox,
        result_limit_bytes: int,
    ) -> None:
        self._handlers = handlers
        self._running = running
        self._outbox = outbox
        self._result_limit_bytes = result_limit_bytes
        self._in_thread = ThreadRunner(handlers)
        self._in_process = None if fork_server is None else ProcessRunner(fork_server)
        self.spent_ms = 0.0
        """How long the last attempt ran."""

    def warm_up(self) -> None:
        """Start what attempts will need."""
        if self._in_process is not None:
            with contextlib.suppress(OSError, EOFError):
                self._in_process.warm_up()  # or the first attempt learns why not

    def close(self) -> None:
        """End what was started."""
        if self._in_process is not None:
            self._in_process.close()

    def run(self, claim: Claim) -> Report | None:
        """Run an attempt to its end, whatever that is; raises nothing. ``None`` when nobody wants to know its end."""
        try:
            return self._run(claim)
        except Exception as error:
            log.exception("an attempt could not be run as it should", job_id=claim.job_id)
            problem = JobError(
                ErrorCategory.INTERNAL, message=f"the worker met an error of its own: {error}", retryable=True
            )
            return decide(claim, Ended(error=problem), RetryPolicy(), random.random)

    def _run(self, claim: Claim) -> Report | None:
        handler = self._handlers.find(claim.type)
        if handler is None:
            log.warning(
                "a queue has a job that this worker has no handler for; giving it back", job_type=claim.type
            )
            return Report(claim.job_id, claim.token, Outcome.RELEASED, UNKNOWN_TYPE_DELAY_MS)
        key = (claim.job_id, claim.token)
        running = self._running.get(key)
        if running is None:
            return None
        task, runner = self._task(claim, handler), self._runner(handler)
        runner.expect(task)
        running.timeout_ms = claim.timeout_ms or handler.job_type.timeout_ms
        running.memory_limit_bytes = handler.job_type.memory_limit_bytes
        running.task = task
        running.runner = runner  # from here on the keeper may stop it
        if running.asked:
            runner.ask_to_stop(task, "cancel")  # whoever asked may have found no runner to tell
        begun_at = time.monotonic()
        ended = runner.run(task, self._outbox)
        running.ended = True
        self.spent_ms = (time.monotonic() - begun_at) * 1_000
        if running.given_up:
            return None
        if not self._outbox.empty:
            with contextlib.suppress(StoreUnavailable):
                self._outbox.write(key)  # else it is written before the report
        return decide(claim, ended, handler.job_type.retry, random.random)

    def _runner(self, handler: Handler) -> Runner:
        if handler.job_type.isolation == "process" and self._in_process is not None:
            return self._in_process
        return self._in_thread

    def _task(self, claim: Claim, handler: Handler) -> Task:
        return Task(
            job_id=claim.job_id,
            token=claim.token,
            type=claim.type,
            queue=claim.queue,
            attempt=claim.attempt,
            max_attempts=claim.max_attempts or handler.job_type.retry.max_attempts,
            batch_id=claim.batch_id,
            arguments=claim.arguments,
            result_limit_bytes=self._result_limit_bytes,
        )
