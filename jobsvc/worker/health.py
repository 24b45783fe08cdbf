"""A worker's answers to those who watch over processes: is it alive, is it ready?"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jobsvc.model.errors import ConfigurationError

Look = Callable[[], tuple[bool, dict[str, Any]]]
"""Says whether all is well, and the facts behind it."""


class HealthEndpoint:
    """Serves ``GET /live`` and ``GET /ready``: 200 when all is well, else 503; the body is JSON.

    Args:
        address: ``HOST:PORT``; port 0 takes any free one.
        live: Whether the worker does its rounds; if not it should be killed.
        ready: Whether it takes jobs.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """

    def __init__(self, address: str, *, live: Look, ready: Look) -> None:
        looks = {"/live": live, "/ready": ready}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                look = looks.get(self.path)
                well, facts = look() if look else (False, {"error": "there are /live and /ready"})
                body = json.dumps({"ok": well, **facts}).encode()
                self.send_response(200 if well else 503 if look else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: probes come every few seconds."""

        host, _, port = address.rpartition(":")
        try:
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
        except OSError as error:
            raise ConfigurationError(
                f"setting health: cannot listen on {address}: {error.strerror or error}; choose another address"
            ) from None
        self._server.daemon_threads = True
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="jobsvc-health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
