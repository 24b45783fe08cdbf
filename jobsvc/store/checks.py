"""What a Redis must be like to be trusted with jobs; looked at when a server or worker starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from jobsvc.model.errors import ConfigurationError, JobsvcError
from jobsvc.store.calls.call import Call
from jobsvc.store.store import Store

MIN_REDIS = (7, 0)
MIN_VALKEY = (7, 2)

log = structlog.get_logger(__name__)


def judge(info: Mapping[str, str], policy: str, label: str) -> list[str]:
    """Say what is wrong with a Redis.

    Args:
        info: What ``INFO`` says.
        policy: Its ``maxmemory-policy``; empty when we may not ask.
        label: Its address, for messages.

    Returns:
        Warnings: it can be used, but jobs can be lost.

    Raises:
        ConfigurationError: It is too old.
    """
    name, wanted = ("Valkey", MIN_VALKEY) if "valkey_version" in info else ("Redis", MIN_REDIS)
    version = info.get("valkey_version") or info.get("redis_version", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < wanted:
        raise ConfigurationError(
            f"{name} at {label} is version {version}; jobsvc needs {name} {wanted[0]}.{wanted[1]} or newer"
        )
    warnings = []
    if policy not in ("", "noeviction"):
        warnings.append(
            f"maxmemory-policy is {policy}, so Redis may throw jobs away when memory is short; "
            "run CONFIG SET maxmemory-policy noeviction and put it into its configuration file"
        )
    if info.get("aof_enabled") == "0":
        warnings.append(
            "appendonly is off, so jobs are lost when Redis stops; "
            "run CONFIG SET appendonly yes and put it into its configuration file"
        )
    return warnings


def check(store: Store) -> None:
    """Ask Redis what it is like, and log what should be better.

    Raises:
        ConfigurationError: It is too old.
        StoreUnavailable: It cannot be reached.
    """
    info = store.run(Call(None, ("INFO",), _parse_info))
    try:
        policy = store.run(Call(None, ("CONFIG", "GET", "maxmemory-policy"), lambda reply: str(reply[1])))
    except JobsvcError:
        policy = ""  # hosted Redis often forbids CONFIG
    for warning in judge(info, policy, store.address.label):
        log.warning("Redis is not set up to keep jobs safe", redis=store.address.label, what=warning)


def _parse_info(reply: Any) -> dict[str, str]:
    pairs = (line.partition(":") for line in str(reply).splitlines())
    return {name: value for name, _, value in pairs if value}
