"""The gRPC server as a whole: its parts, its port, its health, and how it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import grpc
import structlog
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection, reflection_pb2  # type: ignore[import-untyped]

from jobsvc.config import Settings
from jobsvc.model.errors import ConfigurationError, StoreUnavailable
from jobsvc.rpc.catalog_cache import CatalogCache
from jobsvc.rpc.guard import Guard
from jobsvc.rpc.health import Health
from jobsvc.rpc.methods import service_handler
from jobsvc.rpc.options import DRAIN_GRACE_S, OPTIONS
from jobsvc.rpc.services import Parts, services
from jobsvc.rpc.views import JobWriter, retention_ms
from jobsvc.rpc.watch.hub import Hub
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.subscription import Subscription

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]


async def serve(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Serve clients until cancelled; then finish the calls that run.

    While Redis is away calls are answered with UNAVAILABLE, streams stay open, and everything goes on by itself when it
    is back. Stopping takes at most ``DRAIN_GRACE_S``: streams are asked to reconnect elsewhere.

    Args:
        settings: Where to listen, and which Redis.
        ready: Called once with the address, ``HOST:PORT``, as soon as a Submit would work.

    Raises:
        ConfigurationError: The address cannot be listened on, or the Redis URL is wrong.
    """
    store = AsyncStore(settings.redis_url, settings.namespace)
    subscription = store.subscribe()
    catalog = CatalogCache(store)
    writer = JobWriter(catalog.template, retention_ms(settings))
    hub = Hub(store, subscription, writer)

    def after_gap() -> None:
        catalog.invalidate()
        hub.after_gap()

    subscription.on_gap = after_gap
    server = grpc.aio.server(options=OPTIONS)
    try:
        await _serve(server, settings, Parts(settings, store, catalog, writer, hub), subscription, ready)
    finally:
        await server.stop(0)
        await hub.close()
        await subscription.close()
        await store.close()


async def _serve(
    server: grpc.aio.Server,
    settings: Settings,
    parts: Parts,
    subscription: Subscription,
    ready: Callable[[str], None],
) -> None:
    host = settings.listen.rpartition(":")[0]
    port = _bind(server, settings.listen)
    address = f"{host}:{port}"
    table = services(parts)
    health = Health(parts.store, [service.full_name for service, _ in table], lambda: ready(address))
    guard = Guard()
    reflected = reflection.aio.ReflectionServicer(
        [service.full_name for service, _ in table] + [_HEALTH.full_name, _REFLECTION.full_name]
    )
    table.append((_HEALTH, {"Check": health.servicer.Check, "Watch": health.servicer.Watch}))
    table.append((_REFLECTION, {"ServerReflectionInfo": reflected.ServerReflectionInfo}))
    server.add_generic_rpc_handlers([service_handler(service, methods, guard) for service, methods in table])
    await server.start()
    log = structlog.get_logger().bind()
    log.info("serving", address=address, redis=parts.store.address.label, namespace=settings.namespace)
    background = [
        asyncio.create_task(health.watch()),
        asyncio.create_task(_listen_to_catalog(parts, subscription)),
    ]
    try:
        # Not server.wait_for_termination(): cancelled, it takes the future with it that server.stop() waits for.
        await asyncio.get_running_loop().create_future()
    finally:
        log.info("stopping", watched=parts.hub.watched)
        for task in background:
            task.cancel()
        await health.stop()
        parts.hub.stop()
        await server.stop(DRAIN_GRACE_S)


async def _listen_to_catalog(parts: Parts, subscription: Subscription) -> None:
    """Hear of new job types and workers; if Redis is away now, as soon as it is there."""
    try:
        await subscription.add(parts.store.keys.catalog, parts.catalog.invalidate)
    except StoreUnavailable:
        return


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        _try(address)  # gRPC does not say what is wrong with an address
        return server.add_insecure_port(address)
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(
            f"cannot listen on {address}: {why}; choose another address with --port or JOBSVC_LISTEN"
        ) from None


def _try(address: str) -> None:
    host, _, port = address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    with socket.socket(*found[0][:2]) as probe:
        # a server that stopped a moment ago still has connections that are closing: they are not in the way
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(found[0][4])
