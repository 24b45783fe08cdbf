"""Numbers and labels as compact JSON: no NaN, and no digits that mean nothing."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

SIGNIFICANT_DIGITS = 6


def figure(value: Any) -> float | None:
    """Round to six significant digits; ``None`` for what is not a finite number."""
    number = float(value)
    if not math.isfinite(number):
        return None
    return float(f"{number:.{SIGNIFICANT_DIGITS}g}")


def label(value: Any) -> str | int | float | bool | None:
    """Turn one value of a table into what JSON can hold: dates as ISO text, missing as ``None``."""
    if isinstance(value, datetime | date):
        text = value.isoformat() if value == value else None  # NaT differs from itself
        return text.removesuffix("T00:00:00") if text else None
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else figure(value)
    return value if isinstance(value, str | int | bool) or value is None else str(value)
