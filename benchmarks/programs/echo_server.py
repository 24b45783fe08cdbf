"""The least that a gRPC server in Python can do: answer a call with bytes that it has at hand.

``python -m benchmarks.programs.echo_server ANSWER_FILE`` prints its address and serves until it is stopped.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc

from benchmarks.programs.loops import run

METHOD = "/bench.Echo/Call"


async def serve(answer: bytes) -> None:
    """Serve for ever."""

    async def call(request: bytes, context: object) -> bytes:
        return answer

    service, _, method = METHOD.removeprefix("/").partition("/")
    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(
        service, {method: grpc.unary_unary_rpc_method_handler(call)}
    )
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(serve(Path(sys.argv[1]).read_bytes()))
