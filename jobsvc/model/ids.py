"""Ids of jobs and batches.

An id that the server makes names its shard, so that a job is found without looking anything up: ``0-7f3a91kc02m4x8qz``
is a job of shard 0, ``b0-...`` a batch, and ``b0-....17`` job 17 of that batch. Clients must treat ids as opaque.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from jobsvc.model.errors import MalformedId, Violation

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u, so that ids can be read aloud."""

LENGTH = 16
"""Characters after the shard: 80 bits, so that a billion random ids collide with probability 4e-7."""

SERVER_MADE = re.compile(rf"^b?\d+-[{ALPHABET}]{{{LENGTH}}}(\.\d+)?\Z")
ALLOWED = re.compile(r"^[A-Za-z0-9._:-]{1,128}\Z")

_PAIRS = [ALPHABET[bits & 31] + ALPHABET[bits >> 5] for bits in range(1_024)]


def _encode(raw: bytes) -> str:
    number = int.from_bytes(raw, "big")
    return "".join([_PAIRS[(number >> shift) & 1_023] for shift in range(0, 5 * LENGTH, 10)])


def new_job_id(request_id: str = "", *, shard: int = 0) -> str:
    """Make a job id: the same one for the same request id, a random one without."""
    return f"{shard}-{_suffix('job', request_id)}"


def new_batch_id(request_id: str = "", *, shard: int = 0) -> str:
    """Make a batch id: the same one for the same request id, a random one without."""
    return f"b{shard}-{_suffix('batch', request_id)}"


def _suffix(kind: str, request_id: str) -> str:
    if not request_id:
        return _encode(secrets.token_bytes(10))
    return _encode(hashlib.blake2b(f"{kind}\0{request_id}".encode(), digest_size=10).digest())


def check_id(value: str, field: str, *, chosen: bool = False) -> str:
    """Return ``value`` if it can be an id.

    Args:
        value: The id.
        field: Where it stands in the request, for the error.
        chosen: The caller wants to name something new; then it may not look like an id made by a server.

    Raises:
        MalformedId: It cannot be an id.
    """
    problem = ""
    if not value:
        problem = "is empty"
    elif not ALLOWED.match(value):
        problem = "must have 1 to 128 characters out of A-Z a-z 0-9 . _ : -"
    elif chosen and SERVER_MADE.match(value):
        problem = "looks like an id made by the server; choose another name, or leave it empty"
    if problem:
        shown = value if len(value) <= 64 else value[:64] + "..."
        raise MalformedId(f"{field} {shown!r} {problem}", [Violation(field, problem)], field=field)
    return value
