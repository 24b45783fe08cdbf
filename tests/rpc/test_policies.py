"""Retry policies on the wire: taken, shown, and refused where they are wrong."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.catalog import JobType
from jobsvc.model.job import ErrorCategory, JobError
from jobsvc.model.lifecycle import Outcome
from jobsvc.model.retry import RetryOverride, RetryPolicy, RetryRule
from jobsvc.rpc.conversion import OwnSettings, fill_spec, spec_template
from jobsvc.rpc.policies import Problems, read_policy
from jobsvc.store import records
from jobsvc_proto.v1 import catalog_service_pb2, common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, refusal, spec

P, R = common_pb2.RetryPolicy, common_pb2.RetryRule


def seconds(*values: float) -> list[Duration]:
    return [Duration(seconds=int(value), nanos=round(value % 1 * 10**9)) for value in values]


async def test_listed_delays_and_rules_come_with_a_job_and_are_shown(rig: Rig) -> None:
    policy = P(
        delays=seconds(0, 0.5, 90),
        rules=[
            R(error_code="INVALID_CREDENTIALS"),
            R(error_code="RATE_LIMITED", retry=True, delay=Duration(seconds=60)),
            R(error_code="NETWORK_ERROR", retry=True, delay=Duration()),
        ],
        max_lost_attempts=1,
    )

    answer = await rig.submit(arguments={"limit": 1}, retry_policy=policy)

    shown = (await rig.get(answer.job.job_id)).spec.retry_policy
    assert shown == answer.job.spec.retry_policy
    assert list(shown.delays) == list(policy.delays)
    assert list(shown.rules) == list(policy.rules)
    assert (shown.jitter, shown.HasField("initial_backoff"), shown.max_lost_attempts) == (0, False, 1)
    [claim] = await rig.claim()
    assert claim.retry == RetryOverride(
        delays_ms=(0, 500, 90_000),
        rules=(
            RetryRule("INVALID_CREDENTIALS", retry=False),
            RetryRule("RATE_LIMITED", delay_ms=60_000),
            RetryRule("NETWORK_ERROR", delay_ms=0),
        ),
    )


async def test_policy_of_a_job_type_is_shown(rig: Rig) -> None:
    made = RetryPolicy(
        delays_ms=(0, 30_000), jitter=0.0, rules=(RetryRule("*", retry=False),), max_lost_attempts=2
    )
    await rig.publish(JobType(name="test.policy", queue="q", arguments_schema="{}", retry=made))

    request = catalog_service_pb2.GetJobTypeRequest(name="test.policy")
    shown = (await rig.catalog.GetJobType(request)).job_type.retry_policy

    assert MessageToDict(shown) == {
        "maxAttempts": 3,
        "delays": ["0s", "30s"],
        "rules": [{"errorCode": "*"}],
        "maxLostAttempts": 2,
    }
    answer = await rig.submit(job_type="test.policy")
    assert answer.job.spec.retry_policy == shown


@pytest.mark.parametrize(
    ("policy", "field", "problem"),
    [
        (P(delays=seconds(*range(101))), "delays", "has 101 entries; at most 100 are allowed"),
        (P(delays=seconds(1, -1)), "delays[1]", "must be from 0 to 30 days"),
        (P(delays=seconds(31 * 86_400)), "delays[0]", "must be from 0 to 30 days"),
        (P(delays=seconds(1), max_backoff=Duration(seconds=1)), "delays", "contradicts initial_backoff"),
        (P(delays=seconds(1), backoff_multiplier=2), "delays", "contradicts initial_backoff"),
        (
            P(rules=[R(error_code="A"), R()]),
            "rules[1].error_code",
            'must have 1 to 256 characters; "*" is every',
        ),
        (P(rules=[R(error_code="A" * 257)]), "rules[0].error_code", "must have 1 to 256 characters"),
        (
            P(rules=[R(error_code="A", delay=Duration())]),
            "rules[0].delay",
            "needs retry: without it the rule ends",
        ),
        (
            P(rules=[R(error_code="A", retry=True, delay=Duration(nanos=-1))]),
            "rules[0].delay",
            "must be from 0",
        ),
        (P(rules=[R(error_code=str(n)) for n in range(101)]), "rules", "has 101 entries; at most 100"),
        (
            P(max_lost_attempts=10_001),
            "max_lost_attempts",
            "must be from 1 to 10000, or 0 for the job type's",
        ),
    ],
)
async def test_wrong_policies_are_refused_with_the_field(
    rig: Rig, policy: common_pb2.RetryPolicy, field: str, problem: str
) -> None:
    request = pb.SubmitRequest(spec=spec(arguments={"limit": 1}, retry_policy=policy))

    fault = await refusal(rig.jobs.Submit(request))

    assert fault.reason == "INVALID_ARGUMENT"
    assert fault.violations[f"spec.retry_policy.{field}"].startswith(problem)
    assert await rig.claim() == []


RULES = st.lists(
    st.builds(RetryRule, st.text(min_size=1, max_size=9), st.just(True), st.none() | st.integers(0, 10**9))
    | st.builds(RetryRule, st.text(min_size=1, max_size=9), st.just(False)),
    max_size=4,
).map(tuple)
DELAYS = st.lists(st.integers(0, 30 * 86_400_000), min_size=1, max_size=5).map(tuple)
FORMULA = st.builds(
    RetryOverride,
    initial_ms=st.none() | st.integers(0, 10**6),
    max_ms=st.none() | st.integers(0, 10**6),
    multiplier=st.none() | st.floats(1, 1_000),
    jitter=st.none() | st.floats(0.1, 1),
    rules=RULES,
)
LISTED = st.builds(RetryOverride, jitter=st.none() | st.floats(0.1, 1), delays_ms=DELAYS, rules=RULES)
POLICIES = st.sampled_from(
    [RetryPolicy(), RetryPolicy(delays_ms=(1, 2), jitter=0.0), RetryPolicy(5, 7, 9, 3.0, 0.5)]
)


@given(POLICIES, FORMULA | LISTED)
def test_what_is_shown_of_a_job_is_what_its_worker_goes_by(
    policy: RetryPolicy, override: RetryOverride
) -> None:
    message = spec_template(JobType(name="t", queue="q", retry=policy))
    fill_spec(message, OwnSettings("q", JobType(name="t", queue="q").priority, 0, 0, 0, override))
    problems: Problems = []

    _, _, shown = read_policy(message, problems)

    used, read = policy.with_override(override), RetryPolicy().with_override(shown)
    assert not problems
    assert (read.delays_ms, read.rules, read.jitter) == (used.delays_ms, used.rules, used.jitter)
    if not used.delays_ms:
        assert (read.initial_ms, read.max_ms, read.multiplier) == (
            used.initial_ms,
            used.max_ms,
            used.multiplier,
        )


async def test_attempt_says_how_long_its_job_waits(rig: Rig) -> None:
    answer = await rig.submit()
    error = JobError(ErrorCategory.APPLICATION, code="C", details='{"a":1}')

    await rig.finish(await rig.claim_one(), Outcome.RETRIED, records.dump_error(error), 30_000)

    job = await rig.get(answer.job.job_id)
    [attempt] = job.attempts
    assert (attempt.retry_delay.seconds, attempt.error.code, attempt.error.details.json) == (
        30,
        "C",
        '{"a":1}',
    )
    assert job.spec.not_before_time.ToMilliseconds() - attempt.end_time.ToMilliseconds() == 30_000
    assert job.snooze_count == 0


async def test_snoozes_are_shown_and_count_for_no_attempt(rig: Rig) -> None:
    answer = await rig.submit()

    await rig.finish(await rig.claim_one(), Outcome.SNOOZED, "", 30_000)

    job = await rig.get(answer.job.job_id)
    assert (job.snooze_count, job.attempt_count, list(job.attempts)) == (1, 0, [])
    assert job.state == common_pb2.JOB_STATE_SCHEDULED
