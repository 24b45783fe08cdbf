"""What surrounds every call: its id, its log line, and the mapping of errors: nothing of our insides gets out."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import structlog

from jobsvc.model.errors import InvalidRequest, JobsvcError
from jobsvc.rpc.status import DETAILS_KEY, answer_for, to_status

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Method: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
"""Answers a call: returns the response, or writes the responses of a stream to the context."""
Trailers: TypeAlias = tuple[tuple[str, str | bytes], ...]
StreamMethod: TypeAlias = Callable[[AsyncIterator[Any], Context], AsyncIterator[Any]]

CALL_ID_KEY = "jobsvc-call-id"
"""Trailer with the id under which the server's log knows a call."""


class Garbage:
    """Stands for a request that is not the protobuf message it should be."""


GARBAGE = Garbage()


class Sparing:
    """Lets few lines of a kind into the log, so that nobody can fill it from outside.

    Args:
        most: Lines of one kind let through in each period.
        period_s: Length of the period, seconds.
    """

    def __init__(self, most: int = 5, period_s: float = 10.0) -> None:
        self._most = most
        self._period_s = period_s
        self._seen: dict[str, tuple[float, int]] = {}

    def allow(self, kind: str) -> int | None:
        """Whether to write a line now: how many were held back since the last one, or ``None`` to hold it back."""
        now = time.monotonic()
        since, count = self._seen.get(kind, (now, 0))
        if now - since >= self._period_s:
            held_back, since, count = max(0, count - self._most), now, 0
        else:
            held_back = 0
        self._seen[kind] = (since, count + 1)
        return held_back if count < self._most else None


class Guard:
    """Wraps the methods of all services."""

    def __init__(self) -> None:
        self._log = structlog.get_logger().bind()
        self._sparing = Sparing()
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def wrap(self, name: str, run: Method) -> Method:
        """Guard a method with one request.

        Args:
            name: ``Service/Method``, for the log.
            run: Answers the call.
        """

        async def guarded(request: Any, context: Context) -> Any:
            call_id = f"{self._prefix}-{next(self._numbers):x}"
            context.set_trailing_metadata(((CALL_ID_KEY, call_id),))
            began = time.perf_counter()
            code = "OK"
            try:
                if request is GARBAGE:
                    raise InvalidRequest("the request is not a valid protobuf message of this method")
                return await run(request, context)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except grpc.aio.AbortError:
                code = "ABORTED"  # health and reflection refuse on their own
                raise
            except Exception as error:
                if context.done():
                    return (
                        None  # the client has gone: what is left to do fails in many ways, and nobody listens
                    )
                refusal = self._refuse(name, call_id, error)
                code = refusal[0].name
                await context.abort(*refusal)
            finally:
                took_ms = round((time.perf_counter() - began) * 1_000, 2)
                self._log.debug("call", method=name, code=code, took_ms=took_ms, call_id=call_id)

        return guarded

    def wrap_stream(self, name: str, run: StreamMethod) -> StreamMethod:
        """Guard a method with a stream of requests."""

        async def guarded(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            call_id = f"{self._prefix}-{next(self._numbers):x}"
            context.set_trailing_metadata(((CALL_ID_KEY, call_id),))
            try:
                async for response in run(_without_garbage(requests), context):
                    yield response
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                if not context.done():
                    await context.abort(*self._refuse(name, call_id, error))

        return guarded

    def _refuse(self, name: str, call_id: str, error: Exception) -> tuple[grpc.StatusCode, str, Trailers]:
        known = error if isinstance(error, JobsvcError) else JobsvcError(str(error))
        code, message, details = to_status(known, call_id=call_id)
        self._note(name, call_id, known.reason, error)
        return code, message, ((CALL_ID_KEY, call_id), (DETAILS_KEY, details))

    def _note(self, name: str, call_id: str, reason: str, error: Exception) -> None:
        """Write down what an operator should know of; wrong requests are the caller's business."""
        internal = not isinstance(error, JobsvcError) or answer_for(error).code is grpc.StatusCode.INTERNAL
        garbage = reason == "INVALID_ARGUMENT" and not getattr(error, "violations", ())
        if not (internal or garbage or reason.startswith("STORE_")):
            return
        held_back = self._sparing.allow(f"{name} {reason}")
        if held_back is None:
            return
        write = self._log.error if internal else self._log.warning
        write(
            "a call failed",
            method=name,
            reason=reason,
            error=str(error),
            call_id=call_id,
            held_back=held_back,
            exc_info=error if internal else None,
        )


async def _without_garbage(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if request is GARBAGE:
            raise InvalidRequest("a request is not a valid protobuf message of this method")
        yield request
