# Generated from _async/completion.py by tools/gen_sync.py; change that one.
"""Jobs in the order in which they end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .native import Signal, Supplier
from .watched import CHECK_S

if TYPE_CHECKING:
    from .client import ClientCore
    from .handles import Job

_FILL_AT_ONCE = 200


class CompletionsCore:
    """Iterates over jobs as they end; the timeout counts from the first step."""

    def __init__(
        self,
        client: ClientCore,
        jobs: Supplier[Sequence[Job]],
        timeout: float | None = None,
    ) -> None:
        self._client = client
        self._jobs = jobs
        self._timeout = timeout
        self._deadline: float | None = None
        self._left = -1
        self._arrived: deque[Job] = deque()
        self._signal = Signal()

    def __iter__(self) -> CompletionsCore:
        return self

    def __next__(self) -> Job:
        self._start()
        if self._left == 0:
            raise StopIteration
        while not self._arrived:
            self._signal.clear()
            if not self._arrived and not self._signal.wait(self._wait_s()):
                self._client.hub.check()
        return self._take()

    def _start(self) -> None:
        """Ask each job to say when it has ended; the first step does it."""
        if self._left >= 0:
            return
        jobs = self._jobs()
        self._left = len(jobs)
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout
        for job in jobs:
            job.add_done_callback(self._arrive)

    def _arrive(self, job: Job) -> None:
        self._arrived.append(job)
        self._signal.set()

    def _wait_s(self) -> float:
        if self._deadline is None:
            return CHECK_S
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{self._left} jobs have not ended after {self._timeout:g} s; they go on")
        return min(left, CHECK_S)

    def _take(self) -> Job:
        """Take the first that arrived; get the results of all that did in one call."""
        if not self._arrived[0].last_status.full:
            self._client._fill(list(self._arrived)[:_FILL_AT_ONCE])
        self._left -= 1
        return self._arrived.popleft()
