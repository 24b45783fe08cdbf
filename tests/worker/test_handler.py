"""Handlers before they run: declared, described, and their arguments read."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import dramatiq
import dramatiq.broker
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from jobsvc import handler
from jobsvc.broker import JobBroker
from jobsvc.model.errors import ConfigurationError
from jobsvc.model.job import ErrorCategory, JobError, Priority
from jobsvc.model.lifecycle import Outcome
from jobsvc.model.retry import RetryOverride, RetryPolicy
from jobsvc.store import records
from jobsvc.store.calls import Claim
from jobsvc.store.store import Store
from jobsvc.worker.decision import decide
from jobsvc.worker.execution import Ended, Handlers
from jobsvc.worker.handler import handler_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Range(BaseModel):
    low: int
    high: int = 10


@dataclasses.dataclass
class Place:
    city: str
    zip: int | None = None


def rich(
    day: date,
    span: Range,
    places: list[Place],
    colour: Colour = Colour.RED,
    mode: Literal["fast", "slow"] = "fast",
    share: Annotated[float, Field(ge=0, le=1)] = 0.5,
    anything=None,  # type: ignore[no-untyped-def]
    *,
    copy: bool = False,
    model_config: str = "x",
) -> dict[str, int]:
    """Do something.

    And explain it.
    """
    return {"days": day.day}


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> JobBroker:
    """A broker of its own for each test."""
    monkeypatch.setattr(dramatiq.broker, "global_broker", None)
    made = JobBroker(Store("redis://127.0.0.1:1"))
    dramatiq.set_broker(made)
    return made


def declared(actor: dramatiq.Actor[Any, Any]) -> Any:
    return handler_of(actor)


def test_handler_publishes_what_it_is(broker: JobBroker) -> None:
    actor = handler(
        "a.rich",
        queue="q",
        max_attempts=5,
        timeout=timedelta(seconds=1.5),
        isolation="thread",
        priority="high",
        backoff=0.5,
        max_backoff=timedelta(minutes=2),
    )(rich)

    job_type = declared(actor).job_type
    assert (job_type.name, job_type.queue, job_type.timeout_ms) == ("a.rich", "q", 1_500)
    assert (job_type.isolation, job_type.priority) == ("thread", Priority.HIGH)
    assert job_type.description == "Do something.\n\nAnd explain it."
    assert (job_type.retry.max_attempts, job_type.retry.initial_ms, job_type.retry.max_ms) == (
        5,
        500,
        120_000,
    )
    assert [found.job_type.name for found in Handlers(broker).all()] == ["a.rich"]
    assert broker.get_declared_queues() == {"q"}


def test_defaults_of_a_handler() -> None:
    job_type = declared(handler("a")(lambda: None)).job_type

    assert (job_type.queue, job_type.isolation, job_type.priority) == ("default", "process", Priority.MEDIUM)
    assert (job_type.timeout_ms, job_type.retry.max_attempts) == (30 * 60_000, 3)
    assert declared(handler("b", timeout=None)(lambda: None)).job_type.timeout_ms == 0


def test_schema_says_what_arguments_are_taken() -> None:
    job_type = declared(handler("a.rich")(rich)).job_type
    schema = json.loads(job_type.arguments_schema)

    assert schema["required"] == ["day", "span", "places"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert list(properties) == [
        "day",
        "span",
        "places",
        "colour",
        "mode",
        "share",
        "anything",
        "copy",
        "model_config",
    ]
    assert properties["day"] == {"format": "date", "type": "string"}
    assert properties["mode"] == {"default": "fast", "enum": ["fast", "slow"], "type": "string"}
    assert (properties["share"]["minimum"], properties["share"]["maximum"]) == (0, 1)
    assert json.loads(job_type.result_schema)["additionalProperties"] == {"type": "integer"}


def test_arguments_become_what_the_annotations_say() -> None:
    read = declared(handler("a.rich")(rich)).arguments.read

    args, kwargs = read(
        '{"day":"2024-02-29","span":{"low":1},"places":[{"city":"x"}],"colour":"blue","copy":true}'
    )

    assert args == []
    assert kwargs == {
        "day": date(2024, 2, 29),
        "span": Range(low=1),
        "places": [Place("x")],
        "colour": Colour.BLUE,
        "copy": True,
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "day: Field required; span: Field required; places: Field required"),
        ('{"day":"x","span":{"low":1},"places":[]}', "day: Input should be a valid date"),
        ('{"day":"2024-01-01","span":{"low":"y"},"places":[]}', "span.low: Input should be a valid integer"),
        (
            '{"day":"2024-01-01","span":{"low":1},"places":[],"extra":1}',
            "extra: Extra inputs are not permitted",
        ),
        (
            '{"day":"2024-01-01","span":{"low":1},"places":[],"share":2}',
            "share: Input should be less than or equal",
        ),
    ],
)
def test_wrong_arguments_are_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace(".", r"\.")):
        declared(handler("a.rich")(rich)).arguments.read(text)


def test_handler_is_still_a_function() -> None:
    @handler("a.twice")
    def twice(x: int) -> int:
        return 2 * x

    assert twice(4) == 8
    assert twice.fn(4) == 8


def test_coroutine_function_runs_in_a_loop_of_its_own() -> None:
    @handler("a.wait")
    async def wait(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert declared(wait).function(1) == 2


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("", {}, "the job type must be names joined by dots"),
        ("a b", {}, "names joined by dots"),
        ("a..b", {}, "names joined by dots"),
        ("1.a", {}, "names joined by dots"),
        ("a" * 129, {}, "names joined by dots"),
        (
            "a",
            {"max_attempts": 0},
            "max_attempts is 0; it must be a whole number from 1 to 10,000; it counts",
        ),
        ("a", {"timeout": 0}, "timeout is 0; it must be positive"),
        ("a", {"timeout": timedelta(seconds=-1)}, "must be positive"),
        ("a", {"isolation": "container"}, "isolation is 'container'; it can be"),
        ("a", {"priority": "highest"}, "priority is 'highest'; it can be low, medium, high, urgent"),
    ],
)
def test_wrong_settings_are_refused_where_they_stand(
    name: str, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        handler(name, **options)(lambda: None)

    assert f"@handler({name!r})" in str(caught.value)


def test_name_can_be_used_once() -> None:
    handler("a.b")(lambda: None)

    with pytest.raises(ConfigurationError, match=r"@handler\('a.b'\) on .*lambda"):
        handler("a.b")(lambda: None)


def test_parameter_that_json_cannot_carry_is_refused() -> None:
    def takes(x: object, y: Iterator[int]) -> None: ...

    class Odd:
        pass

    def odd(x: Odd) -> None: ...

    odd.__annotations__["x"] = Odd

    with pytest.raises(ConfigurationError, match="a parameter has a type that JSON cannot carry"):
        handler("a.odd")(odd)


# -- what follows from an attempt ------------------------------------------------------------------------------------


def claim(attempt: int = 1, lost: int = 0, max_attempts: int = 0, spec: str = "") -> Claim:
    return Claim("j", "t", "type", "q", attempt, lost, "", max_attempts, 0, 0, "{}", spec)


def error(**options: Any) -> JobError:
    return JobError(
        **{"category": ErrorCategory.APPLICATION, "type": "builtins.ValueError", "retryable": True} | options
    )


POLICY = RetryPolicy(max_attempts=3, initial_ms=100, jitter=0.0)


def outcome(given: Claim, ended: Ended, policy: RetryPolicy = POLICY) -> tuple[Outcome, int]:
    report = decide(given, ended, policy, lambda: 0.0)
    assert (report.job_id, report.token) == ("j", "t")
    return report.outcome, report.delay_ms


def test_result_completes() -> None:
    report = decide(claim(), Ended(result="[1]"), POLICY, lambda: 0.0)

    assert (report.outcome, report.body) == (Outcome.COMPLETED, "[1]")


@given(st.integers(1, 20), st.integers(0, 19), st.integers(0, 20))
def test_lost_attempts_do_not_count_as_failed(attempt: int, lost: int, own: int) -> None:
    lost = min(lost, attempt - 1)

    found, _ = outcome(claim(attempt, lost, own), Ended(error=error()))

    assert (found is Outcome.FAILED) == (attempt - lost >= (own or 3))


def test_outcomes_follow_from_the_error() -> None:
    assert outcome(claim(1), Ended(error=error())) == (Outcome.RETRIED, 100)
    assert outcome(claim(2), Ended(error=error())) == (Outcome.RETRIED, 200)
    assert outcome(claim(3), Ended(error=error())) == (Outcome.FAILED, 0)
    assert outcome(claim(1), Ended(error=error(retryable=False))) == (Outcome.FAILED, 0)
    assert outcome(claim(1), Ended(error=error(), after_ms=7)) == (Outcome.RETRIED, 7)
    assert outcome(claim(3), Ended(error=error(), after_ms=7)) == (Outcome.FAILED, 0)
    assert outcome(claim(1), Ended(error=error(category=ErrorCategory.CANCELLED))) == (Outcome.CANCELLED, 0)


def test_job_has_its_own_back_off() -> None:
    spec = records.compact({"retry": {"initial_ms": 5, "non_retryable_types": ["KeyError"]}})

    assert claim(spec=spec).retry == RetryOverride(initial_ms=5, non_retryable_types=("KeyError",))
    assert outcome(claim(spec=spec), Ended(error=error())) == (Outcome.RETRIED, 5)
    assert outcome(claim(spec=spec), Ended(error=error(type="builtins.KeyError"))) == (Outcome.FAILED, 0)


def test_error_travels_whole() -> None:
    given = error(message="m", stack_trace="t\n", code="C")

    report = decide(claim(3), Ended(error=given), POLICY, lambda: 0.0)

    assert records.load_error(json.loads(report.body)) == given
