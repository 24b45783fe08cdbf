"""Sending messages of Dramatiq actors as jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import dramatiq
import dramatiq.broker
import pytest
from dramatiq.errors import ConnectionClosed, QueueJoinTimeout, QueueNotFound
from dramatiq.middleware import Middleware

from jobsvc.broker import JobBroker, current_broker
from jobsvc.model.errors import IdConflict, InvalidRequest
from jobsvc.model.job import Priority
from jobsvc.model.jsontext import parse
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls
from jobsvc.store.store import Store
from tests.waiting import until


@pytest.fixture
def store(redis_url: tuple[str, str]) -> Iterator[Store]:
    made = Store(*redis_url)
    yield made
    made.close()


@pytest.fixture
def broker(store: Store) -> JobBroker:
    return JobBroker(store)


def job(store: Store, job_id: str) -> Any:
    (found,) = store.run(calls.read([job_id], full=True))
    assert found is not None
    return found


def arguments(store: Store, message: dramatiq.Message[Any]) -> Any:
    return parse(job(store, message.message_id).arguments)


def declare(broker: JobBroker, **options: Any) -> dramatiq.Actor[Any, Any]:
    def work(a: Any, b: Any = 2, *rest: Any, flag: Any = None, **more: Any) -> None: ...

    return dramatiq.actor(work, broker=broker, **{"queue_name": "q", **options})  # type: ignore[call-overload,no-any-return]


def test_sent_message_is_a_job(broker: JobBroker, store: Store) -> None:
    message = declare(broker, actor_name="some.work").send(1, b="é")

    sent = job(store, message.message_id)
    assert (sent.type, sent.queue, sent.state) == ("some.work", "q", JobState.QUEUED)
    assert parse(sent.arguments) == {"a": 1, "b": "é"}
    assert (sent.priority, sent.max_attempts, sent.timeout_ms) == (Priority.MEDIUM, 0, 0)


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1,), {}, {"a": 1}),
        ((), {"a": 1}, {"a": 1}),
        ((1, 2), {"flag": True}, {"a": 1, "b": 2, "flag": True}),
        ((1, 2, 3, 4), {"x": 5}, {"a": 1, "b": 2, "rest": [3, 4], "x": 5}),
    ],
)
def test_positional_arguments_get_their_names(
    broker: JobBroker, store: Store, args: tuple[Any, ...], kwargs: dict[str, Any], named: dict[str, Any]
) -> None:
    assert arguments(store, declare(broker).send(*args, **kwargs)) == named


def test_delayed_message_is_a_scheduled_job(broker: JobBroker, store: Store) -> None:
    message = declare(broker).send_with_options(args=(1,), delay=60_000)

    sent = job(store, message.message_id)
    assert sent.state is JobState.SCHEDULED
    assert 55_000 < sent.due_ms - sent.create_ms <= 60_000


def test_options_of_a_message_go_to_its_job(broker: JobBroker, store: Store) -> None:
    actor = declare(broker, priority=-1)

    message = actor.send_with_options(args=(1,), max_retries=4, time_limit=1_500)

    sent = job(store, message.message_id)
    assert (sent.max_attempts, sent.timeout_ms, sent.priority) == (5, 1_500, Priority.HIGH)


def test_message_that_is_sent_again_is_the_same_job(broker: JobBroker, store: Store) -> None:
    actor = declare(broker)
    message = actor.message(1)
    for _ in range(3):
        broker.enqueue(message)

    (row,) = store.run(calls.counts(["q"]))[1]
    assert row.queued == 1
    with pytest.raises(IdConflict):
        broker.enqueue(message.copy(args=(2,)))


def test_message_for_an_actor_that_is_not_known_here_needs_named_arguments(
    broker: JobBroker, store: Store
) -> None:
    def message(*args: Any, **kwargs: Any) -> dramatiq.Message[Any]:
        return dramatiq.Message(queue_name="q", actor_name="far.away", args=args, kwargs=kwargs, options={})

    sent = broker.enqueue(message(x=1))
    assert (job(store, sent.message_id).type, arguments(store, sent)) == ("far.away", {"x": 1})
    with pytest.raises(InvalidRequest, match=r"actor 'far.away' is not known here.* send keyword arguments"):
        broker.enqueue(message(1))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "NaN|nan"),
        (object(), "cannot be written as JSON"),
        ("\ud800", "half of a surrogate pair"),
    ],
)
def test_arguments_that_json_cannot_carry_are_refused(broker: JobBroker, value: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        declare(broker).send(value)


def test_arguments_that_do_not_fit_are_refused(broker: JobBroker) -> None:
    def strict(a: int) -> None: ...

    actor = dramatiq.actor(strict, broker=broker)

    with pytest.raises(InvalidRequest, match="strict: too many positional arguments"):
        actor.send(1, 2)


def test_redis_that_is_away_is_a_closed_connection() -> None:
    broker = JobBroker(Store("redis://127.0.0.1:1"))

    with pytest.raises(ConnectionClosed, match="cannot be reached"):
        declare(broker).send(1)


def test_middleware_hears_of_messages(store: Store) -> None:
    heard: list[str] = []

    class Ear(Middleware):
        def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
            heard.append(f"before {message.actor_name} {delay}")

        def after_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
            heard.append("after")

        def after_declare_queue(self, broker: Any, queue_name: str) -> None:
            heard.append(f"queue {queue_name}")

    broker = JobBroker(store, [Ear()])
    declare(broker, actor_name="w").send_with_options(args=(1,), delay=5)
    declare(broker, actor_name="v")

    assert heard == ["queue q", "before w 5", "after"]


def test_queues_of_actors_are_known(broker: JobBroker) -> None:
    declare(broker, actor_name="a", queue_name="one")
    declare(broker, actor_name="b", queue_name="two")

    assert broker.get_declared_queues() == {"one", "two"}
    assert broker.get_declared_delay_queues() == set()


def test_dramatiqs_own_worker_is_refused(broker: JobBroker) -> None:
    with pytest.raises(InvalidRequest, match="jobsvc worker --import MODULE"):
        broker.consume("q")


def test_flush_cancels_what_does_not_run(broker: JobBroker, store: Store) -> None:
    actor = declare(broker)
    ids = [actor.send(number).message_id for number in range(250)]
    later = actor.send_with_options(args=(1,), delay=60_000).message_id
    running = store.run(calls.exchange("w", "r", lease_ms=9_000, reports=[], want=1, queues=["q"])).claims[0]

    broker.flush_all()

    assert job(store, later).state is JobState.CANCELLED
    assert job(store, running.job_id).state is JobState.PROCESSING
    (row,) = store.run(calls.counts(["q"]))[1]
    assert (row.queued, row.scheduled, row.processing, row.cancelled) == (0, 0, 1, len(ids))
    with pytest.raises(QueueNotFound):
        broker.flush("never")


def test_join_waits_until_a_queue_is_empty(broker: JobBroker, store: Store) -> None:
    message = declare(broker).send(1)
    with pytest.raises(QueueJoinTimeout):
        broker.join("q", timeout=50)

    def cancel() -> None:
        until(joining.is_alive)
        store.run(calls.cancel([message.message_id]))
        store.close()

    def join() -> None:
        broker.join("q", timeout=20_000)
        store.close()

    joining = threading.Thread(target=join)
    cancelling = threading.Thread(target=cancel)
    joining.start()
    cancelling.start()
    joining.join(20)
    cancelling.join(20)

    assert not joining.is_alive()
    assert job(store, message.message_id).state is JobState.CANCELLED


def test_default_broker_connects_only_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dramatiq.broker, "global_broker", None)
    monkeypatch.setenv("JOBSVC_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("JOBSVC_NAMESPACE", "mine")

    made = current_broker()

    assert isinstance(made, JobBroker)
    assert made is current_broker()
    assert made.store.keys.tag == "{mine:0}"
    assert declare(made).fn(1) is None
