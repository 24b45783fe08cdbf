"""grpc.health.v1: whether this server can do its work, which it can while Redis answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from grpc_health.v1 import health, health_pb2  # type: ignore[import-untyped]

from jobsvc.model.errors import JobsvcError
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore

LOOK_EVERY_S = 1.0

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Asks Redis every second, and tells health checks and the log what came out.

    Args:
        store: Redis.
        names: Services; all of them have the same health, and so has the server as a whole.
        on_serving: Called the first time that Redis answers.
    """

    def __init__(self, store: AsyncStore, names: Sequence[str], on_serving: Callable[[], None]) -> None:
        self.servicer = health.aio.HealthServicer()
        self._store = store
        self._names = ("", *names)
        self._on_serving = on_serving
        self._serving: bool | None = None
        self._log = structlog.get_logger().bind()

    async def watch(self) -> None:
        """Keep the health up to date, until cancelled."""
        first = True
        await self._set(NOT_SERVING)
        while True:
            try:
                await self._store.run(calls.clock())
            except JobsvcError as error:
                await self._change(serving=False, error=str(error))
            else:
                await self._change(serving=True)
                if first:
                    self._on_serving()
                first = False
            await asyncio.sleep(LOOK_EVERY_S)

    async def stop(self) -> None:
        """Not serving, from now on."""
        await self.servicer.enter_graceful_shutdown()

    async def _change(self, *, serving: bool, error: str = "") -> None:
        if serving is self._serving:
            return
        if not serving:
            self._log.warning(
                "Redis is away; calls are answered with UNAVAILABLE until it is back", error=error
            )
        elif self._serving is not None:
            self._log.info("Redis is back")
        self._serving = serving
        await self._set(SERVING if serving else NOT_SERVING)

    async def _set(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in self._names:
            await self.servicer.set(name, status)
