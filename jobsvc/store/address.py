"""Where Redis is, and what is said first on every connection."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.connection import parse_url

from jobsvc.model.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Address:
    """A Redis server, parsed from a URL.

    Attributes:
        path: Path of a unix socket, or empty.
        greeting: Commands to send on a new connection.
        label: The URL without its password, for messages.
    """

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None
    greeting: tuple[tuple[str, ...], ...]
    label: str


def parse_address(url: str) -> Address:
    """Parse ``redis://``, ``rediss://`` (TLS) or ``unix://`` with user, password and database.

    Raises:
        ConfigurationError: It is not such a URL.
    """
    try:
        parts: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
        label = _masked(url)
    except ValueError as error:
        raise ConfigurationError(
            f"the Redis URL (setting redis_url, JOBSVC_REDIS_URL) is wrong: {error}; "
            "write redis://host:6379/0, rediss://... for TLS, or unix:///path/to/socket?db=0"
        ) from None
    greeting: list[tuple[str, ...]] = []
    if parts.get("password"):
        user = (parts["username"],) if parts.get("username") else ()
        greeting.append(("AUTH", *user, parts["password"]))
    if parts.get("db"):
        greeting.append(("SELECT", str(parts["db"])))
    return Address(
        host=parts.get("host", "localhost"),
        port=int(parts.get("port", 6379)),
        path=parts.get("path", ""),
        tls=ssl.create_default_context() if url.startswith("rediss://") else None,
        greeting=tuple(greeting),
        label=label,
    )


def without_password(url: str) -> str:
    """The same address for those who may not know user and password, and so have to be refused."""
    split = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(split.query) if name not in ("username", "password")]
    place = f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"
    return f"{place}?{urlencode(query)}" if query else place


def _masked(url: str) -> str:
    split = urlsplit(url)
    if split.password is None:
        return url
    user = split.username or ""
    host = split.netloc.rpartition("@")[2]
    return split._replace(netloc=f"{user}:***@{host}").geturl()
