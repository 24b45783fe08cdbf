# Generated from _async/reader.py by tools/gen_sync.py; change that one.
"""One stream of progress: what it watches, and how it comes back after a break."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Collection, Iterable
from typing import Protocol

import grpc

from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import _convert, _requests
from jobsvc_sdk._tracker import Key, News, Tracker, key_of
from jobsvc_sdk.errors import JobsvcError

from .native import Signal, StreamCall, responses, spawn
from .transport import Transport

MAX_TARGETS = 1000
HEARTBEAT_S = 15
SILENCE_S = 40.0
"""A stream that said nothing for this long, in spite of its heartbeat, is taken for broken."""
IDLE_S = 30.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_QUIET_S = 0.005
_LONGEST_SETTLING_S = 0.05
_ASK_AT_ONCE = 100
_FATAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_log = logging.getLogger("jobsvc_sdk")


class Feed(Protocol):
    """What a reader needs of the hub it reads for."""

    lock: threading.RLock
    tracker: Tracker
    transport: Transport

    def deliver(self, news: News) -> set[str]:
        """Pass news on; returns jobs whose state has to be asked for."""
        ...

    def drop(self, keys: Iterable[Key], error: Exception) -> None:
        """Tell whoever waits for these that no more news will come."""
        ...

    def report(self, connected: bool, text: str) -> None:
        """Tell of a break of the connection, or of its end."""
        ...

    def sweep(self) -> None:
        """Stop watching what nobody holds any more."""
        ...


class Reader:
    """Watches up to 1,000 targets over one stream, for as long as there are any.

    When targets are added the stream is opened anew with the longer list; several additions within some
    milliseconds make one new stream. Methods that change targets are called with the hub's lock held.
    """

    def __init__(self, feed: Feed, name: str) -> None:
        self.targets: dict[Key, bool] = {}
        self.live: frozenset[Key] = frozenset()
        self._feed = feed
        self._name = name
        self._changed = Signal()
        self._call: StreamCall[pb.StreamProgressResponse] | None = None
        self._running = False
        self._stopped = False
        self._interrupted = self._silent = False
        self._opened_at = self._heard_at = 0.0
        self._failures = 0
        self._pause_s: float | None = None
        self._token = ""
        self._token_targets: dict[Key, bool] = {}

    def add(self, key: Key, *, include_jobs: bool = False) -> None:
        """Watch one more target."""
        wanted = include_jobs or self.targets.get(key, False)
        if self.targets.get(key) is wanted:
            return
        self.targets[key] = wanted
        self._changed.set()
        self._interrupt()
        if not self._running:
            self._running = True
            spawn(self._run, self._name)

    def remove(self, key: Key) -> None:
        """Watch one target less; the stream goes on unless it was the last."""
        if self.targets.pop(key, None) is not None and not self.targets:
            self._interrupt()

    def stop(self) -> None:
        """End for good."""
        self._stopped = True
        self.targets.clear()
        self._changed.set()
        self._interrupt()

    def check(self) -> None:
        """Give up a stream that has been silent for too long, so that it is opened anew."""
        call = self._call
        if call is not None and time.monotonic() - self._heard_at > SILENCE_S:
            _log.warning("no sign of life from the jobsvc server for %d s; connecting again", SILENCE_S)
            self._silent = True
            call.cancel()

    def _interrupt(self) -> None:
        if self._call is not None:
            self._interrupted = True
            self._call.cancel()

    def _run(self) -> None:
        try:
            while self._wanted():
                self._settle()
                self._follow()
        except Exception as exc:
            _log.exception("watching jobs failed; this is a bug in the SDK")
            with self._feed.lock:
                self._running, lost = False, list(self.targets)
                self.targets.clear()
            self._feed.drop(lost, JobsvcError(f"watching failed inside the SDK: {exc!r}"))

    def _wanted(self) -> bool:
        """Wait for something to watch, for a while."""
        while True:
            with self._feed.lock:
                if self.targets:
                    return True
                self._changed.clear()
                if self._stopped:
                    self._running = False
                    return False
            if not self._changed.wait(IDLE_S):
                with self._feed.lock:
                    self._running = bool(self.targets)
                    if not self._running:
                        return False

    def _settle(self) -> None:
        """Let targets that are added one by one come together, unless this is the first in a while."""
        if time.monotonic() - self._opened_at > 5 * _LONGEST_SETTLING_S:
            return
        end = time.monotonic() + _LONGEST_SETTLING_S
        while time.monotonic() < end:
            self._changed.clear()
            if not self._changed.wait(_QUIET_S):
                return

    def _follow(self) -> None:
        """Read one stream to its end, whatever that is, and pause as long as it calls for."""
        with self._feed.lock:
            self._feed.sweep()
            targets = dict(self.targets)
            if not targets:
                return
            self._changed.clear()
            self._interrupted = self._silent = False
            self._pause_s = None
            call = self._feed.transport.stream_progress(self._request(targets))
            self._call, self._opened_at = call, time.monotonic()
            self._heard_at = self._opened_at
        broken: grpc.RpcError | None = None
        try:
            for response in responses(call):
                self._hear(response, targets)
        except grpc.RpcError as exc:
            broken = exc
        finally:
            with self._feed.lock:
                self._call, self.live = None, frozenset()
                left = [key for key in targets if key in self.targets]
                interrupted = self._interrupted
        if left and not (interrupted and broken is None):
            self._recover(broken, left)

    def _request(self, targets: dict[Key, bool]) -> pb.StreamProgressRequest:
        """Ask for what changed since the newest versions known.

        A batch with its jobs has only one version for all of them, so it is asked for in full, unless nothing was
        added since the break and the token covers it.
        """
        token = self._token if targets == self._token_targets else ""
        return _requests.stream(
            [
                (key, 0 if include_jobs else self._feed.tracker.version(key), include_jobs)
                for key, include_jobs in targets.items()
            ],
            resume_token=token,
            heartbeat_s=HEARTBEAT_S,
        )

    def _hear(self, response: pb.StreamProgressResponse, targets: dict[Key, bool]) -> None:
        with self._feed.lock:
            self._heard_at, self._failures = time.monotonic(), 0
            news = self._feed.tracker.apply(response, targets)
            if response.resume_token:
                self._token, self._token_targets = response.resume_token, targets
            if not any(event.snapshot.more for event in response.events):
                self.live = frozenset(targets)
            if news.reconnect_after_s is not None:
                self._pause_s = news.reconnect_after_s
            if not news.statuses:  # a heartbeat: time to look who still listens
                self._feed.sweep()
        self._feed.report(True, "")
        unclear = self._feed.deliver(news)
        if unclear:
            self._ask(unclear)

    def _recover(self, broken: grpc.RpcError | None, left: list[Key]) -> None:
        """Decide what a stream that ended without our doing means, and wait before the next."""
        if broken is not None and broken.code() is grpc.StatusCode.NOT_FOUND:
            self._feed.deliver(News(missing=[key[1] for key in left]))  # none of the targets exists
            return
        if broken is not None and broken.code() in _FATAL:
            self._feed.drop(left, self._feed.transport.error(broken, "StreamProgress"))
            return
        if self._pause_s is not None:
            self._changed.wait(self._pause_s)
            return
        if broken is None and not self._silent:
            # It ended as if all targets had ended: whoever is left missed that.
            self._ask({key[1] for key in left if key[0] == "job"})
        else:
            self._feed.report(False, f"reconnecting to {self._feed.transport.connection.address}")
        pause = min(_FIRST_PAUSE_S * 2 ** min(self._failures, 10), _LONGEST_PAUSE_S)
        self._failures += 1
        self._changed.wait(pause * random.uniform(0.5, 1.0))

    def _ask(self, job_ids: Collection[str]) -> None:
        """Fill a gap by asking for jobs; when that fails as well the next stream tells."""
        wanted = sorted(job_ids)
        for start in range(0, len(wanted), _ASK_AT_ONCE):
            request = pb.BatchGetStatusRequest(
                job_ids=wanted[start : start + _ASK_AT_ONCE], view=pb.JOB_VIEW_FULL
            )
            try:
                answer = self._feed.transport.call(
                    lambda: self._feed.transport.jobs.BatchGetStatus,
                    request,
                    doing="BatchGetStatus",
                    patience_s=0.0,
                )
            except JobsvcError as exc:
                _log.debug("cannot fill a gap now: %s", exc)
                return
            news = News(missing=list(answer.missing_job_ids))
            with self._feed.lock:
                for message in answer.jobs:
                    self._feed.tracker.learn(_convert.job(message, full=True))
                    status = self._feed.tracker.get(("job", message.job_id))
                    if status is not None:
                        news.statuses[key_of(status)] = status
                        if status.terminal:
                            news.ended.add(key_of(status))
            self._feed.deliver(news)
