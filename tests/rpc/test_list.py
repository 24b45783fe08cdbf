"""List, over a real connection."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, refusal


async def pages(rig: Rig, filter_: str = "", size: int = 0, **options: object) -> list[list[pb.Job]]:
    found, token = [], ""
    while True:
        request = pb.ListRequest(filter=filter_, page_size=size, page_token=token, **options)
        answer = await rig.jobs.List(request)
        found.append(list(answer.jobs))
        token = answer.next_page_token
        if not token:
            return found


async def ids(rig: Rig, filter_: str = "", size: int = 0) -> list[str]:
    return [job.job_id for page in await pages(rig, filter_, size) for job in page]


async def one_of_each(rig: Rig) -> dict[str, str]:
    """Make jobs in every state; returns the states by id, in the order in which they are listed."""
    failed, completed, running = [await rig.new_job() for _ in range(3)]
    claims = {claim.job_id: claim for claim in await rig.claim(3)}
    await rig.fail(claims[failed])
    await rig.finish(claims[completed])
    cancelled, queued = await rig.new_job(), await rig.new_job()
    await rig.jobs.Cancel(pb.CancelRequest(job_id=cancelled))
    scheduled = (await rig.submit(delay=Duration(seconds=60))).job.job_id
    return {
        running: "processing",
        queued: "queued",
        scheduled: "scheduled",
        failed: "failed",
        cancelled: "cancelled",
        completed: "completed",
    }


async def test_list_shows_live_jobs_first_then_finished_ones(rig: Rig) -> None:
    expected = await one_of_each(rig)

    [page] = await pages(rig)

    names = [common_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_").lower() for job in page]
    assert dict(zip([job.job_id for job in page], names, strict=True)) == expected
    assert [job.job_id for job in page] == list(expected)


async def test_list_filters_by_state(rig: Rig) -> None:
    for job_id, state in (await one_of_each(rig)).items():
        assert await ids(rig, f"state = {state}") == [job_id]
    assert await ids(rig, "state = blocked") == []


async def test_list_is_newest_first_within_a_state(rig: Rig) -> None:
    jobs = [await rig.new_job() for _ in range(5)]
    assert await ids(rig, "state = queued") == jobs[::-1]

    for claim in await rig.claim(5):
        await rig.finish(claim)

    assert (await ids(rig, "state = completed"))[0] in jobs


@pytest.mark.parametrize("size", [1, 3, 7, 50])
async def test_list_pages_show_every_job_once(rig: Rig, size: int) -> None:
    await rig.new_batch(20)
    await rig.finish_all(await rig.claim(7))
    await rig.claim(4)
    for number in range(5):
        await rig.submit({}, job_type="test.other", queue=f"q{number % 3}")

    found = await pages(rig, size=size)

    listed = [job.job_id for page in found for job in page]
    assert len(listed) == len(set(listed)) == 25
    assert all(len(page) <= size for page in found)
    assert len(found) == -(-25 // size)


async def test_list_filters_by_queue_and_type(rig: Rig) -> None:
    other = (await rig.submit({}, job_type="test.other")).job.job_id
    moved = (await rig.submit({}, job_type="test.other", queue="counting")).job.job_id
    count = await rig.new_job()

    assert await ids(rig, 'queue = "other"') == [other]
    assert set(await ids(rig, 'queue = "counting"')) == {moved, count}
    assert set(await ids(rig, 'job_type = "test.other"')) == {other, moved}
    assert await ids(rig, 'queue = counting AND job_type = "test.other"') == [moved]
    assert await ids(rig, 'queue = "nobody"') == []


@pytest.mark.parametrize("size", [2, 50])
async def test_list_filters_by_batch(rig: Rig, size: int) -> None:
    await rig.new_job()
    batch_id = await rig.new_batch(5)
    await rig.finish_all(await rig.claim(3))

    everything = await ids(rig, f'batch = "{batch_id}"', size)
    queued = await ids(rig, f'batch = "{batch_id}" AND state = queued', size)

    assert sorted(everything) == [f"{batch_id}.{n}" for n in range(5)]
    assert set(queued) == set(everything[: len(queued)])
    assert len(queued) >= 2
    assert await ids(rig, 'batch = "nobody"') == []


async def test_list_counts_what_is_cheap_to_count(rig: Rig) -> None:
    batch_id = await rig.new_batch(5)
    await rig.new_job()

    totals = [
        (await rig.jobs.List(pb.ListRequest(filter=filter_, page_size=1))).total_size
        for filter_ in (
            "",
            "state = queued",
            "state = failed",
            f"batch = {batch_id}",
            "job_type = test.count",
        )
    ]

    assert totals == [6, 6, 0, 5, -1]


async def test_list_in_full_has_arguments(rig: Rig) -> None:
    await rig.new_batch(3)

    [page] = await pages(rig, view=pb.JOB_VIEW_FULL)

    assert {job.spec.arguments.json for job in page} == {'{"limit": 1}', '{"limit": 2}', '{"limit": 3}'}


async def test_list_of_a_rare_type_gives_up_a_page_after_many_records(rig: Rig) -> None:
    await rig.submit({}, job_type="test.other", queue="counting")
    await rig.new_batch(2_500)

    found = await pages(rig, "job_type = test.other")

    assert len(found) == 2
    assert [len(page) for page in found] == [0, 1]


@pytest.mark.parametrize(
    ("request_", "field", "says"),
    [
        (pb.ListRequest(filter="state = nonsense"), "filter", "at character 9"),
        (pb.ListRequest(filter='colour = "red"'), "filter", "one of state, queue, batch, job_type"),
        (pb.ListRequest(order_by="age"), "order_by", "not available"),
        (pb.ListRequest(page_size=-1), "page_size", "is -1"),
        (pb.ListRequest(page_token="nonsense"), "page_token", "is not a token"),
        (pb.ListRequest(page_token="é"), "page_token", "is not a token"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_list_refuses_wrong_requests(rig: Rig, request_: pb.ListRequest, field: str, says: str) -> None:
    fault = await refusal(rig.jobs.List(request_))

    assert (fault.code, fault.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert says in fault.violations[field]


async def test_list_refuses_a_token_of_another_filter(rig: Rig) -> None:
    await rig.new_batch(3)
    token = (await rig.jobs.List(pb.ListRequest(page_size=1))).next_page_token

    fault = await refusal(rig.jobs.List(pb.ListRequest(filter="state = queued", page_token=token)))

    assert "another filter" in fault.violations["page_token"]
