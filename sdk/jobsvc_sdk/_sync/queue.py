# Generated from _async/queue.py by tools/gen_sync.py; change that one.
"""A handle of one queue."""

from __future__ import annotations

import time
from typing import Any

from google.protobuf.duration_pb2 import Duration

from jobsvc_proto.v1 import queue_service_pb2 as pb
from jobsvc_sdk import _requests
from jobsvc_sdk._queue_words import QueueInfo, queue_info, update_request
from jobsvc_sdk._requests import Span

from .transport import LONG_CALL_TIMEOUT_S, Transport

_DRAIN_STEP_S = 20.0


class Queue:
    """A handle of one queue: its settings, and pausing it. ``client.queues()`` counts the jobs of all.

    Attributes:
        name: The queue.
    """

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self.name = name

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"

    def settings(self) -> QueueInfo:
        """Read its settings.

        Raises:
            NotFound: There is no such queue.
        """
        answer = self._transport.call(
            lambda: self._transport.queues.GetQueue, pb.GetQueueRequest(name=self.name), doing="GetQueue"
        )
        return queue_info(answer.queue)

    def update(self, *, etag: str = "", **words: Any) -> QueueInfo:
        """Change settings; they hold at once, on all workers. Jobs that run are not touched.

        Args:
            etag: Of settings that were read before: if somebody changed them since, nothing is changed.
            words: ``max_concurrency``, ``max_concurrency_per_worker``, ``rate`` ("20/min") with ``burst``,
                ``max_waiting``, ``timeout``, ``priority``, ``max_attempts`` with ``backoff`` and ``max_backoff``, and
                ``keep_completed_for`` with ``keep_completed_count``, likewise for failed and cancelled. None takes a
                setting away. What is not named stays, but those joined by *with* are one setting: of them all are set.

        Raises:
            ParamError: A setting is wrong; nothing was changed.
            Conflict: Somebody else was faster.
        """
        request = update_request(self.name, words, etag)
        answer = self._transport.call(
            lambda: self._transport.queues.UpdateQueue, request, doing="UpdateQueue"
        )
        return queue_info(answer.queue)

    def pause(self, reason: str = "") -> QueueInfo:
        """Start nothing more from it; what runs goes on, and jobs can still be submitted.

        Args:
            reason: Shown with the queue.
        """
        answer = self._transport.call(
            lambda: self._transport.queues.PauseQueue,
            pb.PauseQueueRequest(name=self.name, reason=reason),
            doing="PauseQueue",
        )
        return queue_info(answer.queue)

    def resume(self) -> QueueInfo:
        """Start its jobs again."""
        answer = self._transport.call(
            lambda: self._transport.queues.ResumeQueue,
            pb.ResumeQueueRequest(name=self.name),
            doing="ResumeQueue",
        )
        return queue_info(answer.queue)

    def drain(self, reason: str = "", *, timeout: float = 60.0) -> int:
        """Pause it, and wait until what runs has ended.

        Args:
            reason: Shown with the queue.
            timeout: How long to wait, in seconds.

        Returns:
            Jobs that still run; 0 when it is drained.
        """
        deadline = time.monotonic() + timeout
        while True:
            left_s = max(0.0, min(_DRAIN_STEP_S, deadline - time.monotonic()))
            wait = Duration(seconds=int(left_s), nanos=int(left_s % 1 * 10**9))
            answer = self._transport.call(
                lambda: self._transport.queues.DrainQueue,
                pb.DrainQueueRequest(name=self.name, reason=reason, max_wait=wait),
                doing="DrainQueue",
                timeout_s=left_s + 10,
            )
            if not answer.active_count or time.monotonic() >= deadline:
                return int(answer.active_count)

    def purge(self, *states: str, older_than: Span | None = None) -> int:
        """Remove jobs that do not run, as if they had never been; for its batch one that waited counts as cancelled.

        Args:
            states: Which: ``scheduled``, ``queued``, ``completed``, ``failed``, ``cancelled``; at least one.
            older_than: Only jobs that ended longer ago, or were submitted longer ago if they wait; a timedelta or
                seconds. None means all.

        Returns:
            How many were removed.

        Raises:
            ParamError: No state was given, or one that is none.
        """
        request = pb.PurgeQueueRequest(name=self.name, states=_requests.state_numbers(states))
        if older_than is not None:
            request.older_than.CopyFrom(_requests.span(older_than, "older_than", zero=True))
        answer = self._transport.call(
            lambda: self._transport.queues.PurgeQueue,
            request,
            doing="PurgeQueue",
            timeout_s=LONG_CALL_TIMEOUT_S,
        )
        return int(answer.purged_count)
