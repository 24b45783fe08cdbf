"""Put the parts together: the only module that knows all of them.

Three programs come out of it. `run_server` and `run_worker` are one process each (a worker may ask for more); `run_dev`
is everything on one machine: it embeds a Valkey and runs the other two as child processes, so that what is tried out
on a laptop is what runs in production.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from jobsvc import lifeline, logs
from jobsvc.config import Settings
from jobsvc.model.errors import ConfigurationError
from jobsvc.supervisor import DRAINED, Child, Part, Supervisor

SAMPLES = ("jobsvc.samples.analytics",)


def run_server(settings: Settings, *, ready_file: Path | None = None) -> int:
    """Serve clients until SIGINT or SIGTERM; calls that run are finished first.

    Args:
        settings: Where to listen, and which Redis.
        ready_file: Gets the address, ``HOST:PORT``, once calls are answered.

    Returns:
        The exit status.

    Raises:
        ConfigurationError: No Redis is set, or the address cannot be used.
    """
    _need_redis(settings)
    logs.configure(settings, "server")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, lambda address: _announce(ready_file, address)))
    return 0


def run_worker(settings: Settings, *, ready_file: Path | None = None) -> int:
    """Run jobs until SIGINT or SIGTERM; jobs that run then are finished or handed back.

    Args:
        settings: Which handlers, how many processes and slots, and which Redis.
        ready_file: Written once the job types are published.

    Returns:
        The exit status.

    Raises:
        ConfigurationError: No Redis or no handlers are set, or a module cannot be imported.
    """
    _need_redis(settings)
    if not settings.imports:
        raise ConfigurationError("no handlers: name the modules that define them with --import MODULE")
    logs.configure(settings, "worker")
    if settings.processes > 1:
        return _run_workers(settings, ready_file)
    if settings.data_folder is not None:
        # handlers know nothing of settings: what is meant for them reaches their processes by the environment
        os.environ["JOBSVC_DATA_FOLDER"] = str(settings.data_folder.resolve())
    from jobsvc.worker import runtime

    status = runtime.run(settings, ready=lambda: _announce(ready_file, str(os.getpid())), stop=_stop_event())
    # nobody but our supervisor knows what that status means
    return 0 if status == DRAINED and not lifeline.held else status


def run_dev(settings: Settings, *, ready_file: Path | None = None) -> int:
    """Run Valkey (unless a Redis is set), the server and workers until SIGINT or SIGTERM; then leave nothing behind.

    Args:
        settings: As for the server and the workers; ``data_dir`` keeps the state.
        ready_file: Gets the address, ``HOST:PORT``, once a Submit works.

    Returns:
        The exit status.

    Raises:
        ConfigurationError: A part cannot start, or the data folder is in use.
    """
    from jobsvc.embedded import EmbeddedValkey

    settings = settings.model_copy(update={"imports": settings.imports or SAMPLES})
    stages: list[list[Part]] = []
    if not settings.redis_url:
        valkey = EmbeddedValkey(settings.data_dir)
        settings = settings.model_copy(update={"redis_url": valkey.url})
        stages.append([valkey])
    with tempfile.TemporaryDirectory(prefix="jobsvc-") as scratch:
        server = _child("server", settings, Path(scratch))
        stages += [[server], list(_workers(settings, Path(scratch)))]

        def when_ready() -> None:
            address = server.ready_file.read_text().strip()
            # If the server has to be started again, clients must find it where it was, also after --port 0.
            server.environment["JOBSVC_LISTEN"] = address
            print(_welcome(settings, address, embedded=len(stages) == 3), flush=True)
            _announce(ready_file, address)

        Supervisor(stages, _say).run(when_ready)
    return 0


async def _serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Run the server, and the periodic duties beside it, until a signal cancels it; it finishes the calls that run."""
    from jobsvc.rpc import server
    from jobsvc.scheduler import duties
    from jobsvc.store.async_store import AsyncStore

    loop = asyncio.get_running_loop()
    store = AsyncStore(settings.redis_url, settings.namespace)
    serving = asyncio.ensure_future(server.serve(settings, ready=ready))
    caring = asyncio.ensure_future(duties.run(store, settings))
    # Duties end only by a mistake of ours: then the server ends too, loudly, and whoever watches it starts it again.
    caring.add_done_callback(lambda _: serving.cancel())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await serving
    finally:
        caring.cancel()
        with suppress(asyncio.CancelledError):
            await caring
        await store.close()


def _run_workers(settings: Settings, ready_file: Path | None) -> int:
    with tempfile.TemporaryDirectory(prefix="jobsvc-") as scratch:
        stages = [list(_workers(settings, Path(scratch)))]
        Supervisor(stages, _say).run(lambda: _announce(ready_file, str(os.getpid())))
    return 0


def _workers(settings: Settings, scratch: Path) -> Sequence[Child]:
    one = settings.model_copy(update={"processes": 1})
    return [
        _child("worker", _with_health(one, number), scratch, number)
        for number in range(1, settings.processes + 1)
    ]


def _with_health(settings: Settings, number: int) -> Settings:
    """Give each of several workers a port of its own for its health."""
    host, _, port = settings.health.rpartition(":")
    if not settings.health or port == "0":
        return settings
    return settings.model_copy(update={"health": f"{host}:{int(port) + number - 1}"})


def _child(command: str, settings: Settings, scratch: Path, number: int | None = None) -> Child:
    """Describe a process of ours, with the same settings; it is killed when this one ends."""
    name = command if number is None else f"{command} {number}"
    ready_file = scratch / name.replace(" ", "-")
    words = [
        sys.executable,
        "-m",
        "jobsvc",
        command,
        "--ready-file",
        str(ready_file),
        "--die-with",
        str(os.getpid()),
    ]
    return Child(name, words, {**os.environ, **settings.environment()}, ready_file)


def _stop_event() -> threading.Event:
    """Return an event that the first SIGINT or SIGTERM sets; a second one ends the process the usual way."""
    stop = threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        # Not here: the signal may have come while this very thread held the event's lock.
        _thread.start_new_thread(stop.set, ())

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _need_redis(settings: Settings) -> None:
    if not settings.redis_url:
        raise ConfigurationError(
            "no Redis: give its address with --redis URL or JOBSVC_REDIS_URL, or let `jobsvc dev` embed one"
        )


def _announce(ready_file: Path | None, text: str) -> None:
    """Write the file in one step: whoever finds it finds it whole."""
    if ready_file is not None:
        draft = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
        draft.write_text(f"{text}\n")
        draft.replace(ready_file)


def _say(line: str) -> None:
    print(f"jobsvc: {line}", file=sys.stderr, flush=True)


def _welcome(settings: Settings, address: str, *, embedded: bool) -> str:
    slots = settings.processes * settings.threads
    processes = "1 process" if settings.processes == 1 else f"{settings.processes} processes"
    store = f"{settings.data_dir.resolve()} (embedded Valkey)" if embedded else "in the Redis that is set"
    return f"""
  jobsvc is ready at {address}

    connect   from jobsvc_sdk import connect
              client = connect("{address}")
    handlers  {", ".join(settings.imports)}
    workers   {processes}, {slots} slots
    data      {store}
    stop      Ctrl-C
"""
