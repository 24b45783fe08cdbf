"""Jobs in the order in which they end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .native import Signal, Supplier
from .watched import CHECK_S

if TYPE_CHECKING:
    from .client import AsyncClientCore
    from .handles import AsyncJob

_FILL_AT_ONCE = 200


class AsyncCompletionsCore:
    """Iterates over jobs as they end; the timeout counts from the first step."""

    def __init__(
        self,
        client: AsyncClientCore,
        jobs: Supplier[Sequence[AsyncJob]],
        timeout: float | None = None,
    ) -> None:
        self._client = client
        self._jobs = jobs
        self._timeout = timeout
        self._deadline: float | None = None
        self._left = -1
        self._arrived: deque[AsyncJob] = deque()
        self._signal = Signal()

    def __aiter__(self) -> AsyncCompletionsCore:
        return self

    async def __anext__(self) -> AsyncJob:
        await self._start()
        if self._left == 0:
            raise StopAsyncIteration
        while not self._arrived:
            self._signal.clear()
            if not self._arrived and not await self._signal.wait(self._wait_s()):
                self._client.hub.check()
        return await self._take()

    async def _start(self) -> None:
        """Ask each job to say when it has ended; the first step does it."""
        if self._left >= 0:
            return
        jobs = await self._jobs()
        self._left = len(jobs)
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout
        for job in jobs:
            job.add_done_callback(self._arrive)

    def _arrive(self, job: AsyncJob) -> None:
        self._arrived.append(job)
        self._signal.set()

    def _wait_s(self) -> float:
        if self._deadline is None:
            return CHECK_S
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{self._left} jobs have not ended after {self._timeout:g} s; they go on")
        return min(left, CHECK_S)

    async def _take(self) -> AsyncJob:
        """Take the first that arrived; get the results of all that did in one call."""
        if not self._arrived[0].last_status.full:
            await self._client._fill(list(self._arrived)[:_FILL_AT_ONCE])
        self._left -= 1
        return self._arrived.popleft()
