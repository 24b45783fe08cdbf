"""One worker process, from its start to its end."""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from datetime import timedelta
from secrets import token_hex
from typing import Any, Protocol

import dramatiq
import structlog

import jobsvc
from jobsvc.broker import JobBroker
from jobsvc.model.catalog import WorkerInfo
from jobsvc.model.errors import ConfigurationError, StoreUnavailable
from jobsvc.store import calls
from jobsvc.store.address import without_password
from jobsvc.store.checks import check
from jobsvc.store.store import Store
from jobsvc.supervisor import DRAINED
from jobsvc.worker.children import ForkServer
from jobsvc.worker.declared import Declarations, declarations
from jobsvc.worker.engine import Engine
from jobsvc.worker.execution import Handlers
from jobsvc.worker.health import HealthEndpoint
from jobsvc.worker.keeper import Keeper

REDIS_URL = "JOBSVC_REDIS_URL"
LIVE_S = 30.0
"""A worker whose keeper began no round for so long hangs."""

LOOK_EVERY_S = 0.5

log = structlog.get_logger(__name__)


class WorkerSettings(Protocol):
    """The settings that a worker process needs; ``jobsvc.config.Settings`` has them."""

    @property
    def redis_url(self) -> str:
        """URL of Redis."""

    @property
    def namespace(self) -> str:
        """First part of every key."""

    @property
    def imports(self) -> Sequence[str]:
        """Modules that define handlers."""

    @property
    def queues(self) -> Sequence[str]:
        """Queues to serve; none for all queues of the handlers."""

    @property
    def queue(self) -> Mapping[str, dict[str, Any]]:
        """Settings of queues by name, as they are written."""

    @property
    def threads(self) -> int:
        """Number of slots."""

    @property
    def lease(self) -> timedelta:
        """How long a lease lasts without being renewed."""

    @property
    def cancel_grace(self) -> timedelta:
        """How long a job that was told to stop may take."""

    @property
    def recycle_after(self) -> int:
        """A child process is replaced after so many jobs; 0 for never."""

    @property
    def recycle_above(self) -> int:
        """A child process that has become larger than so many bytes is replaced after its job; 0 for never."""

    @property
    def stop_grace(self) -> timedelta:
        """How long running jobs may take to finish when the worker stops."""

    @property
    def health(self) -> str:
        """Where to answer health checks, HOST:PORT; empty for nowhere."""

    @property
    def inline_limit_bytes(self) -> int:
        """Largest result."""


def run(settings: WorkerSettings, *, ready: Callable[[], None], stop: threading.Event) -> int:
    """Run one worker process until ``stop`` is set. Call it in the main thread.

    Args:
        settings: What to run, and where.
        ready: Called when the job types are published and the slots take jobs.
        stop: Set it to end: running jobs get ``stop_grace`` to finish, what is left is handed back, not counted.

    Returns:
        Exit status: 0, or ``DRAINED`` when somebody drained this worker and it is not to be started again.

    Raises:
        ConfigurationError: A module cannot be imported, has no handler, or a queue has none.
    """
    store = Store(settings.redis_url, settings.namespace)
    dramatiq.set_broker(JobBroker(store))
    handlers = _load(settings.imports)
    queues = _queues(settings, handlers)
    fork_server = _fork_server(settings, handlers)
    worker = _introduction(settings, handlers, queues)
    engine = Engine(
        store,
        worker_id=worker.id,
        handlers=handlers,
        fork_server=fork_server,
        queues=queues,
        slots=settings.threads,
        lease_ms=_ms(settings.lease),
        result_limit_bytes=settings.inline_limit_bytes,
    )
    keeper = Keeper(
        store,
        engine,
        worker,
        [handler.job_type for handler in handlers.all()],
        lease_ms=_ms(settings.lease),
        grace_s=settings.cancel_grace.total_seconds(),
        on_drain=stop.set,
    )
    endpoint = _health(settings, engine, keeper, stop)
    if not _introduce(store, keeper, declarations(settings.queue), stop):
        return 0
    keeper.start()
    engine.start()
    ready()
    while not stop.wait(LOOK_EVERY_S):
        pass  # the signal may have come to another thread: its handler runs when this one does
    log.info("stopping", running=engine.busy)
    with closing(endpoint) if endpoint else nullcontext():
        engine.stop(settings.stop_grace.total_seconds())
        keeper.stop()
    return DRAINED if keeper.draining else 0


def _health(
    settings: WorkerSettings, engine: Engine, keeper: Keeper, stop: threading.Event
) -> HealthEndpoint | None:
    if not settings.health:
        return None
    lease_s = settings.lease.total_seconds()

    def live() -> tuple[bool, dict[str, Any]]:
        silent_s = time.monotonic() - keeper.round_at
        return silent_s < LIVE_S, {"last_round_s": round(silent_s, 3)}

    def ready() -> tuple[bool, dict[str, Any]]:
        silent_s = time.monotonic() - keeper.renewed_at
        facts = {"last_heartbeat_s": round(silent_s, 3), "stopping": stop.is_set(), "running": engine.busy}
        return silent_s < lease_s and not stop.is_set(), facts

    endpoint = HealthEndpoint(settings.health, live=live, ready=ready)
    log.info("health is served", address=endpoint.address)
    return endpoint


def _ms(duration: timedelta) -> int:
    return int(duration / timedelta(milliseconds=1))


def _load(modules: Sequence[str]) -> Handlers:
    if not modules:
        raise ConfigurationError(
            "a worker needs to know its handlers: name their modules with --import MODULE (setting imports)"
        )
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"--import {module}: {error}; it is looked for in the current folder and on PYTHONPATH"
            ) from error
    handlers = Handlers(dramatiq.get_broker())
    if not handlers.all():
        raise ConfigurationError(
            f"--import {', '.join(modules)}: no handler found; decorate a function with @handler"
        )
    return handlers


def _queues(settings: WorkerSettings, handlers: Handlers) -> list[str]:
    have = {handler.job_type.queue for handler in handlers.all()}
    if not settings.queues:
        return sorted(have)
    return list(dict.fromkeys(settings.queues))


def _fork_server(settings: WorkerSettings, handlers: Handlers) -> ForkServer | None:
    """Start the fork server, if a handler wants a process.

    What it and its children inherit has no password of Redis, also when it starts again.
    """
    if not any(handler.job_type.isolation == "process" for handler in handlers.all()):
        return None
    os.environ[REDIS_URL] = without_password(settings.redis_url)
    os.environ["JOBSVC_NAMESPACE"] = settings.namespace
    return ForkServer(settings.imports, (settings.recycle_after, settings.recycle_above))


def _introduction(settings: WorkerSettings, handlers: Handlers, queues: Sequence[str]) -> WorkerInfo:
    host = socket.gethostname()
    return WorkerInfo(
        id=f"{host[:32]}-{os.getpid()}-{token_hex(3)}",
        hostname=host,
        pid=os.getpid(),
        queues=tuple(queues),
        types=tuple(handler.job_type.name for handler in handlers.all()),
        slots=settings.threads,
        start_ms=int(time.time() * 1_000),
        version=jobsvc.__version__,
    )


def _introduce(store: Store, keeper: Keeper, queues: Declarations, stop: threading.Event) -> bool:
    """Publish job types and queues, waiting for Redis if it is not there yet; False when told to stop meanwhile."""
    said = False
    while not stop.is_set():
        try:
            check(store)
            keeper.introduce()
            for name, (settings, names) in queues.items():
                store.run(calls.configure(name, settings, names, how="declare"))
            return True
        except StoreUnavailable as error:
            if not said:
                log.warning("waiting for Redis", error=str(error))
                said = True
            stop.wait(0.3)
    return False
