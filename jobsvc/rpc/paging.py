"""Page sizes and page tokens. A token says where the next page begins, and of which question."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from jobsvc.model.errors import InvalidRequest, Violation

DEFAULT_SIZE = 50
MAX_SIZE = 1_000
MAX_TOKEN = 1_000


def page_size(wanted: int) -> int:
    """Return how many rows a page has: 50 unless something else is wanted, never more than 1,000.

    Raises:
        InvalidRequest: It is negative.
    """
    if wanted < 0:
        problem = f"is {wanted}; write 1 to {MAX_SIZE}, or nothing for {DEFAULT_SIZE}"
        raise InvalidRequest(f"page_size {problem}", [Violation("page_size", problem)])
    return min(wanted or DEFAULT_SIZE, MAX_SIZE)


def write_token(question: str, place: Any) -> str:
    """Make a token.

    Args:
        question: What is asked for: the filter and the like. A token of another question is refused.
        place: Where the next page begins, as JSON can hold it.
    """
    raw = json.dumps([zlib.crc32(question.encode()), place], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def read_token(question: str, token: str, *types: type) -> Any:
    """Return the place of a token, ``None`` for an empty one.

    Args:
        question: The same as when it was made.
        token: As the caller sent it.
        types: What the place consists of, to refuse one that was made up.

    Raises:
        InvalidRequest: It is not a token, or one of another question.
    """
    if not token:
        return None
    problem = "is not a token of this server; leave it empty for the first page"
    try:
        if len(token) > MAX_TOKEN:
            raise ValueError
        made_for, place = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if [type(part) for part in place] != list(types):
            raise ValueError
        if made_for != zlib.crc32(question.encode()):
            problem = "belongs to another filter; leave it empty for the first page"
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise InvalidRequest(f"the page token {problem}", [Violation("page_token", problem)]) from None
    return place
