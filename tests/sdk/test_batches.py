"""Batches through a real server and a real worker."""

from __future__ import annotations

import asyncio
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

import jobsvc_sdk
from jobsvc_sdk import Batch, Client, connect
from jobsvc_sdk.errors import BatchRejected, JobCancelled, JobFailed, NotFound, ParamError, UnknownJobType
from tests.stack import Stack
from tests.waiting import until


def items(*steps: list[Any]) -> list[dict[str, Any]]:
    """Return one item for each step."""
    return [{"steps": [step]} for step in steps]


def test_batch_gives_its_results_in_order(live: Client) -> None:
    batch = live.map("test.do", items(*(["ok", number] for number in range(30))), name="thirty")

    assert batch.results(timeout=60) == list(range(30))
    assert (batch.total, len(batch), batch.title) == (30, 30, "thirty")
    assert batch.counts == {**dict.fromkeys(batch.counts, 0), "completed": 30}
    assert batch.progress == 100.0
    assert batch.done()
    assert repr(batch) == f"<Batch 'thirty' {batch.id} 30/30: 30 completed>"
    assert [job.id for job in batch.jobs] == [f"{batch.id}.{number}" for number in range(30)]
    assert batch.jobs[3].result() == 3


def test_failures_are_raised_or_put_in_place(live: Client) -> None:
    batch = live.map(
        "test.do_in_thread", items(["ok", 0], ["fail", "bad"], ["ok", 2], ["fail_for_good"]), max_attempts=1
    )

    outcomes = batch.results(timeout=60, return_exceptions=True)

    assert (outcomes[0], outcomes[2]) == (0, 2)
    assert [type(outcome) for outcome in outcomes[1::2]] == [JobFailed, JobFailed]
    with pytest.raises(JobFailed, match="bad") as caught:
        batch.results()
    assert "2 of 4 jobs gave no result" in caught.value.__notes__[-2]
    assert "tests/handlers.py" in caught.value.remote_traceback
    assert [job.id for job in batch.failed] == [batch.jobs[1].id, batch.jobs[3].id]
    assert batch.status.failures[0].error is not None


def test_jobs_come_as_they_end(live: Client, tmp_path: Path) -> None:
    gate = str(tmp_path / "go")
    batch = live.map(
        "test.do_in_thread",
        [{"steps": [["await", gate], ["ok", 0]]}, *items(*(["ok", n] for n in range(1, 30)))],
    )

    order = []
    for job in batch.as_completed(timeout=60):
        order.append(job.result())
        if len(order) == 29:
            Path(gate).touch()

    assert order[-1] == 0
    assert sorted(order) == list(range(30))


async def test_batch_works_beside_a_running_loop(live: Client) -> None:
    batch = live.map("test.do_in_thread", items(*(["ok", n] for n in range(20))))

    seen = [job.result() async for job in batch.as_completed(timeout=60)]

    assert sorted(seen) == list(range(20))
    assert await batch == list(range(20))
    assert await asyncio.gather(*batch.jobs) == list(range(20))


def test_counts_are_heard_to_the_end(live: Client) -> None:
    batch = live.map("test.do_in_thread", items(*(["ok"] for _ in range(40))))
    heard: list[Any] = []
    ended = threading.Event()
    live.hub.subscribe(
        "batch", batch.id, lambda status: (heard.append(status), status.terminal and ended.set())
    )  # type: ignore[func-returns-value]

    assert ended.wait(60)
    versions = [status.version for status in heard]
    assert versions == sorted(set(versions))
    assert all(sum(status.counts.values()) == status.total == 40 for status in heard)
    assert heard[-1].counts["completed"] == 40


def test_batch_is_found_again_by_its_id(stack: Stack, live: Client) -> None:
    batch = live.map("test.do_in_thread", items(*(["ok", n] for n in range(12))), name="again")

    with connect(stack.address) as other:
        found = other.batch(batch.id)
        assert found == other.batch(batch.id)
        assert found.title == "again"
        assert found.results(timeout=60) == list(range(12))
        assert [job.id for job in found.jobs] == [job.id for job in batch.jobs]


def test_frame_has_arguments_facts_and_results(live: Client) -> None:
    batch = live.map(
        "test.do_in_thread",
        [{"steps": [["ok", {"mean": 1.5, "n": 3}]]}, {"steps": [["fail", "bad"]]}],
        max_attempts=1,
    )
    batch.wait(60)

    frame = batch.to_frame()

    assert list(frame.columns) == ["steps", "job_id", "state", "duration_s", "attempts", "error", "mean", "n"]
    assert list(frame["state"]) == ["completed", "failed"]
    assert list(frame["job_id"]) == [job.id for job in batch.jobs]
    assert frame["mean"][0] == 1.5
    assert frame["error"][1] == "ValueError: bad"
    assert (frame["duration_s"] >= 0).all()


def test_frame_of_a_running_batch_shows_how_far_it_is(live: Client, tmp_path: Path) -> None:
    batch = live.map("test.do", [{"steps": [["await", str(tmp_path / "go")], ["ok", {"x": 1}]]}])

    before = batch.to_frame()
    (tmp_path / "go").touch()
    batch.wait(60)

    assert before["state"][0] in ("queued", "processing")
    assert list(batch.to_frame()["x"]) == [1]


def test_common_arguments_and_titles(live: Client) -> None:
    batch = live.map("test.do_in_thread", [{}, {"steps": [["ok", 2]]}], common={"steps": [["ok", 1]]})

    assert batch.results(timeout=60) == [1, 2]
    assert [job.refresh().title for job in batch.jobs] == ["", 'steps=[["ok", 2]]']


def test_what_remains_is_cancelled(live: Client) -> None:
    batch = live.map("test.do", items(*(["sleep", 60] for _ in range(20))), delay=0)
    until(lambda: batch.counts["processing"])

    summary = batch.cancel("enough")

    assert summary.cancelled + summary.requested == 20
    outcomes = batch.results(timeout=60, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {JobCancelled}
    assert batch.counts["cancelled"] == 20
    assert batch.cancel().already_finished == 20


def test_wrong_item_stops_all_and_is_named(live: Client) -> None:
    with pytest.raises(BatchRejected) as caught:
        live.map("test.do", [{"steps": []}, {"steps": "x"}, {"stepz": []}])

    assert list(caught.value.items) == [1, 2]
    assert "nothing was submitted: 2 items are wrong" in str(caught.value)
    assert "item 1: steps: must be array, not string" in str(caught.value)


def test_wrong_items_stand_apart_when_the_others_may_go(live: Client) -> None:
    batch = live.map(
        "test.do_in_thread",
        [{"steps": [["ok", 0]]}, {"steps": "x"}, {"steps": float("nan")}, {"steps": [["ok", 3]]}],
        all_or_nothing=False,
    )

    assert list(batch.rejected) == [1, 2]
    assert all(isinstance(error, ParamError) for error in batch.rejected.values())
    outcomes = batch.results(timeout=60, return_exceptions=True)
    assert (outcomes[0], outcomes[3]) == (0, 3)
    assert outcomes[1:3] == [batch.rejected[1], batch.rejected[2]]
    with pytest.raises(ParamError):
        batch.results()


def test_typed_map_checks_every_item_before_anything_is_sent(stack: Stack) -> None:
    client = connect(stack.address)
    typed = client.types.test.do
    client.close()

    with pytest.raises(BatchRejected, match="item 1: steps: expected list"):
        client.map(typed, [{"steps": []}, {"steps": 5}])


def test_typed_map_submits(live: Client) -> None:
    assert live.map(live.types.test.do_in_thread, items(["ok", 1], ["ok", 2])).results(timeout=60) == [1, 2]


def test_batch_of_an_unknown_type_is_refused(live: Client) -> None:
    with pytest.raises(UnknownJobType, match="Did you mean"):
        live.map("test.dough", [{}, {}])


@pytest.mark.parametrize("count", [0, 10_001])
def test_batch_has_a_size(live: Client, count: int) -> None:
    with pytest.raises(ParamError, match="1 to 10,000 jobs"):
        live.map("test.do", [{"steps": []}] * count)


def test_same_request_is_the_same_batch(live: Client) -> None:
    request_id = str(uuid.uuid4())
    batches = [live.map("test.do_in_thread", items(["ok", 1]), request_id=request_id) for _ in range(2)]

    assert batches[0] == batches[1]
    assert batches[1].results(timeout=60) == [1]


def test_unknown_batch_is_not_found(live: Client) -> None:
    with pytest.raises(NotFound):
        live.batch(f"b0-{'0' * 16}")


def test_time_limit_of_a_batch_cancels_nothing(live: Client, tmp_path: Path) -> None:
    batch = live.map("test.do", [{"steps": [["await", str(tmp_path / "go")]]}])

    with pytest.raises(TimeoutError, match=r"0 of 1 jobs have ended after 0\.2 s and the others go on"):
        batch.wait(0.2)

    (tmp_path / "go").touch()
    assert batch.results(timeout=60) == [None]


def test_many_jobs_are_watched_over_one_stream(live: Client) -> None:
    before = set(threading.enumerate())
    batch: Batch = live.map("test.do_in_thread", items(*(["ok", n] for n in range(1_500))))

    seen = [job.result() for job in batch.as_completed(timeout=110)]

    assert sorted(seen) == list(range(1_500))
    new = [thread.name for thread in threading.enumerate() if thread not in before]
    assert new in ([], ["jobsvc-watch"])


def test_jobs_of_several_batches_are_waited_for_together(live: Client) -> None:
    one = live.map("test.do_in_thread", items(["ok", 1], ["ok", 2]))
    two = live.map("test.do_in_thread", items(["ok", 3]))

    done, not_done = jobsvc_sdk.wait([*one.jobs, *two.jobs], 60)

    assert (len(done), not_done) == (3, set())
    assert jobsvc_sdk.gather(*one.jobs, *two.jobs) == [1, 2, 3]
    assert jobsvc_sdk.wait(one, 10).not_done == set()
