"""Log lines, on standard error: for people, or one JSON object a line for machines.

Everybody logs through ``structlog.get_logger()`` with an event and key-value pairs; lines of libraries that use the
standard library's ``logging`` come out in the same form. Text from outside cannot forge a line or grow without end:
control characters are escaped and long values are cut.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from jobsvc.config import Settings

LONGEST_VALUE = 4000
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127) if chr(code) not in "\t\n"}

Event = MutableMapping[str, Any]


def configure(settings: Settings, process: str) -> None:
    """Set logging up for this process, once, at its start.

    Args:
        settings: Level and format.
        process: Short word that says which process it is, such as ``server``; on every line.
    """

    def name_process(_logger: object, _method: str, event: Event) -> Event:
        event.setdefault("process", process)
        return event

    first: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
    ]
    structlog.configure(
        processors=[*first, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _tame,
                _renderer(settings),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)


def _renderer(settings: Settings) -> Any:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)


def _tame(_logger: object, _method: str, event: Event) -> Event:
    """Escape control characters, keep a value on its line, and cut what is too long."""
    for key, value in event.items():
        if isinstance(value, str):
            text = value.translate(_CONTROL)
            if key != "exception":
                text = text.replace("\n", "\\n")
            event[key] = (
                text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({len(text)} characters)"
            )
    return event
