"""The loop that does the duties, in one server at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence

import structlog

from jobsvc.config import Settings
from jobsvc.model.errors import JobsvcError, StoreUnavailable
from jobsvc.scheduler.abandoned import Abandoned
from jobsvc.scheduler.duty import Duty
from jobsvc.scheduler.retention import Retention
from jobsvc.scheduler.sweeping import Sweeping
from jobsvc.scheduler.workers import ForgetWorkers
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore

TICK_S = 1.0

LEASE_MS = 5_000
"""Another server takes over when the one that has the duties was silent for so long."""


async def run(store: AsyncStore, settings: Settings) -> None:
    """Do the duties whenever it is this server's turn, until cancelled.

    Redis may go away and come back; nothing is lost, only late.

    Args:
        store: Redis.
        settings: How long finished jobs are kept.
    """
    duties: list[Duty] = [Sweeping(), Retention(settings), Abandoned(), ForgetWorkers()]
    await Caretaker(store, duties).run()


class Caretaker:
    """Takes turns with the caretakers of other servers.

    Args:
        store: Redis.
        duties: What there is to do.
        holder: Names this one; must be unique.
    """

    def __init__(self, store: AsyncStore, duties: Sequence[Duty], holder: str = "") -> None:
        self._store = store
        self._duties = duties
        self._holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._due: dict[str, float] = {}
        self._troubles: dict[str, str] = {}
        self._log = structlog.get_logger().bind()

    async def run(self) -> None:
        """Tick every second, until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> bool:
        """Do what is due if it is this one's turn; returns whether it was. Never raises because of Redis."""
        try:
            mine = await self._store.run(
                calls.acquire_duty(self._store.keys, self._holder, lease_ms=LEASE_MS)
            )
            if mine:
                await self._do_what_is_due()
        except JobsvcError as error:
            self._note("", error)
            return False
        self._note("", None)
        return mine

    async def _do_what_is_due(self) -> None:
        now = asyncio.get_running_loop().time()
        for duty in self._duties:
            if self._due.get(duty.name, 0.0) > now:
                continue
            self._due[duty.name] = now + duty.every_s - TICK_S / 2
            try:
                await duty.tick(self._store)
            except StoreUnavailable:
                self._due[duty.name] = 0.0
                raise
            except JobsvcError as error:
                self._note(duty.name, error)  # one that fails does not keep the others from their work
            else:
                self._note(duty.name, None)

    def _note(self, duty: str, error: JobsvcError | None) -> None:
        """Log a trouble when it begins and when it is over, not each time."""
        trouble = error.reason if error else ""
        if trouble == self._troubles.get(duty, ""):
            return
        self._troubles[duty] = trouble
        if isinstance(error, StoreUnavailable):
            self._log.warning("Redis is away; due jobs and jobs of dead workers wait until it is back")
        elif error is not None:
            self._log.error(
                "a periodic duty failed; it is tried again and again", duty=duty, error=str(error)
            )
        else:
            self._log.info("periodic duties go on", duty=duty or "all")
