"""How a view speaks: durations, counts and remote text made safe to show in one line."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_SPACES = re.compile(r"\s+")


def one_line(text: str | None, limit: int) -> str:
    """Fold remote text into one line that can neither move a cursor nor reverse what follows it.

    Control characters (a terminal would obey them) and bidirectional overrides (a browser would) are
    dropped, white space becomes single spaces.

    Args:
        text: Anything that came over the wire; None counts as empty.
        limit: At most this many characters; a longer text ends in an ellipsis.
    """
    line = _SPACES.sub(" ", _CONTROL.sub("", text or "")).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def block(text: str | None, limit: int) -> str:
    """Keep the lines of a remote text, without control characters, cut at its beginning.

    Args:
        text: Anything that came over the wire, for example a traceback; None counts as empty.
        limit: At most this many characters are kept, from the end, where a traceback says what happened.
    """
    clean = _CONTROL.sub("", (text or "").replace("\r\n", "\n").replace("\t", "    ")).strip("\n")
    return clean if len(clean) <= limit else "…" + clean[-limit:]


def span(seconds: float) -> str:
    """Say how long something took or has been going on: ``0.8 s``, ``64 s``, ``2 min 05 s``, ``3 h 20 min``."""
    whole = int(max(0.0, seconds))
    if whole < 100:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def precise_span(seconds: float) -> str:
    """Say how long something took that is over: tenths of a second count below ten seconds."""
    return f"{max(0.0, seconds):.1f} s" if seconds < 10 else span(seconds)


def calm_span(seconds: float) -> str:
    """Say how long something may still take, in steps coarse enough not to flicker."""
    whole = round(max(0.0, seconds))
    if whole < 100:
        return f"{max(1, whole)} s"
    if whole < 600:
        tens = round(whole / 10) * 10
        return f"{tens // 60} min {tens % 60:02d} s"
    if whole < 7200:
        return f"{round(whole / 60)} min"
    return span(whole)


def rate(per_second: float, unit: str) -> str:
    """Say a speed with two digits that mean something: ``1.9 jobs/s``, ``23 jobs/min``; empty when nil."""
    if per_second <= 0:
        return ""
    if per_second >= 100:
        return f"{per_second:,.0f} {unit}/s"
    if per_second >= 0.95:
        return f"{per_second:.1f} {unit}/s"
    per_minute = per_second * 60
    return f"{per_minute:.0f} {unit}/min" if per_minute >= 0.95 else f"{per_minute * 60:.0f} {unit}/h"
