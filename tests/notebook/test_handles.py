"""From handles to displays."""

from __future__ import annotations

import gc
import io
from dataclasses import replace
from typing import Any

from jobsvc_sdk import display
from jobsvc_sdk.display.handles import outcome, source_of
from jobsvc_sdk.values import CancelSummary, JobStatus
from tests.notebook.fake import FakeHub, batch, job


class _Hub(FakeHub):
    def subscribe(self, kind: str, id: str, listener: Any, *, on_missing: Any) -> Any:
        return self.source().subscribe(listener, on_missing)

    def on_connection(self, listener: Any) -> Any:
        return self.source().on_connection(listener)


class _Client:
    def __init__(self, hub: _Hub) -> None:
        self.hub = hub
        self.cancelled: list[str] = []


class _Handle:
    def __init__(self, client: _Client, status: Any) -> None:
        self.client = client
        self.last_status = status

    @property
    def id(self) -> str:
        return str(self.last_status.id)

    def on_status(self, status: Any) -> None:
        self.last_status = status

    def refresh(self) -> None:
        self.last_status = job(percent=77.0)

    def cancel(self, reason: str = "", *, timeout: float | None = None) -> bool:
        assert timeout == 3.0
        self.client.cancelled.append(self.id)
        return True


def test_source_does_not_keep_the_handle() -> None:
    client = _Client(_Hub(job()))
    source = source_of(_Handle(client, job()), "job")
    gc.collect()

    assert source.latest() is None
    assert source.cancel(3.0) == "asked to stop"
    assert client.cancelled == [source.id]


def test_handle_knows_what_the_display_shows() -> None:
    hub = _Hub(job())
    handle = _Handle(_Client(hub), job())
    seen: list[Any] = []
    source_of(handle, "job").subscribe(seen.append, seen.append)

    hub.push(job("completed"))

    assert handle.last_status.state == seen[-1].state == "completed"


def test_source_of_an_id_alone_asks_the_server_first() -> None:
    handle = _Handle(_Client(_Hub(job())), JobStatus(id=job().id, version=0))

    assert source_of(handle, "job").first.percent == 77.0


def test_source_of_a_closed_client_is_gone_and_not_an_error() -> None:
    hub = _Hub(job())

    def closed(*_: Any, **__: Any) -> None:
        raise RuntimeError("this client is closed")

    hub.subscribe = closed  # type: ignore[method-assign]
    told: list[Exception] = []

    source_of(_Handle(_Client(hub), job()), "job").subscribe(lambda status: None, told.append)()

    assert str(told[0]) == "this client is closed"


def test_outcome_of_a_cancel_in_words() -> None:
    assert outcome(False) == "it had ended before"
    assert outcome(CancelSummary(cancelled=3, requested=8)) == "3 cancelled, 8 asked to stop"
    assert outcome(CancelSummary(already_finished=3)) == "all had ended before"


def test_bars_of_several_batches_end_together() -> None:
    log = io.StringIO()
    statuses = [batch(completed=3), replace(batch(failed=1), id="b0-0000000000000000")]
    handles = [_Handle(_Client(_Hub(each)), each) for each in statuses]

    display.watch_bars(handles, log)

    assert log.getvalue().count("\n") == 2


def test_show_outside_a_notebook_prints_the_line(capsys: Any) -> None:
    status = job("completed")
    display.show_job(_Handle(_Client(_Hub(status)), status))

    assert "100% completed" in capsys.readouterr().out


def test_repr_html_needs_no_notebook() -> None:
    assert "0-abcdefghjkmnpqrs" in display.job_repr_html(job())
    assert set(display.bundle(batch(queued=1))) == {"text/html", "text/plain"}
