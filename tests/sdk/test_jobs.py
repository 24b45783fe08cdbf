"""Jobs through a real server and a real worker."""

from __future__ import annotations

import inspect
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from jobsvc_sdk import Client, Job, connect
from jobsvc_sdk.errors import (
    Conflict,
    JobCancelled,
    JobFailed,
    JobTimedOut,
    NotFound,
    ParamError,
    ServerUnavailable,
    UnknownJobType,
)
from tests.stack import Stack
from tests.waiting import until


def do(client: Client, *steps: list[Any], **options: Any) -> Job:
    """Submit a job that does these steps."""
    return client.submit("test.do", {"steps": list(steps)}, **options)


def test_connect_tells_where_and_what(stack: Stack, live: Client) -> None:
    info = live.server_info()

    assert info.worker_count == 1
    assert (info.max_batch_size, info.max_inline_bytes) == (10_000, 262_144)
    assert repr(live).startswith(f"<Client {stack.address}, 1 worker, server {info.version}, SDK ")


def test_connect_without_a_server_says_what_to_start() -> None:
    with pytest.raises(ServerUnavailable) as caught:
        connect("127.0.0.1:1")

    for words in ("127.0.0.1:1", "jobsvc dev", "JOBSVC_ADDRESS", "are safe"):
        assert words in str(caught.value)


def test_address_comes_from_the_environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSVC_ADDRESS", stack.address)

    with connect() as client:
        assert client.address == stack.address


def test_job_gives_its_result(live: Client) -> None:
    job = do(live, ["ok", {"n": 2**70, "x": 0.1, "none": None}], title="first")

    assert job.result(timeout=30) == {"n": 2**70, "x": 0.1, "none": None}
    assert (job.state, job.attempt, job.title, job.job_type) == ("completed", 1, "first", "test.do")
    assert job.arguments == {"steps": [["ok", {"n": 2**70, "x": 0.1, "none": None}]]}
    assert repr(job) == f"<Job test.do {job.id} completed>"


def test_progress_is_seen_while_the_job_runs(live: Client, tmp_path: Path) -> None:
    job = do(
        live, ["report", {"percent": 46, "step": "load", "message": "row 5"}], ["await", str(tmp_path / "go")]
    )

    until(lambda: job.progress == 46.0)

    assert (job.state, job.step, job.message) == ("processing", "load", "row 5")
    assert repr(job) == f"<Job test.do {job.id} processing 46% load>"
    assert job.running()
    assert not job.done()
    (tmp_path / "go").touch()
    assert job.result(timeout=30) is None


def test_news_reach_a_listener_in_order_and_to_the_end(live: Client) -> None:
    job = do(live, ["progress", 0.5], ["ok", 1])
    heard: list[Any] = []
    ended = threading.Event()

    def listen(status: Any) -> None:
        heard.append(status)
        if status.terminal:
            ended.set()

    live.hub.subscribe("job", job.id, listen)

    assert ended.wait(30)
    versions = [status.version for status in heard]
    assert versions == sorted(set(versions))
    assert heard[-1].result_json == "1"
    assert any(status.percent for status in heard[:-1])


def test_failed_job_raises_with_the_workers_traceback(live: Client) -> None:
    job = do(live, ["fail", "bad row 17"], max_attempts=2)

    with pytest.raises(JobFailed) as caught:
        job.result(timeout=30)

    assert str(caught.value) == f"test.do {job.id} failed on attempt 2 of 2: ValueError: bad row 17"
    assert "tests/handlers.py" in caught.value.remote_traceback
    assert "bad row 17" in str(caught.value.__cause__)
    assert [attempt.outcome for attempt in job.status.attempts] == ["retried", "failed"]


def test_failure_with_a_code_is_final(live: Client) -> None:
    error = do(live, ["fail_for_good", "no access", "INVALID_CREDENTIALS"]).exception(timeout=30)

    assert isinstance(error, JobFailed)
    assert error.error.code == "INVALID_CREDENTIALS"
    assert "on attempt 1 of 3 [INVALID_CREDENTIALS]" in str(error)


def test_job_over_its_time_limit_is_told_apart(live: Client) -> None:
    job = do(live, ["block", 60], timeout=timedelta(seconds=0.3), max_attempts=1)

    with pytest.raises(JobTimedOut, match="ran into its time limit"):
        job.result(timeout=30)


def test_running_job_is_cancelled(live: Client) -> None:
    job = do(live, ["report", {"percent": 1}], ["sleep", 60])
    until(lambda: job.progress)

    assert job.cancel("enough")

    with pytest.raises(JobCancelled, match=f"test.do {job.id} was cancelled: enough"):
        job.result(timeout=30)
    assert job.cancelled()
    assert not job.cancel()


def test_waiting_job_is_cancelled_at_once(live: Client) -> None:
    job = do(live, ["ok"], delay=3600)
    assert job.state == "scheduled"

    assert job.cancel()

    assert job.state == "cancelled"


def test_cancel_of_a_finished_job_changes_nothing(live: Client) -> None:
    job = do(live, ["ok", 5])
    assert job.result(timeout=30) == 5

    assert job.cancel() is False
    assert job.refresh().state == "completed"


def test_job_is_found_again_by_its_id(stack: Stack, live: Client) -> None:
    job_id = do(live, ["ok", 5]).id

    with connect(stack.address) as other:
        assert other.job(job_id).result(timeout=30) == 5


def test_logs_are_read_and_followed(live: Client, tmp_path: Path) -> None:
    job = do(
        live, ["log", "one"], ["log", "two", "warning"], ["await", str(tmp_path / "go")], ["log", "three"]
    )

    lines = job.follow_logs()
    first = [next(lines), next(lines)]
    (tmp_path / "go").touch()
    rest = list(lines)

    assert [(line.number, line.level, line.text) for line in first] == [
        (1, "info", "one"),
        (2, "warning", "two"),
    ]
    assert [line.text for line in rest] == ["three"]
    assert "WARNING two" in repr(job.logs())
    assert [line.text for line in job.logs(after=2)] == ["three"]


def test_jobs_are_listed_by_what_they_are(live: Client) -> None:
    queue = f"q-{uuid.uuid4().hex[:8]}"
    jobs = [do(live, ["ok"], queue=queue, delay=3600, title=f"n{number}") for number in range(3)]
    jobs[0].cancel()

    assert {job.id for job in live.jobs(queue=queue)} == {job.id for job in jobs}
    assert [job.id for job in live.jobs(queue=queue, state="cancelled")] == [jobs[0].id]
    assert len(live.jobs(queue=queue, limit=2)) == 2
    assert "scheduled" in repr(live.jobs(queue=queue))
    row = next(row for row in live.queues() if row.name == queue)
    assert (row.scheduled, row.cancelled, row.total) == (2, 1, 3)
    for job in jobs[1:]:
        job.cancel()


def test_listed_jobs_are_not_asked_for_one_by_one(live: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = f"q-{uuid.uuid4().hex[:8]}"
    job = do(live, ["ok"], queue=queue, delay=3600)
    listed = live.jobs(queue=queue)
    monkeypatch.setattr(live._transport, "job_status", None)

    assert [one.state for one in listed] == ["scheduled"]
    monkeypatch.undo()
    job.cancel()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "steps"),
        ({"steps": "none"}, "steps"),
        ({"steps": [], "more": 1}, "more"),
    ],
)
def test_server_refuses_wrong_arguments_by_name(live: Client, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamError) as caught:
        live.submit("test.do", arguments)

    assert [violation.field.partition("[")[0] for violation in caught.value.violations] == [
        f"arguments.{words}"
    ]
    assert words in str(caught.value)


def test_arguments_above_the_limit_are_refused(live: Client) -> None:
    with pytest.raises(ParamError) as caught:
        do(live, ["ok", "x" * 300_000])

    assert caught.value.reason == "ARGUMENTS_TOO_LARGE"


def test_number_that_is_none_is_refused_here(live: Client) -> None:
    with pytest.raises(ParamError, match=r"arguments\.steps\[0\]\[1\] is NaN"):
        do(live, ["ok", float("nan")])


def test_unknown_job_type_names_the_nearest(live: Client) -> None:
    with pytest.raises(UnknownJobType) as caught:
        live.submit("test.dough", {})

    assert caught.value.job_type == "test.dough"
    assert "test.do" in caught.value.nearest
    assert "Did you mean test.do" in str(caught.value)


def test_unknown_and_malformed_ids_are_refused(live: Client) -> None:
    with pytest.raises(NotFound):
        live.job("0-0000000000000000")
    with pytest.raises(NotFound):
        live.batch("b0-0000000000000000")
    with pytest.raises(ParamError, match="is not a job id"):
        live.job("no such/id")
    with pytest.raises(ParamError):
        do(live, ["ok"], job_id="0-0000000000000000")


def test_same_id_is_the_same_job_and_other_content_a_conflict(live: Client) -> None:
    name = f"nightly-{uuid.uuid4().hex}"
    first = do(live, ["ok", 1], job_id=name)

    assert do(live, ["ok", 1], job_id=name) == first
    with pytest.raises(Conflict):
        do(live, ["ok", 2], job_id=name)
    assert first.result(timeout=30) == 1


def test_same_request_is_the_same_job(live: Client) -> None:
    request_id = str(uuid.uuid4())

    assert do(live, ["ok"], request_id=request_id).id == do(live, ["ok"], request_id=request_id).id


def test_job_types_are_callables_with_signatures(live: Client) -> None:
    typed = live.types.test.do

    assert str(inspect.signature(typed)).startswith("(steps: list")
    assert typed.__doc__ == "Run steps in a process."
    assert "do" in dir(live.types.test)
    assert "test" in dir(live.types)
    assert live.types["test.do"].job_type.queue == "test"
    assert "test.do" in live.types
    assert "Run steps in a process." in repr(live.types)
    assert live.types._repr_html_().startswith("<table>")
    assert typed(steps=[["ok", 5]]).result(timeout=30) == 5
    assert typed([["ok", 6]]).result(timeout=30) == 6


def test_notebook_completes_and_explains_job_types(live: Client) -> None:
    shell = InteractiveShell()
    shell.user_ns["client"] = live

    def offered(text: str) -> set[str]:
        with provisionalcompleter():
            return {found.text for found in shell.Completer.completions(text, len(text))}

    assert "test" in offered("client.types.")
    assert offered("client.types.test.do_in") == {"do_in_thread"}
    explained = shell.object_inspect("client.types.test.do")
    assert explained["definition"].startswith("client.types.test.do(steps: list")
    assert explained["docstring"] == "Run steps in a process."


def test_unknown_attribute_names_the_nearest(live: Client) -> None:
    with pytest.raises(AttributeError, match=r"'test\.doo'.*Did you mean test\.do"):
        live.types.test.doo  # noqa: B018
    with pytest.raises(UnknownJobType):
        live.types["test.doo"]
    assert not hasattr(live.types, "nothing_like_it")


def test_options_are_apart_from_arguments(live: Client) -> None:
    job = live.types.test.do.options(priority="high", title="urgent one", delay=3600)(steps=[])

    assert (job.title, job.state) == ("urgent one", "scheduled")
    job.cancel()
    with pytest.raises(TypeError, match="unknown option colour"):
        live.types.test.do.options(colour="red")


def test_wrong_typed_call_is_refused_before_anything_is_sent(stack: Stack) -> None:
    client = connect(stack.address)
    typed = client.types.test.do
    client.close()

    with pytest.raises(
        ParamError, match=r"steps: expected list\[list\], got 'x'. test.do takes \(steps: list"
    ):
        typed(steps="x")
    with pytest.raises(ParamError, match="steps: is missing"):
        typed()
    with pytest.raises(ParamError, match="step: is not an argument"):
        typed(step=[])


def test_type_without_a_live_worker_is_queued_with_a_warning(
    make_stack: Any, caplog: pytest.LogCaptureFixture
) -> None:
    own = make_stack()
    with connect(own.address) as client:
        own.workers[0].stop()

        job = do(client, ["ok"])

        assert job.state == "queued"
        assert 'no worker for job type "test.do" is alive' in job.warnings[0]
        assert job.warnings[0] in caplog.text


def test_handles_are_shown_as_text_where_there_is_no_notebook(
    live: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    job = do(live, ["ok", 5]).wait(30)
    batch = live.map("test.do", [{"steps": []}]).wait(30)

    for handle in (job, batch):
        handle._ipython_display_()
        assert handle.id in capsys.readouterr().out
        assert handle.id in handle._repr_html_()
        assert set(handle._repr_mimebundle_()) == {"text/html", "text/plain"}
        assert handle.watch() is handle


def test_server_restart_is_survived_by_whoever_waits(make_stack: Any) -> None:
    own = make_stack()
    with connect(own.address) as client:
        job = do(client, ["sleep", 2], ["ok", 5])
        heard: list[tuple[bool, str]] = []
        client.hub.on_connection(lambda connected, text: heard.append((connected, text)))
        job.add_done_callback(lambda _: None)
        until(lambda: client.hub.is_live(("job", job.id)))

        own.server.kill()
        until(lambda: heard)
        own.restart_server()

        assert job.result(timeout=30) == 5
        assert heard[0] == (False, f"reconnecting to {own.address}")
        assert heard[-1] == (True, "")


def test_submit_waits_for_a_server_that_restarts(make_stack: Any) -> None:
    own = make_stack(workers=0)
    with connect(own.address, retry_for=20) as client, ThreadPoolExecutor(1) as pool:
        assert client.server_info().worker_count == 0
        own.server.stop()

        submitted = pool.submit(client.submit, "test.do", {"steps": []})
        own.restart_server()

        assert isinstance(submitted.exception(timeout=30), UnknownJobType)
