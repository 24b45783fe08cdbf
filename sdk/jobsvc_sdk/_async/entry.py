"""Where the asynchronous client begins. Written by hand on both sides."""

from __future__ import annotations

from types import TracebackType

from jobsvc_sdk._connection import resolve

from .client import PATIENCE_S, AsyncClientCore
from .types import AsyncTypes


class AsyncClient(AsyncClientCore):
    """A client for asyncio; made by :func:`jobsvc_sdk.connect_async`.

    It belongs to the event loop it is first used in. Use it as ``async with``, or ``await client.close()``.
    """

    async def types(self) -> AsyncTypes:
        """Read what can be submitted, as callables: ``types = await client.types(); await types.reports.monthly()``."""
        return AsyncTypes(self, await self.job_types())

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


async def connect_async(
    address: str | None = None,
    *,
    token: str | None = None,
    retry_for: float = PATIENCE_S,
) -> AsyncClient:
    """Connect to a server, for asyncio.

    Args:
        address: ``host:port``; None takes ``JOBSVC_ADDRESS``, else ``127.0.0.1:7443``.
        token: Sent with every call; None takes ``JOBSVC_TOKEN``.
        retry_for: For how long calls are repeated while the server is unavailable, in seconds.

    Raises:
        ServerUnavailable: No server answers there.
        ValueError: The address is not ``host:port``.
    """
    client = AsyncClient(resolve(address, token), patience_s=retry_for)
    try:
        await client.server_info(patience_s=0.0)
    except BaseException:
        await client.close()
        raise
    return client
