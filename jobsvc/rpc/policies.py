"""Retry policies and durations of requests: checked, and noted what is wrong with them."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from jobsvc.model.errors import Violation
from jobsvc.model.retry import RetryOverride, RetryRule
from jobsvc.model.retry_words import MAX_ATTEMPTS, MAX_DELAY_MS, MAX_DELAYS, MAX_MULTIPLIER, MAX_RULES
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb

DAY_MS = 86_400_000
MAX_ERROR_TYPES = 100
MAX_ERROR_NAME = 256

Problems = list[Violation]


def read_policy(spec: pb.JobSpec, problems: Problems) -> tuple[int, int, RetryOverride | None]:
    """Return (attempts, attempts that may be lost, the rest); 0 and ``None`` take the job type's."""
    if not spec.HasField("retry_policy"):
        return 0, 0, None
    policy, path = spec.retry_policy, "spec.retry_policy."
    for name in ("max_attempts", "max_lost_attempts"):
        if not 0 <= getattr(policy, name) <= MAX_ATTEMPTS:
            problems.append(
                Violation(path + name, f"must be from 1 to {MAX_ATTEMPTS}, or 0 for the job type's")
            )
    made = RetryOverride(
        *_formula(policy, path, problems),
        _jitter(policy, path, problems),
        _error_types(policy, path, problems),
        _delays(policy, path, problems),
        _rules(policy, path, problems),
    )
    return policy.max_attempts, policy.max_lost_attempts, None if made == RetryOverride() else made


def _formula(
    policy: common_pb2.RetryPolicy, path: str, problems: Problems
) -> tuple[int | None, int | None, float | None]:
    initial_ms = max_ms = None
    if policy.HasField("initial_backoff"):
        initial_ms = read_span(policy.initial_backoff, f"{path}initial_backoff", problems, 0, MAX_DELAY_MS)
    if policy.HasField("max_backoff"):
        max_ms = read_span(policy.max_backoff, f"{path}max_backoff", problems, 0, MAX_DELAY_MS)
    multiplier = policy.backoff_multiplier
    if multiplier and not 1 <= multiplier <= MAX_MULTIPLIER:
        problems.append(Violation(f"{path}backoff_multiplier", f"must be from 1 to {MAX_MULTIPLIER}"))
    return initial_ms, max_ms, multiplier or None


def _jitter(policy: common_pb2.RetryPolicy, path: str, problems: Problems) -> float | None:
    if policy.jitter and not 0 <= policy.jitter <= 1:
        problems.append(Violation(f"{path}jitter", "must be from 0 to 1"))
    return policy.jitter or None


def _error_types(policy: common_pb2.RetryPolicy, path: str, problems: Problems) -> tuple[str, ...]:
    types = tuple(policy.non_retryable_error_types)
    if len(types) > MAX_ERROR_TYPES or any(not 0 < len(name) <= MAX_ERROR_NAME for name in types):
        problems.append(
            Violation(
                f"{path}non_retryable_error_types",
                f"at most {MAX_ERROR_TYPES} names of 1 to {MAX_ERROR_NAME} characters",
            )
        )
    return types


def _delays(policy: common_pb2.RetryPolicy, path: str, problems: Problems) -> tuple[int, ...]:
    if not policy.delays:
        return ()
    if len(policy.delays) > MAX_DELAYS:
        problems.append(
            Violation(f"{path}delays", f"has {len(policy.delays)} entries; at most {MAX_DELAYS} are allowed")
        )
        return ()
    if policy.HasField("initial_backoff") or policy.HasField("max_backoff") or policy.backoff_multiplier:
        problems.append(
            Violation(
                f"{path}delays",
                "contradicts initial_backoff, max_backoff and backoff_multiplier: list the delays, or give a formula",
            )
        )
    return tuple(
        read_span(delay, f"{path}delays[{index}]", problems, 0, MAX_DELAY_MS)
        for index, delay in enumerate(policy.delays)
    )


def _rules(policy: common_pb2.RetryPolicy, path: str, problems: Problems) -> tuple[RetryRule, ...]:
    if len(policy.rules) > MAX_RULES:
        problems.append(
            Violation(f"{path}rules", f"has {len(policy.rules)} entries; at most {MAX_RULES} are allowed")
        )
        return ()
    return tuple(_rule(rule, f"{path}rules[{index}].", problems) for index, rule in enumerate(policy.rules))


def _rule(rule: common_pb2.RetryRule, path: str, problems: Problems) -> RetryRule:
    if not 0 < len(rule.error_code) <= MAX_ERROR_NAME:
        problems.append(
            Violation(f"{path}error_code", f'must have 1 to {MAX_ERROR_NAME} characters; "*" is every error')
        )
    delay_ms = None
    if rule.HasField("delay"):
        delay_ms = read_span(rule.delay, f"{path}delay", problems, 0, MAX_DELAY_MS)
        if not rule.retry:
            problems.append(
                Violation(f"{path}delay", "needs retry: without it the rule ends the job at once")
            )
    return RetryRule(rule.error_code, rule.retry, delay_ms)


def read_span(span: Duration, field: str, problems: Problems, least_ms: int, most_ms: int) -> int:
    """Return a duration in ms, rounded up, so that what is not nothing does not become nothing."""
    ms = span.seconds * 1_000 + -(-span.nanos // 1_000_000)
    if not least_ms <= ms <= most_ms or not 0 <= span.nanos < 10**9:
        least = "0" if least_ms == 0 else f"{least_ms} ms"
        problems.append(Violation(field, f"must be from {least} to {most_ms // DAY_MS} days"))
        return 0
    return ms
