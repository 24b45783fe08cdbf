"""Queues that are declared in code, beside the handlers that use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from jobsvc.model.errors import ConfigurationError
from jobsvc.model.queue import BadSetting, QueueSettings, check_queue_name, settings_from_words

Declarations: TypeAlias = dict[str, tuple[QueueSettings, tuple[str, ...]]]
"""Settings, and which of them were given, by queue."""

_declared: Declarations = {}


def queue(name: str, **words: Any) -> None:
    """Declare a queue: what its settings are unless somebody changes them while jobsvc runs.

    Workers give the settings to Redis when they start. What was changed since with ``UpdateQueue`` (``jobsvc queue
    set``) stays as it was changed.

    Args:
        name: The queue.
        words: ``max_concurrency``, ``max_concurrency_per_worker``, ``rate`` ("20/min") with ``burst``, ``max_waiting``,
            ``timeout``, ``priority``, ``max_attempts``, ``backoff``, ``max_backoff``, ``keep_completed_for``,
            ``keep_completed_count``, likewise for failed and cancelled. Durations are ``timedelta``, seconds, or text
            such as "5m".

    Raises:
        ConfigurationError: A setting is wrong, or the queue is declared twice with different ones.
    """
    declare(name, words, f"queue({name!r})")


def declare(name: str, words: dict[str, Any], where: str) -> None:
    """Declare a queue from wherever it is written down.

    Raises:
        ConfigurationError: A setting is wrong; the message says where it stands.
    """
    found = read_declaration(name, words, where)
    if _declared.setdefault(name, found) != found:
        raise ConfigurationError(f"{where}: the queue is declared twice, with different settings")


def read_declaration(name: str, words: dict[str, Any], where: str) -> tuple[QueueSettings, tuple[str, ...]]:
    """Read and check what is said of a queue.

    Raises:
        ConfigurationError: Something is wrong with it.
    """
    try:
        check_queue_name(name)
        return settings_from_words(words)
    except BadSetting as error:
        raise ConfigurationError(f"{where}: {error}") from None


def declarations(in_file: Mapping[str, dict[str, Any]]) -> Declarations:
    """What was declared so far, in code and in a file: settings, and which of them, by queue.

    Args:
        in_file: What the file, or the environment, says; it goes over what the code says.
    """
    found = dict(_declared)
    for name, words in in_file.items():
        settings, names = read_declaration(name, words, f"[queue.{name}]")
        before, names_before = found.get(name, (QueueSettings(), ()))
        changes = {field: getattr(settings, field) for field in names}
        found[name] = replace(before, **changes), tuple(dict.fromkeys((*names_before, *names)))
    return found
