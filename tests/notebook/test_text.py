"""One-line bars."""

from __future__ import annotations

import io
import re
import threading
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc_sdk.display.state import View, batch_view, job_view
from jobsvc_sdk.display.text import TextBars, plain_line, terminal_line
from jobsvc_sdk.display.watch import watch_text
from tests.notebook.fake import NOW, FakeHub, batch, failed_job, job
from tests.waiting import until

BATCH = batch(completed=121, processing=8, queued=66, failed=4, cancelled=1, failures=4)


class _Terminal(io.StringIO):
    """Keeps what a terminal would show, obeying the few codes that bars use."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [""]
        self.at = 0

    def isatty(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def write(self, text: str) -> int:
        for part in re.findall(r"\x1b\[\d*[AKm]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\n":
                self.at += 1
                self.rows += [""] * (self.at + 1 - len(self.rows))
            elif part == "\r" or (part.startswith("\x1b") and part.endswith("m")):
                self.fresh = part == "\r" or getattr(self, "fresh", False)
            elif part.endswith("A") and part.startswith("\x1b"):
                self.at -= int(part[2:-1])
            elif part == "\x1b[K":
                self.fresh = True
            else:
                self.rows[self.at] = part if self.fresh else self.rows[self.at] + part
                self.fresh = False
        return len(text)


def test_plain_line_of_a_job() -> None:
    line = plain_line(job_view(job(finish_p50=NOW + timedelta(seconds=14)), NOW))

    assert line == (
        "analytics.forecast 0-abcdefghjkmnpqrs [>>>>>>>>>...........]   46% processing  "
        "simulate paths  12 s elapsed, about 14 s left"
    )


def test_plain_line_of_a_batch_has_every_count() -> None:
    line = plain_line(batch_view(BATCH, NOW))

    assert "126/200  121 completed  8 processing  66 queued  4 failed  1 cancelled" in line
    assert "about 38 s left" in line
    assert "x" in line.partition("[")[2].partition("]")[0]


def test_plain_line_of_a_failure_says_why() -> None:
    assert "failed  ValueError: bad row 17" in plain_line(job_view(failed_job(), NOW))


@settings(deadline=None)
@given(st.integers(30, 250), st.text(max_size=80), st.booleans())
def test_terminal_line_fits_the_terminal(width: int, title: str, colour: bool) -> None:
    views: list[View] = [job_view(job(title=title), NOW, title), batch_view(BATCH, NOW)]

    for view in views:
        shown = re.sub(r"\x1b\[\d*m", "", terminal_line(view, width, colour=colour))
        assert len(shown) < width
        assert "\x1b" not in shown


def test_terminal_line_drops_the_least_important_first() -> None:
    view = job_view(job(attempt=2), NOW)

    assert "0-abcdefghjkmnpqrs" in terminal_line(view, 200, colour=False)
    narrow = terminal_line(view, 75, colour=False)
    assert "0-abcdefghjkmnpqrs" not in narrow
    assert "46% processing" in narrow


def test_bars_on_a_terminal_redraw_one_line_each() -> None:
    terminal = _Terminal()
    bars = TextBars(terminal, columns=lambda: 120)

    for percent in range(0, 100, 7):
        bars.show(job_view(job(percent=float(percent)), NOW))
        bars.show(batch_view(BATCH, NOW))
    bars.show(job_view(job("completed"), NOW))
    bars.close()

    rows = [row for row in terminal.rows if row]
    assert len(rows) == 2


def test_bars_in_a_log_write_a_line_per_tenth_or_state() -> None:
    log = io.StringIO()
    bars = TextBars(log)

    bars.show(job_view(job("queued", percent=None), NOW))
    for percent in range(100):
        bars.show(job_view(job(percent=float(percent)), NOW))
    bars.show(job_view(job("completed"), NOW))
    bars.close()

    lines = log.getvalue().splitlines()
    assert len(lines) == 12
    assert "\x1b" not in log.getvalue()
    assert "100% completed" in lines[-1]


def test_bars_in_a_log_tell_the_first_failure_at_once() -> None:
    log = io.StringIO()
    bars = TextBars(log)

    bars.show(batch_view(batch(completed=11, queued=189), NOW))
    bars.show(batch_view(batch(completed=11, failed=1, queued=188), NOW))

    assert len(log.getvalue().splitlines()) == 2


def test_watch_ends_when_everything_has_ended() -> None:
    log = io.StringIO()
    hubs = [FakeHub(job(percent=0.0)), FakeHub(batch(queued=2))]
    watching = threading.Thread(target=watch_text, args=([hub.source() for hub in hubs], log))
    watching.start()

    hubs[0].push(job("completed"))
    hubs[1].push(batch(completed=2))
    watching.join(10)

    assert not watching.is_alive()
    assert "completed" in log.getvalue().splitlines()[-1]
    assert not any(hub.listeners or hub.connection for hub in hubs)


def test_watch_of_what_is_over_shows_it_and_returns() -> None:
    log = io.StringIO()

    watch_text([FakeHub(job("completed")).source()], log)

    assert log.getvalue().count("\n") == 1


def test_watch_says_when_the_server_is_away() -> None:
    log = io.StringIO()
    hub = FakeHub(job(percent=0.0))
    watching = threading.Thread(target=watch_text, args=([hub.source()], log))
    watching.start()
    until(lambda: hub.listeners)

    for listener in hub.connection:
        listener(False, "reconnecting to 127.0.0.1:7443")
    until(lambda: "reconnecting to" in log.getvalue())
    hub.push(job("failed"))
    watching.join(10)

    assert not watching.is_alive()


def test_watch_ends_when_no_more_news_will_come() -> None:
    log = io.StringIO()
    hub = FakeHub(job(percent=0.0))
    watching = threading.Thread(target=watch_text, args=([hub.source()], log))
    watching.start()
    until(lambda: hub.gone)

    hub.lose(RuntimeError("the client was closed"))
    watching.join(10)

    assert not watching.is_alive()
    assert "the client was closed" in log.getvalue()


@pytest.mark.parametrize("colour", [True, False])
def test_bar_shows_one_failure_among_a_thousand(colour: bool) -> None:
    line = terminal_line(batch_view(batch(completed=999, failed=1, queued=1), NOW), 150, colour=colour)

    assert ("\x1b[31m━" in line) if colour else ("#x " in line)
