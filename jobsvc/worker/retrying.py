"""The retry policy of a handler, as it is written beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, TypeAlias

from jobsvc.model import retry as model
from jobsvc.model.errors import ConfigurationError
from jobsvc.model.retry_words import BadRetry, settings_from_words

ErrorName: TypeAlias = "type[BaseException] | str"
"""An exception class, or its name, or an error code."""

DEFAULT_POLICY = model.RetryPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is repeated, and after how long: what ``@handler(retry=...)`` takes.

    Durations are ``timedelta`` or seconds. What is not given is as without a policy: three attempts, 1 s, 2 s, 4 s and
    so on up to a minute between them, of which up to a fifth is taken off at random.

    Attributes:
        max_attempts: Failed attempts after which a job has failed; 1 for no retries.
        backoff: Delay after the first failed attempt.
        max_backoff: No delay is longer.
        multiplier: Factor from one delay to the next, from 1; 1 makes all delays equal.
        jitter: Fraction of each delay that may be taken off at random, 0 to 1; 0 with ``delays`` unless it is given.
        delays: The delays one by one instead of ``backoff`` and its like; the last repeats.
        rules: By error code or exception: ``False`` gives up, ``True`` retries, a duration retries after it. The first
            that matches decides; ``"*"`` matches every error, ``"TIMEOUT"`` an attempt that used up its time.
        give_up_on: Exceptions that end the job at once, with those that are derived from them.
        retry_on: If given, all other exceptions end the job at once.
        max_lost_attempts: Attempts that may be lost with their worker before the job has failed; by default 3.
    """

    max_attempts: int | None = None
    backoff: timedelta | float | None = None
    max_backoff: timedelta | float | None = None
    multiplier: float | None = None
    jitter: float | None = None
    delays: Sequence[timedelta | float] | None = None
    rules: Mapping[ErrorName, bool | float | timedelta] | None = None
    give_up_on: ErrorName | Sequence[ErrorName] | None = None
    retry_on: ErrorName | Sequence[ErrorName] | None = None
    max_lost_attempts: int | None = None


def retry_policy_of(
    where: str, policy: RetryPolicy | Mapping[str, Any] | None, **beside: Any
) -> model.RetryPolicy:
    """Read and check a handler's retry policy.

    Args:
        where: Where it is written, for messages.
        policy: The policy.
        beside: Parts of it that stand beside it; ``None`` is not given.

    Raises:
        ConfigurationError: Something is wrong with it.
    """
    if policy is not None and not isinstance(policy, RetryPolicy | Mapping):
        raise ConfigurationError(
            f"{where}: retry is {policy!r}; it must be a RetryPolicy, or a mapping with its words"
        )
    if isinstance(policy, RetryPolicy):
        words = {field.name: getattr(policy, field.name) for field in fields(policy)}
    else:
        words = dict(policy or {})
    words = {name: value for name, value in words.items() if value is not None}
    for name, value in beside.items():
        if value is None:
            continue
        if name in words:
            raise ConfigurationError(f"{where}: {name} is given twice, in retry and beside it")
        words[name] = value
    try:
        said = settings_from_words(words)
    except BadRetry as error:
        raise ConfigurationError(f"{where}: {error}") from None
    if not words:
        return DEFAULT_POLICY
    made = DEFAULT_POLICY.with_override(said.override, said.max_attempts)
    return replace(made, max_lost_attempts=said.max_lost_attempts)
