"""Where the server is and how it is spoken to. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from .errors import NotAvailable

DEFAULT_ADDRESS = "127.0.0.1:7443"
MAX_MESSAGE_BYTES = 128 * 1024 * 1024
"""Largest message either way: 200 jobs with arguments and results at the inline limit."""

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A connection that died without a word is noticed after 40 s. The server allows a ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A server that comes back is found within seconds; the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)

_ADDRESS = re.compile(r"^(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d{1,5})$")


def sdk_version() -> str:
    """Return the installed version of this SDK, ``0`` in a tree that is not installed."""
    try:
        return metadata.version("jobsvc-sdk")
    except metadata.PackageNotFoundError:
        return "0"


def check_version(oldest: str, address: str) -> None:
    """Refuse to speak to a server that no longer understands clients as old as this one.

    Args:
        oldest: The oldest client version it takes; empty takes any.
        address: The server.

    Raises:
        NotAvailable: This SDK is older.
    """
    mine = sdk_version()
    if oldest and mine != "0" and _numbers(mine) < _numbers(oldest):
        raise NotAvailable(
            f"the jobsvc server at {address} needs jobsvc-sdk {oldest} or newer, this is {mine}: "
            f"pip install --upgrade 'jobsvc-sdk>={oldest}'"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@dataclass(frozen=True, slots=True)
class Connection:
    """Address and credential of one client.

    Attributes:
        address: ``host:port``.
        token: Sent as bearer token with every call; empty sends none.
    """

    address: str
    token: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Headers of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def __repr__(self) -> str:
        return f"Connection({self.address!r}{', token=...' if self.token else ''})"


def resolve(address: str | None, token: str | None, environ: Mapping[str, str] | None = None) -> Connection:
    """Decide where to connect: what is given, else ``JOBSVC_ADDRESS`` and ``JOBSVC_TOKEN``, else this machine.

    Raises:
        ValueError: The address is not ``host:port``.
    """
    environ = os.environ if environ is None else environ
    source = "address" if address else "JOBSVC_ADDRESS"
    text = (address or environ.get("JOBSVC_ADDRESS") or DEFAULT_ADDRESS).strip()
    place = text.removeprefix("grpc://").rstrip("/")
    if ":" not in place:
        place = f"{place}:{DEFAULT_ADDRESS.rpartition(':')[2]}"
    match = _ADDRESS.match(place)
    if match is None or not 0 < int(match[2]) < 65_536:
        raise ValueError(f"{source} is {text!r}; expected host:port, for example {DEFAULT_ADDRESS!r}")
    return Connection(place, token if token is not None else environ.get("JOBSVC_TOKEN", ""))
