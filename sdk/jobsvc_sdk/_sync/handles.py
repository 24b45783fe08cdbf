"""Handles for threads and notebooks: what jobs and batches do here and not with asyncio. Written by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager
from typing import Any

from jobsvc_sdk.errors import JobCancelled
from jobsvc_sdk.tables import JobTable
from jobsvc_sdk.values import BatchStatus, JobStatus

from .batch import BatchCore
from .completion import CompletionsCore
from .job import JobCore

_TICK_S = 0.25


class Completions(CompletionsCore):
    """Jobs in the order in which they end, for ``for`` and for ``async for``."""

    def __aiter__(self) -> Completions:
        return self

    async def __anext__(self) -> Job:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._start)
        if self._left == 0:
            raise StopAsyncIteration
        while not self._arrived:
            self._wait_s()
            await _tick(self._when_arrived)
            self._client.hub.check()
        if self._arrived[0].last_status.full:
            return self._take()
        return await loop.run_in_executor(None, self._take)

    def _when_arrived(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        if self._arrived:
            wake()

    def _arrive(self, job: Job) -> None:
        super()._arrive(job)
        wake = getattr(self, "_wake", None)
        if wake is not None:
            wake()


class Job(JobCore):
    """A handle of one job.

    It is rebuilt from its id by ``client.job(id)``. Waiting can be interrupted, and the job goes on. What it tells of
    itself is as new as the server's: the first question starts watching the job, until it ends or the handle is
    dropped. ``repr`` never asks anybody.
    """

    @property
    def status(self) -> JobStatus:
        """Everything known about the job now, or within the last half second."""
        if not self._status.terminal and not self._is_fresh():
            self._watch()
            if not self._is_live():
                self.refresh()
        return self._status

    @property
    def arguments(self) -> Any:
        """The arguments it was submitted with."""
        if self._status.arguments_json is None:
            self.refresh()
        return super().arguments

    def future(self) -> Future[Any]:
        """Return a future for ``concurrent.futures.wait`` and ``as_completed``.

        Cancelling the future does not cancel the job.
        """
        future: Future[Any] = Future()

        def settle(_: Any) -> None:
            # It stays pending until now: only so does a cancelled job give a cancelled future that wait() counts.
            with contextlib.suppress(InvalidStateError):
                try:
                    error = self.exception()
                    value = self.result() if error is None else None
                except Exception as exc:
                    error, value = exc, None  # type: ignore[assignment]
                if isinstance(error, JobCancelled):
                    future.cancel()
                    future.set_running_or_notify_cancel()
                elif error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(value)

        self.add_done_callback(settle)
        return future

    def watch(self) -> Job:
        """Show live progress until the job has ended, also where nothing can be shown from another thread."""
        from jobsvc_sdk import display

        display.watch_job(self)
        return self

    def __await__(self) -> Generator[Any, Any, Any]:
        return _awaited(self, self.result).__await__()

    def _interruptible(self, on_interrupt: str | None) -> AbstractContextManager[object]:
        return _interruptible(self, on_interrupt, "job.result() waits again", "job.cancel() stops it")

    def _ipython_display_(self) -> None:
        try:
            from jobsvc_sdk import display

            display.show_job(self)
        except ImportError:
            print(repr(self))  # noqa: T201

    def _repr_html_(self) -> str:
        from jobsvc_sdk import display

        return display.repr_html(self._status)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from jobsvc_sdk import display

        return display.bundle(self._status)


class Batch(BatchCore):
    """A handle of a batch.

    It is rebuilt from its id by ``client.batch(id)``. Waiting can be interrupted, and the jobs go on.
    """

    @property
    def status(self) -> BatchStatus:
        """Everything known about the batch now, or within the last half second."""
        if not self._ended.is_set() and not self._is_fresh():
            self._watch()
            if not self._client.hub.is_live(self._key()):
                self.refresh()
        return self._status

    @property
    def jobs(self) -> JobTable:
        """Handles of its jobs, in the order of its items; rejected items have none."""
        return self.list_jobs()

    @property
    def failed(self) -> JobTable:
        """Handles of the jobs that have failed by now."""
        return self.list_jobs("failed")

    def as_completed(self, timeout: float | None = None) -> Completions:
        """Iterate over the batch's jobs as they end, with ``for`` or ``async for``.

        Args:
            timeout: For all of them together, in seconds; None waits for ever.

        Raises:
            TimeoutError: Some have not ended in time; they go on.
        """
        return Completions(self.client, self.list_jobs, timeout)

    def watch(self) -> Batch:
        """Show live progress until the batch has ended, also where nothing can be shown from another thread."""
        from jobsvc_sdk import display

        display.watch_batch(self)
        return self

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        return _awaited(self, self.results).__await__()

    def _interruptible(self, on_interrupt: str | None) -> AbstractContextManager[object]:
        return _interruptible(
            self, on_interrupt, "batch.wait() waits again", "batch.cancel() stops what remains"
        )

    def _ipython_display_(self) -> None:
        try:
            from jobsvc_sdk import display

            display.show_batch(self)
        except ImportError:
            print(repr(self))  # noqa: T201

    def _repr_html_(self) -> str:
        from jobsvc_sdk import display

        return display.repr_html(self._status)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from jobsvc_sdk import display

        return display.bundle(self._status)


@contextlib.contextmanager
def _interruptible(handle: Job | Batch, choice: str | None, again: str, stop: str) -> Iterator[None]:
    """Say what an interrupt of the waiting means, and cancel if that was asked for."""
    __tracebackhide__ = True
    choice = choice or handle.client.on_interrupt
    if choice not in ("keep", "cancel"):
        raise ValueError(f"on_interrupt is {choice!r}; expected 'keep' or 'cancel'")
    try:
        yield
    except KeyboardInterrupt:
        if choice == "keep":
            raise KeyboardInterrupt(
                f"stopped waiting for {handle.id}, it is still running. {stop}, {again}."
            ) from None
        handle.cancel("interrupted")
        raise KeyboardInterrupt(
            f"stopped waiting for {handle.id} and asked for it to be cancelled."
        ) from None


async def _awaited(handle: Job | Batch, outcome: Callable[[], Any]) -> Any:
    """Wait in an event loop, with a tick: without one the square button of a notebook is not heard."""
    __tracebackhide__ = True
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def wake(_: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, ended)

    handle.add_done_callback(wake)
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=_TICK_S)
            handle.client.hub.check()
    except asyncio.CancelledError as exc:
        exc.add_note(f"stopped waiting for {handle.id}, it goes on; cancel() stops it")
        raise
    if isinstance(handle, Job) and handle.last_status.full:
        return outcome()
    return await loop.run_in_executor(None, outcome)


async def _tick(register: Callable[[Callable[[], None]], None]) -> None:
    """Wait until woken from any thread, at most one tick."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, woken)

    register(wake)
    await asyncio.wait({woken}, timeout=_TICK_S)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
