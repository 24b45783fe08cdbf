"""Where progress goes: chosen by the place and by ``JOBSVC_PROGRESS``, in real kernels and with a real stack."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from jobsvc_sdk import connect
from jobsvc_sdk.display import choose
from jobsvc_sdk.display.cards import Card
from jobsvc_sdk.display.handles import source_of
from jobsvc_sdk.display.painter import Painter
from jobsvc_sdk.display.watch import watch_text
from jobsvc_sdk.display.widgets import WIDGET_MIME, Face
from tests.notebook.lab import ROOT
from tests.stack import Stack, clean_environment
from tests.waiting import until

SUBMIT = """from jobsvc_sdk import connect
client = connect()
job = client.submit("test.do", {"steps": [["progress", 1.2], ["ok", 7]]})"""


def _run(stack: Stack, home: Path, mode: str, *cells: str) -> list[list[Any]]:
    """Run cells in a kernel whose JOBSVC_PROGRESS is this; give the outputs of each."""
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBSVC_ADDRESS", stack.address)
        patch.setenv("JOBSVC_PROGRESS", mode)
        patch.setenv("IPYTHONDIR", str(home))
        NotebookClient(node, timeout=60, kernel_name="python3", store_widget_state=False).execute()
    return [cell.outputs for cell in node.cells]


@pytest.mark.parametrize("mode", ["widget", "page"])
def test_watch_in_a_notebook_blocks_until_the_end_and_leaves_the_final_text(
    mode: str, stack: Stack, tmp_path: Path
) -> None:
    _, watched = _run(stack, tmp_path, mode, SUBMIT, "assert job.watch().done();")

    (card,) = watched
    assert set(card.data) == {"text/html", "text/plain"}
    assert "100% completed" in card.data["text/plain"]


def test_text_mode_in_a_notebook_writes_lines(stack: Stack, tmp_path: Path) -> None:
    _, shown, watched = _run(stack, tmp_path, "text", SUBMIT, "job", "job.watch();")

    assert WIDGET_MIME not in shown[0].data
    lines = "".join(output.text for output in watched).splitlines()
    assert len(lines) >= 3
    assert "100% completed" in lines[-1]


def test_off_mode_waits_without_a_word(stack: Stack, tmp_path: Path) -> None:
    _, watched = _run(stack, tmp_path, "off", SUBMIT, "assert job.watch().done();")

    assert watched == []


def test_mode_outside_of_a_kernel_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choose.VARIABLE, raising=False)
    assert choose.mode() == "text"

    monkeypatch.setenv(choose.VARIABLE, " OFF ")
    assert choose.mode() == "off"


def test_interrupting_watch_stops_the_watching_and_not_the_job(stack: Stack, tmp_path: Path) -> None:
    script = tmp_path / "watch.py"
    script.write_text(
        "from jobsvc_sdk import connect\n"
        'job = connect().submit("test.do", {"steps": [["progress", 60]]})\n'
        "print(job.id, flush=True)\njob.watch()\n"
    )
    watching = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=clean_environment(address=stack.address),
    )
    assert watching.stdout is not None
    assert watching.stderr is not None
    with watching.stdout, watching.stderr, connect(stack.address) as client:
        job = client.job(watching.stdout.readline().strip())
        while "processing" not in watching.stderr.readline():
            assert watching.poll() is None

        watching.send_signal(signal.SIGINT)
        watching.wait(10)

        assert job.refresh().last_status.state == "processing"
        job.cancel()


@pytest.mark.parametrize("ends", ["while the server is away", "after it is back"])
def test_card_survives_a_restart_of_the_server(
    ends: str, make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    stack, go = make_stack(), tmp_path / "go"
    with connect(stack.address) as client:
        job = client.submit("test.do", {"steps": [["await", str(go)], ["note", str(tmp_path / "done")]]})
        published: list[dict[str, Any]] = []
        card = Card(
            source_of(job, "job"), Painter(), lambda bundle, *_, **__: published.append(bundle), face=Face
        )
        card.show()
        assert card._face is not None
        html = card._face._html
        until(lambda: ">processing<" in html.value, 40)

        assert stack.server is not None
        stack.server.kill()
        until(lambda: "reconnecting" in html.value, 40)
        if ends == "while the server is away":
            go.touch()
            until((tmp_path / "done").exists, 40)
        stack.restart_server()
        if ends == "after it is back":
            until(lambda: "reconnecting" not in html.value, 40)
            go.touch()

        assert card.ended.wait(60), stack.workers[0].log
        assert "100% completed" in published[-1]["text/plain"]


def test_cancel_says_in_time_that_the_server_is_away(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    with connect(stack.address) as client:
        card = Card(
            source_of(client.submit("test.do", {"steps": [["sleep", 60]]}), "job"),
            Painter(),
            lambda *_, **__: None,
            face=Face,
        )
        card.show()
        assert card._face is not None
        assert stack.server is not None
        stack.server.kill()

        started = time.monotonic()
        card._face._button.click()

        assert time.monotonic() - started < 4
        assert "not cancelled" in card._note
        assert stack.address in card._note
        assert not card._face._button.disabled


def test_batch_bar_counts_failures_of_real_jobs(stack: Stack) -> None:
    log = io.StringIO()
    steps = [[["ok", 1]], [["fail_for_good", "bad row"]], [["ok", 2]]]
    with connect(stack.address) as client:
        batch = client.map("test.do", [{"steps": each} for each in steps], name="three")

        watch_text([source_of(batch, "batch")], log)

    assert log.getvalue().splitlines()[-1].startswith("three b0-")
    assert "3/3  2 completed  1 failed" in log.getvalue().splitlines()[-1]
