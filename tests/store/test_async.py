"""The store for asyncio: one connection for many callers, broken and made again; channels that are never silent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from jobsvc.embedded import EmbeddedValkey
from jobsvc.model.errors import IdConflict, JobsvcError, StoreUnavailable
from jobsvc.model.job import NewBatch
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls, scripts
from jobsvc.store.async_connection import AsyncConnection
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.calls import STAGE_SIZE, Call
from jobsvc.store.subscription import Subscription
from tests.store.bench import Bench
from tests.store.proxy import Proxy, proxied


def echo(text: str) -> Call[Any]:
    return Call(None, ("ECHO", text), str)


async def settle(look: Callable[[], object], timeout_s: float = 15) -> None:
    async with asyncio.timeout(timeout_s):
        while not look():
            await asyncio.sleep(0.005)


@pytest.fixture
async def proxy(bench: Bench) -> AsyncIterator[Proxy]:
    with proxied(f"unix://{bench.store.address.path}") as made:
        yield made


@pytest.fixture
async def store(bench: Bench, proxy: Proxy) -> AsyncIterator[AsyncStore]:
    """A store whose connection goes through the proxy."""
    made = AsyncStore(proxy.url, bench.keys.tag.strip("{}").partition(":")[0])
    yield made
    await made.close()


async def test_many_callers_share_one_connection(store: AsyncStore, proxy: Proxy, bench: Bench) -> None:
    async def work(name: int) -> None:
        for number in range(20):
            job_id = f"j{name}-{number}"
            assert (await store.run(calls.submit(bench.new(job_id)))).created
            (job,) = await store.read([job_id])
            assert job is not None
            assert job.id == job_id

    await asyncio.gather(*(work(name) for name in range(50)))

    assert proxy.accepted == 1
    assert bench.queue_keys()["ready"] == 1_000


async def test_caller_who_gave_up_does_not_shift_the_answers(store: AsyncStore) -> None:
    await store.run(echo("0"))
    tasks = [asyncio.create_task(store.run(echo(str(number)))) for number in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    kept = [
        (number, answer) for number, answer in enumerate(answers) if not isinstance(answer, BaseException)
    ]
    assert kept == [(number, str(number)) for number in range(100) if number % 3]


async def test_commands_go_to_the_chosen_database(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """User, database and the first commands leave in this order, however many callers wait for the connection."""
    with EmbeddedValkey(tmp_path / "v") as server:
        client = redis.Redis.from_url(server.url)
        client.config_set("requirepass", "right")
        url = f"unix://:right@{urlsplit(server.url).path}?db=3"
        store = AsyncStore(url, "own")

        writing: list[asyncio.Task[Any]] = []
        while not writing or not writing[0].done():
            # one after the other, while the connection is being opened
            call = Call(None, ("SET", f"k{len(writing)}", 1), str)
            writing.append(asyncio.create_task(store.run(call)))
            await asyncio.sleep(0)
        await asyncio.gather(*writing)

        counts = [redis.Redis.from_url(url.replace("db=3", f"db={n}")) for n in (0, 3)]
        assert [each.dbsize() for each in counts] == [0, len(writing)]
        for each in (client, *counts):
            each.close()
        await store.close()


async def test_wrong_password_is_told(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "v") as server:
        client = redis.Redis.from_url(server.url)
        client.config_set("requirepass", "right")
        store = AsyncStore(f"unix://:wrong@{urlsplit(server.url).path}?db=3", "own")

        answers = await asyncio.gather(*(store.run(echo("x")) for _ in range(3)), return_exceptions=True)

        assert all(isinstance(answer, JobsvcError) for answer in answers), answers
        assert any("WRONGPASS" in str(answer) for answer in answers)
        client.close()
        await store.close()


async def test_broken_connection_is_made_again(store: AsyncStore, proxy: Proxy) -> None:
    for round_ in range(5):
        assert await store.run(echo(str(round_))) == str(round_)
        proxy.cut()

    assert proxy.accepted == 5


async def test_answer_that_was_lost_is_asked_for_again(store: AsyncStore, proxy: Proxy, bench: Bench) -> None:
    bench.redis.script_load(scripts.load("submit").body)
    proxy.lose_answers(scripts.load("submit").digest)

    submitted = await store.run(calls.submit(bench.new("a")))

    assert (proxy.lost, submitted.created, submitted.state) == (1, False, JobState.QUEUED)
    assert bench.queue_keys()["ready"] == 1


async def test_batch_is_whole_although_answers_were_lost(
    store: AsyncStore, proxy: Proxy, bench: Bench
) -> None:
    count = STAGE_SIZE * 2 + 1
    jobs = list(enumerate(bench.items("b", count)))
    for name in ("stage", "commit"):
        bench.redis.script_load(scripts.load(name).body)
        proxy.lose_answers(scripts.load(name).digest, times=1)
        if name == "stage":
            for call in calls.stage(NewBatch(id="b"), count, jobs):
                await store.run(call)

    done, conflicts = await store.submit_batch(NewBatch(id="b"), count, jobs, all_or_nothing=True)

    assert (proxy.lost, done.created, done.total, conflicts) == (2, False, count, [])
    assert bench.queue_keys()["ready"] == count


async def test_all_or_nothing_leaves_nothing_when_an_id_is_taken(store: AsyncStore, bench: Bench) -> None:
    bench.submit("taken")
    jobs = list(enumerate([*bench.items("b", STAGE_SIZE), bench.new("taken")]))

    with pytest.raises(IdConflict, match=r"1 items .* item 500") as caught:
        await store.submit_batch(NewBatch(id="b"), len(jobs), jobs, all_or_nothing=True)

    assert caught.value.facts["indexes"] == "500"
    assert bench.queue_keys()["ready"] == 1
    assert bench.find("b.0") is None


async def test_item_by_item_leaves_out_what_is_taken(store: AsyncStore, bench: Bench) -> None:
    bench.submit("taken")
    jobs = list(enumerate([bench.new("b.0"), bench.new("taken"), bench.new("b.2")]))

    done, conflicts = await store.submit_batch(NewBatch(id="b"), 3, jobs, all_or_nothing=False)

    assert (done.total, conflicts) == (2, [1])


async def test_redis_that_is_away_is_unavailable(store: AsyncStore, proxy: Proxy) -> None:
    proxy.close()

    answers = await asyncio.gather(*(store.run(echo("x")) for _ in range(5)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [StoreUnavailable] * 5


async def test_redis_that_does_not_answer_is_unavailable_in_time(
    store: AsyncStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobsvc.store.async_connection.ANSWER_TIMEOUT_S", 0.2)
    assert await store.run(echo("a")) == "a"
    proxy.silent.set()

    with pytest.raises(StoreUnavailable):
        await store.run(echo("b"))

    proxy.silent.clear()
    assert await store.run(echo("c")) == "c"


async def test_old_connection_that_ends_late_does_not_end_the_new_one(
    store: AsyncStore, proxy: Proxy
) -> None:
    connection: AsyncConnection = store._connection
    await store.run(echo("a"))
    old = connection._transport
    assert old is not None
    protocol: Any = old.get_protocol()
    connection.close()
    assert await store.run(echo("b")) == "b"

    protocol.connection_lost(None)

    assert await store.run(echo("c")) == "c"
    assert proxy.accepted == 2


async def test_many_records_are_read_in_parts(store: AsyncStore, bench: Bench) -> None:
    bench.batch("b", bench.items("b", 450))

    found = await store.read([f"b.{index}" for index in range(451)])

    assert [job and job.id for job in found] == [*(f"b.{index}" for index in range(450)), None]


# -- channels --------------------------------------------------------------------------------------------------


class Heard:
    """A subscription, and all that it has said."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.texts: list[tuple[str, str]] = []
        self.gaps = 0
        self.losses = 0
        subscription.on_gap = self._gap
        subscription.on_lost = self._lost

    def _gap(self) -> None:
        self.gaps += 1

    def _lost(self) -> None:
        self.losses += 1

    async def add(self, channel: str) -> None:
        await self.subscription.add(channel, lambda text: self.texts.append((channel, text)))


@pytest.fixture
async def heard(store: AsyncStore) -> AsyncIterator[Heard]:
    made = Heard(store.subscribe())
    yield made
    await made.subscription.close()


async def test_what_is_published_after_add_is_heard(heard: Heard, store: AsyncStore, bench: Bench) -> None:
    channel = store.keys.watch("a")
    await heard.add(channel)

    bench.submit("a")

    await settle(lambda: heard.texts)
    assert heard.texts == [(channel, "a 1 queued")]
    assert heard.gaps == 1


async def test_jobs_of_a_batch_are_heard_on_its_channel(
    heard: Heard, store: AsyncStore, bench: Bench
) -> None:
    await heard.add(store.keys.watch("b"))
    bench.batch("b", bench.items("b", 1))

    bench.finish(bench.claim_one(), body="1")

    await settle(lambda: len(heard.texts) == 3)
    assert [text for _, text in heard.texts] == ["", "b.0 2 processing", "b.0 3 completed"]


async def test_removed_channel_is_heard_no_longer(heard: Heard, bench: Bench) -> None:
    await heard.add("one")
    await heard.add("two")

    heard.subscription.remove("one")
    await settle(lambda: bench.redis.publish("one", "x") == 0)
    bench.redis.publish("two", "y")

    await settle(lambda: heard.texts)
    assert ("two", "y") in heard.texts


async def test_gap_is_told_when_all_channels_are_confirmed_again(
    heard: Heard, proxy: Proxy, bench: Bench
) -> None:
    channels = [f"c{number}" for number in range(200)]
    await asyncio.gather(*(heard.add(channel) for channel in channels))
    await settle(lambda: heard.gaps == 1)

    proxy.cut()
    await settle(lambda: heard.gaps == 2)
    for channel in channels:
        bench.redis.publish(channel, "after")

    await settle(lambda: len(heard.texts) == 200)
    assert heard.losses == 1


async def test_silent_connection_is_given_up_once(
    heard: Heard, proxy: Proxy, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found dead by its silence, and the new one must not be taken for it."""
    monkeypatch.setattr("jobsvc.store.subscription.PING_EVERY_S", 0.3)
    await heard.add("c")
    await settle(lambda: heard.gaps == 1)
    proxy.silent.set()
    await settle(lambda: heard.losses >= 1)
    proxy.silent.clear()

    await settle(lambda: heard.gaps >= 2)
    before = proxy.accepted
    bench.redis.publish("c", "after")
    await settle(lambda: heard.texts == [("c", "after")])
    await asyncio.sleep(1.0)  # several pings: nothing happens is what is to be seen

    assert proxy.accepted == before


async def test_channel_added_while_redis_is_away_is_heard_when_it_is_back(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "v") as server:
        store = AsyncStore(server.url, "own")
        heard = Heard(store.subscribe())
        await heard.add("first")
        await settle(lambda: heard.gaps == 1)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await settle(lambda: heard.losses and server.poll() is not None)
        adding = asyncio.create_task(heard.add("second"))
        await asyncio.sleep(0)

        server.start()
        await adding
        await settle(lambda: heard.gaps >= 2)
        client = redis.Redis.from_url(server.url)
        for channel in ("first", "second"):
            client.publish(channel, "x")
        await settle(lambda: len(heard.texts) == 2)

        client.close()
        await heard.subscription.close()
        await store.close()


async def test_adding_a_channel_while_redis_stays_away_is_refused_in_time(
    store: AsyncStore, proxy: Proxy
) -> None:
    proxy.close()
    heard = Heard(store.subscribe())

    with pytest.raises(StoreUnavailable, match="cannot be reached to watch jobs"):
        await heard.add("c")

    await heard.subscription.close()
