"""Python arguments to JSON text, refusing what JSON cannot carry and naming where it is."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from .errors import ParamError, Violation

MAX_DEPTH = 100
"""Nesting beyond this is taken for a mistake: most often a structure that contains itself."""


class _NotJson(Exception):
    """Says what is wrong at the place that is being converted."""


def encode_arguments(arguments: Mapping[str, Any]) -> str:
    """Return arguments as JSON text.

    Beside what JSON knows it takes dates, times and durations (ISO 8601), ``Decimal``, ``UUID``, enums, paths, NumPy
    scalars and arrays, pandas timestamps and pydantic models.

    Args:
        arguments: Values by argument name.

    Raises:
        ParamError: A value is NaN or infinite, or of a type that JSON cannot carry; every such place is named.
    """
    if not isinstance(arguments, Mapping):
        raise ParamError(
            f"arguments must be a dict of names and values, not {type(arguments).__name__}",
            violations=[Violation("arguments", "must be a dict of names and values")],
        )
    violations: list[Violation] = []
    plain = _walk(arguments, "arguments", 0, violations)
    if violations:
        listed = "; ".join(f"{violation.field} {violation.description}" for violation in violations[:5])
        raise ParamError(listed, violations=violations)
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _walk(value: Any, path: str, depth: int, violations: list[Violation]) -> Any:
    """Return ``value`` as JSON types; what cannot be is noted and replaced by None."""
    if value is None or type(value) in (str, int, bool):
        return value
    try:
        if depth > MAX_DEPTH:
            raise _NotJson(f"is nested more than {MAX_DEPTH} deep; does it contain itself?")
        if isinstance(value, Mapping):
            return {
                _key(key): _walk(item, f"{path}.{key}", depth + 1, violations) for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [
                _walk(item, f"{path}[{index}]", depth + 1, violations) for index, item in enumerate(value)
            ]
        simple = _simple(value)
    except _NotJson as exc:
        violations.append(Violation(path, str(exc)))
        return None
    if isinstance(simple, (dict, list)):
        return _walk(simple, path, depth + 1, violations)
    return simple


def _key(key: Any) -> str:
    if isinstance(key, Enum):
        key = key.value
    if not isinstance(key, str):
        raise _NotJson(f"has the key {key!r}; keys must be text")
    return str(key)


def _simple(value: Any) -> Any:
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    if hasattr(value, "dtype"):
        return _numpy(value)
    if callable(getattr(value, "model_dump", None)):
        return value.model_dump(mode="json")
    raise _NotJson(f"is a {_type_name(value)}, which JSON cannot carry{_advice(value)}")


def _float(value: float) -> float:
    if math.isnan(value):
        raise _NotJson("is NaN; JSON has no NaN, use None")
    if math.isinf(value):
        raise _NotJson("is infinite; JSON has no infinity, use None or a limit")
    return float(value)


def _decimal(value: Decimal) -> int | float | str:
    """Keep every digit: a number where one can hold them, text where none can."""
    if not value.is_finite():
        _float(float(value))
    if value == value.to_integral_value():
        return int(value)
    near = float(value)
    return near if Decimal(repr(near)) == value else str(value)


def _moment(value: date | time) -> str:
    text = value.isoformat()
    if text == "NaT":
        raise _NotJson("is NaT; use None")
    return text


def _span(value: timedelta) -> str:
    seconds = value.total_seconds()
    if math.isnan(seconds):
        raise _NotJson("is NaT; use None")
    return f"{'-' if seconds < 0 else ''}PT{Decimal(repr(abs(seconds))):f}S"


def _numpy(value: Any) -> Any:
    if getattr(value.dtype, "kind", "") == "M" and getattr(value, "shape", None) == ():
        if str(value) == "NaT":
            raise _NotJson("is NaT; use None")
        return str(value)
    if getattr(value.dtype, "kind", "") in ("b", "i", "u", "f", "U") and not hasattr(value, "to_frame"):
        return _number(value.tolist())
    raise _NotJson(f"is a {_type_name(value)}, which JSON cannot carry{_advice(value)}")


def _number(value: Any) -> Any:
    return _float(value) if isinstance(value, float) else value


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _advice(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return "; use a sorted list"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "; decode it, or pass the name of a file the worker can read"
    if hasattr(value, "to_frame") or hasattr(value, "to_dict"):
        return "; use .to_dict(), .tolist(), or the name of a data set the worker can read"
    return ""


_CONVERSIONS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    (str, str),
    (int, int),
    (float, _float),
    ((date, datetime, time), _moment),
    (timedelta, _span),
    (Decimal, _decimal),
    (UUID, str),
    (os.PathLike, os.fspath),
)
