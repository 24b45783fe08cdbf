"""Strict JSON: what one side writes, every other side reads as the same value.

Python's parser accepts NaN, infinities, duplicate keys, numbers with thousands of digits and any depth; other languages
do not, or read something else. So they are refused at the door, with the place where they stand.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects."""

MAX_NUMBER_LENGTH = 400
"""Most characters of one number; more can only be an attack or an accident."""


class JsonProblem(ValueError):
    """The text is not JSON that everybody reads alike."""


def parse(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        JsonProblem: It is not JSON, or has NaN or Infinity, a number too large for a double, duplicate keys, a number
            above ``MAX_NUMBER_LENGTH`` characters, a lone surrogate, or nesting above ``MAX_DEPTH``.
    """
    if "\\ud" in text or "\\uD" in text or not text.isascii():
        _refuse_lone_surrogates(text)
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise JsonProblem(f"is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise JsonProblem(f"is not JSON: {error.msg} at character {error.pos}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def dump(value: Any) -> str:
    """Write a value as compact JSON.

    Raises:
        JsonProblem: The value has NaN or infinities, a lone surrogate, or types that JSON does not have.
    """
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
        if not text.isascii():
            text.encode()
        return text
    except UnicodeEncodeError:
        raise JsonProblem("has half of a surrogate pair, which is not a character") from None
    except ValueError as error:
        if "circular" in str(error).lower():
            raise JsonProblem("refers to itself") from None
        found = find_not_finite(value)
        what = f"{found}; JSON has no such number" if found else f"cannot be written as JSON: {error}"
        raise JsonProblem(what) from None
    except (TypeError, RecursionError) as error:
        raise JsonProblem(f"cannot be written as JSON: {error}") from None


def find_not_finite(value: Any, path: str = "the value") -> str:
    """Say where in a value a number is NaN or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {value}"
    items: Any = ()
    if isinstance(value, dict):
        items = ((f"{path}.{key}", item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        items = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    for place, item in items:
        found = find_not_finite(item, place)
        if found:
            return found
    return ""


def _refuse_constant(name: str) -> Any:
    raise JsonProblem(f"has {name}, which JSON does not allow; use null or a string")


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or len(text) > MAX_NUMBER_LENGTH:
        raise JsonProblem(f"has the number {text[:24]}, which is too large")
    return value


def _parse_int(text: str) -> int:
    if len(text) > MAX_NUMBER_LENGTH:
        raise JsonProblem(
            f"has a whole number of {len(text)} digits; at most {MAX_NUMBER_LENGTH} are allowed"
        )
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonProblem(f"has the key {key!r} twice")
            seen.add(key)
    return value


_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant,
    parse_float=_parse_float,
    parse_int=_parse_int,
    object_pairs_hook=_unique,
)
"""Made once: to make one takes as long as to read a short text."""


def _refuse_lone_surrogates(text: str) -> None:
    try:
        text.encode()
        if "\\u" not in text:
            return
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise JsonProblem("has half of a surrogate pair, which is not a character") from None
    except (ValueError, RecursionError):
        return  # the parser proper says it better


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise JsonProblem(f"is nested deeper than {MAX_DEPTH} levels")
