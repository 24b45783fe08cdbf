"""StreamLogs, over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from jobsvc.store import calls
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, refusal


async def read_all(call: Any) -> list[pb.StreamLogsResponse]:
    messages = []
    async with asyncio.timeout(10):
        while (message := await call.read()) is not grpc.aio.EOF:
            messages.append(message)
    return messages


def texts(messages: list[pb.StreamLogsResponse]) -> list[str]:
    return [line.text for message in messages for line in message.lines]


async def test_logs_are_those_there_are(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    await rig.log(claim, "one", "two", first=1)

    messages = await read_all(rig.jobs.StreamLogs(pb.StreamLogsRequest(job_id=job_id)))

    lines = messages[0].lines
    assert [(line.line_number, line.attempt, line.text) for line in lines] == [(1, 1, "one"), (2, 1, "two")]
    assert lines[0].level == pb.LogLine.LEVEL_INFO
    assert lines[0].log_time.ToMilliseconds() == 1_700_000_000_000
    assert messages[0].first_kept_line == 0


async def test_logs_go_on_after_a_line_and_of_one_attempt(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    await rig.log(claim, "a", "b", "c", first=1)

    after = await read_all(rig.jobs.StreamLogs(pb.StreamLogsRequest(job_id=job_id, after_line=2)))
    other = await read_all(rig.jobs.StreamLogs(pb.StreamLogsRequest(job_id=job_id, attempt=2)))

    assert texts(after) == ["c"]
    assert texts(other) == []


async def test_logs_follow_until_the_job_has_ended(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    await rig.log(claim, "one", first=1)
    call = rig.jobs.StreamLogs(pb.StreamLogsRequest(job_id=job_id, follow=True))
    assert texts([await call.read()]) == ["one"]

    await rig.log(claim, "two", first=2)
    assert texts([await call.read()]) == ["two"]
    await rig.log(claim, "three", first=3)
    await rig.finish(claim)

    assert texts(await read_all(call)) == ["three"]


async def test_logs_of_a_quiet_job_show_signs_of_life(make_rig: Callable[..., Awaitable[Rig]]) -> None:
    rig = await make_rig(heartbeat="1s")
    job_id = await rig.new_job()
    call = rig.jobs.StreamLogs(pb.StreamLogsRequest(job_id=job_id, follow=True))

    async with asyncio.timeout(10):
        message = await call.read()

    assert message.HasField("heartbeat")
    call.cancel()


async def test_logs_say_which_lines_are_no_longer_kept(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    for first in range(1, 1_200, 100):
        await rig.log(claim, *(f"line {n}" for n in range(first, first + 100)), first=first)

    messages = await read_all(rig.jobs.StreamLogs(pb.StreamLogsRequest(job_id=job_id)))

    assert len(texts(messages)) == calls.MAX_LOG_LINES
    assert messages[0].first_kept_line == 201
    assert max(len(message.lines) for message in messages) <= 500


async def test_logs_of_an_unknown_job_are_not_found(rig: Rig) -> None:
    for follow in (False, True):
        request = pb.StreamLogsRequest(job_id="nobody", follow=follow)
        fault = await refusal(rig.jobs.StreamLogs(request).read())
        assert (fault.code, fault.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
