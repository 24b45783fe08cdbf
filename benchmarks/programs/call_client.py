"""Makes the same call again and again, so many at a time, and counts.

``python -m benchmarks.programs.call_client ADDRESS METHOD REQUEST_FILE IN_FLIGHT SECONDS`` prints JSON: ``rate`` in
calls a second after a warm-up, ``calls`` in all, warm-up included, and ``cpu_us`` of the client for one call. Requests
and answers stay bytes, so that all contestants cost the client the same.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import grpc

from benchmarks.programs.loops import run

WARM_UP_S = 0.5


async def call(address: str, method: str, request: bytes, in_flight: int, seconds: float) -> None:
    """Make calls and print what came of it."""
    calls = 0
    async with grpc.aio.insecure_channel(address) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        end_s = time.monotonic() + WARM_UP_S

        async def go_on() -> None:
            nonlocal calls
            while time.monotonic() < end_s:
                await ask(request, timeout=10)
                calls += 1

        async def go_on_together() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(in_flight):
                    group.create_task(go_on())

        await go_on_together()
        warm_up, start_s, cpu_s = calls, time.monotonic(), time.process_time()
        end_s = start_s + seconds
        await go_on_together()
        counted, span_s = calls - warm_up, time.monotonic() - start_s
        cpu_us = (time.process_time() - cpu_s) / counted * 1e6
    print(json.dumps({"rate": counted / span_s, "calls": calls, "cpu_us": cpu_us}), flush=True)


if __name__ == "__main__":
    run(call(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes(), int(sys.argv[4]), float(sys.argv[5])))
