"""The filter of List: ``state = failed AND queue = "risk"``, a small part of AIP-160."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from jobsvc.model.errors import InvalidRequest, Violation
from jobsvc.model.lifecycle import JobState

MAX_LENGTH = 2_000

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*") |
        (?P<sign>!=|<=|>=|[=<>():]) |
        (?P<word>[A-Za-z0-9._:*-]+) |
        (?P<end>$)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a job must be; ``None`` and empty match everything."""

    state: JobState | None = None
    queue: str = ""
    batch: str = ""
    job_type: str = ""


FIELDS = ("state", "queue", "batch", "job_type")


def parse_filter(text: str) -> Filter:
    """Read a filter; an empty one matches everything.

    Raises:
        InvalidRequest: It is not one; the message says at which character, counted from 1, and what is expected there.
    """
    if len(text) > MAX_LENGTH:
        raise _wrong(MAX_LENGTH, f"nothing more than {MAX_LENGTH} characters", "more")
    tokens = _Tokens(text)
    found: dict[str, str] = {}
    position, kind, value = next(tokens)
    while kind != "end":
        field = _expect(kind == "word" and value in FIELDS, position, f"one of {', '.join(FIELDS)}", value)
        _expect(field not in found, position, f"{field} only once", value)
        position, kind, value = next(tokens)
        _expect(value == "=" and kind == "sign", position, "=", value)
        position, kind, value = next(tokens)
        _expect(kind in ("word", "text"), position, "a value, in quotes unless it is a plain word", value)
        found[field] = _state(value, position) if field == "state" else value
        position, kind, value = next(tokens)
        if kind != "end":
            _expect(kind == "word" and value == "AND", position, "AND or the end", value)
            position, kind, value = next(tokens)
            _expect(kind != "end", position, f"one of {', '.join(FIELDS)} after AND", value)
    state = JobState(found.pop("state")) if "state" in found else None
    return Filter(state=state, **found)


def matches(one: Filter, *, job_type: str, queue: str) -> bool:
    """Whether a job passes as far as its type and queue say."""
    return (not one.job_type or job_type == one.job_type) and (not one.queue or queue == one.queue)


class _Tokens:
    """Iterates over (position from 1, kind, value); after the end it stays at the end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def __next__(self) -> tuple[int, str, str]:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            start = self._at + len(self._text[self._at :]) - len(self._text[self._at :].lstrip())
            raise _wrong(
                start + 1, _PLACES.get(self._text[start], "a field, a sign or a value"), self._text[start]
            )
        kind = match.lastgroup or "end"
        self._at = match.end()
        raw = match[kind]
        value = _unquote(raw, match.start(kind) + 1) if kind == "text" else raw
        return match.start(kind) + 1, kind, value


_PLACES: Mapping[str, str] = {'"': 'a closing "', "'": 'double quotes (")'}


def _unquote(raw: str, position: int) -> str:
    try:
        value = json.loads(raw, strict=False)
    except ValueError:
        raise _wrong(position, "text in quotes with the escapes of JSON", raw) from None
    if not value:
        raise _wrong(position, "a value that is not empty", raw)
    return str(value)


def _state(value: str, position: int) -> str:
    _expect(value.lower() in set(JobState), position, f"one of {', '.join(JobState)}", value)
    return value.lower()


def _expect(condition: bool, position: int, expected: str, found: str) -> str:
    if not condition:
        raise _wrong(position, expected, found)
    return found


def _wrong(position: int, expected: str, found: str) -> InvalidRequest:
    shown = f"{found[:40]!r}" if found else "the end"
    problem = f"at character {position}: expected {expected}, found {shown}"
    return InvalidRequest(
        f"the filter is wrong {problem}", [Violation("filter", problem)], position=str(position)
    )
