"""Tables for people, and frames."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from jobsvc_sdk._frame import columns_of, frame_of
from jobsvc_sdk.tables import JobTable, JobTypeTable, LogLines, QueueTable, html_table, text_table
from jobsvc_sdk.values import ErrorValue, JobStatus, JobTypeValue, LogLine, QueueValue

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def test_text_table_is_aligned() -> None:
    assert text_table(("a", "long"), [("xyz", 1), ("", None)]) == "a    long\nxyz  1\n"


def test_html_table_escapes_what_comes_from_others() -> None:
    html = html_table(("a",), [("<script>alert(1)</script>",)])

    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_terminal_gets_no_control_characters() -> None:
    assert "\x1b" not in text_table(("a",), [("\x1b[31mred\n",)])


def test_tables_show_themselves_as_text_and_html() -> None:
    jobs = JobTable([SimpleNamespace(last_status=JobStatus("0-a", "a.b", percent=46.0, create_time=BEGAN))])
    queues = QueueTable([QueueValue("reports", queued=3, oldest_waiting=timedelta(seconds=5), paused=True)])
    types = JobTypeTable([JobTypeValue("a.b", "Do it.\nMore.", "q", '{"properties": {"x": {"default": 1}}}')])

    assert "0-a  a.b       queued  46%" in repr(jobs)
    assert "reports" in repr(queues)
    assert "5 s" in repr(queues)
    assert "paused" in repr(queues)
    assert "(x: Any = 1, **more_arguments)" in repr(types)
    assert "More." not in repr(types)
    for table in (jobs, queues, types):
        assert table._repr_html_().startswith("<table>")


def test_empty_table_says_so() -> None:
    assert repr(QueueTable()) == "(no queues yet)"
    assert JobTable()._repr_html_() == "<i>no jobs</i>"


def test_log_lines_read_as_text() -> None:
    assert (
        repr(LogLines([LogLine(1, None, "info", "a"), LogLine(2, None, "error", "b")]))
        == "--:--:-- a\n--:--:-- ERROR b"
    )
    assert repr(LogLines()) == "(no log lines)"


def status(number: int, **changes: object) -> JobStatus:
    settings = {
        "arguments_json": json.dumps({"city": f"c{number}"}),
        "state": "completed",
        "attempt": 1,
        "full": True,
    }
    return JobStatus(f"b0-a.{number}", **{**settings, **changes})  # type: ignore[arg-type]


def test_frame_has_arguments_facts_and_results() -> None:
    ended = {"start_time": BEGAN, "end_time": BEGAN + timedelta(seconds=2)}
    failure = {"state": "failed", "attempt": 3, "error": ErrorValue(type="ValueError", message="bad")}

    columns = columns_of(
        [status(0, result_json='{"mean": 1.5, "state": "WA"}', **ended), status(1, **failure)]
    )

    assert columns == {
        "city": ["c0", "c1"],
        "job_id": ["b0-a.0", "b0-a.1"],
        "state": ["completed", "failed"],
        "duration_s": [2.0, None],
        "attempts": [1, 3],
        "error": [None, "ValueError: bad"],
        "mean": [1.5, None],
        "result_state": ["WA", None],
    }


def test_frame_of_plain_results_has_one_column() -> None:
    columns = columns_of([status(0, result_json="5", arguments_json='{"state": "x"}')])

    assert (columns["result"], columns["argument_state"]) == ([5], ["x"])


def test_frame_is_a_pandas_frame() -> None:
    frame = frame_of([status(0, result_json='{"mean": 1.5}'), status(1, result_json='{"mean": 2.5}')])

    assert frame["mean"].mean() == 2.0


def test_frame_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)

    with pytest.raises(ImportError, match=r"jobsvc-sdk\[frames\]"):
        frame_of([])
