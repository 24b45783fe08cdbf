"""The whole of jobsvc in half a minute: ``make demo``, or ``python -m jobsvc.samples.demo``.

It starts an embedded Valkey, a server and a worker, submits a batch of forecasts over real data, shows a live bar, and
prints a table that answers a question. Whatever it started it stops, also after Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobsvc_sdk import Batch, Client, connect

# Together they are all of `nonfarm`, so nobody is counted twice.
INDUSTRIES = (
    "mining_and_logging",
    "construction",
    "durable_goods",
    "nondurable_goods",
    "wholesale_trade",
    "retail_trade",
    "transportation_and_warehousing",
    "utilities",
    "information",
    "financial_activities",
    "professional_and_business_services",
    "education_and_health_services",
    "leisure_and_hospitality",
    "other_services",
    "government",
)
COMMON = {"dataset": "us-employment", "date": "month", "horizon": 12, "confidence": 0.8, "replicas": 50}
TRENDS = ("damped", "straight")
SEASONS = (12, 1)

HANDLERS = "jobsvc.samples.analytics"
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 40.0
LOOK_EVERY_S = 0.05
OTHER_COLUMNS_WIDTH = 63

Result = dict[str, Any]


class DemoError(Exception):
    """The demo cannot go on; the message is for the person at the terminal."""


def main() -> int:
    """Run the demo and return the exit status."""
    console = Console(highlight=False)
    try:
        console.print("Starting an embedded Valkey, a server and a worker ...", style="dim")
        with (
            tempfile.TemporaryDirectory(prefix="jobsvc-demo-") as scratch,
            _stack(Path(scratch), console) as address,
            connect(address) as client,
        ):
            _show(console, _forecasts(console, client))
    except DemoError as problem:
        Console(stderr=True, highlight=False).print(Text(f"The demo failed: {problem}", style="red"))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _stack(scratch: Path, console: Console) -> Iterator[str]:
    """Run ``jobsvc dev`` with a data folder of its own, and yield the server's address."""
    ready_file, log = scratch / "address", scratch / "log"
    words = [sys.executable, "-m", "jobsvc", "dev", "--port", "0", "--data", str(scratch / "data")]
    words += [
        "--import",
        HANDLERS,
        "--ready-file",
        str(ready_file),
        "--die-with",
        str(os.getpid()),
    ]
    # Settings of the person's own installation, such as another Redis, are none of the demo's business; which Valkey
    # there is on this machine is.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JOBSVC_") or name == "JOBSVC_VALKEY_SERVER"
    }
    with log.open("wb") as output:
        stack = subprocess.Popen(
            words, cwd=scratch, env=environment, stdout=output, stderr=output, process_group=0
        )
        try:
            _wait_until_ready(stack, ready_file, log)
            yield ready_file.read_text().strip()
        finally:
            console.print("Stopping all of it ...", style="dim")
            _stop(stack)


def _wait_until_ready(stack: subprocess.Popen[bytes], ready_file: Path, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not ready_file.exists():
        if stack.poll() is not None:
            raise DemoError(f"`jobsvc dev` ended with status {stack.returncode}. It said:\n{_end_of(log)}")
        if time.monotonic() > deadline:
            raise DemoError(
                f"`jobsvc dev` was not ready after {READY_WITHIN_S:.0f} s. It said:\n{_end_of(log)}"
            )
        time.sleep(LOOK_EVERY_S)


def _stop(stack: subprocess.Popen[bytes]) -> None:
    if stack.poll() is not None:
        return
    stack.send_signal(signal.SIGINT)
    try:
        stack.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        # Its children die with it.
        stack.kill()
        stack.wait()
        raise DemoError(f"`jobsvc dev` did not stop within {STOP_WITHIN_S:.0f} s and was killed") from None


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _forecasts(console: Console, client: Client) -> list[Result]:
    """Run four models for each industry, and return the forecast of the one that was best in the past."""
    models = list(product(INDUSTRIES, TRENDS, SEASONS))
    console.print(
        f"\n[bold]Which US industries were about to grow in 2016?[/bold]\n"
        f"{len(models)} jobs: {len(INDUSTRIES)} industries, {len(TRENDS) * len(SEASONS)} models each, fitted to the "
        f"monthly figures of 2006 to 2015.\n"
    )
    batch = client.map(
        "analytics.forecast",
        [{"column": industry, "trend": trend, "season": season} for industry, trend, season in models],
        common=COMMON,
        name="US employment",
    )
    batch.watch()
    results = _results(batch)
    best: dict[str, Result] = {}
    for (industry, _, season), result in zip(models, results, strict=True):
        candidate = {**result, "season": season}
        if industry not in best or _error(candidate) < _error(best[industry]):
            best[industry] = candidate
    return sorted(best.values(), key=lambda result: -float(result["change_percent"]["value"]))


def _results(batch: Batch) -> list[Result]:
    """Return the results in the order of the arguments, or say which jobs have none."""
    outcomes = batch.results(return_exceptions=True)
    problems = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if problems:
        lines = [str(problem) for problem in problems[:2]]
        raise DemoError(
            "\n".join([f"{len(problems)} of {len(outcomes)} jobs did not complete, for example:", *lines])
        )
    return outcomes


def _error(result: Result) -> float:
    return float(result["backtest"]["mae"])


def _show(console: Console, best: list[Result]) -> None:
    low = min(0.0, *(result["change_percent"]["low"] for result in best))
    high = max(0.0, *(result["change_percent"]["high"] for result in best))
    scale = _Scale(low, high, max(11, min(41, console.width - OTHER_COLUMNS_WIDTH)))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("industry", no_wrap=True)
    for heading in ("jobs", "2016", "80 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(Text("0".rjust(scale.at(0) + 1)), no_wrap=True)
    table.add_column("error", justify="right", no_wrap=True)
    for result in best:
        change = result["change_percent"]
        style = _verdict(change)[1]
        table.add_row(
            _name(result),
            f"{result['last']['value'] / 1000:.2f} M",
            Text(f"{change['value']:+.1f} %", style=style),
            f"{change['low']:+.1f} to {change['high']:+.1f}",
            Text(scale.plot(change), style=style),
            f"{100 * _error(result) / result['last']['value']:.1f} %",
        )
    console.print()
    console.print(table)
    console.print(
        "jobs: in December 2015. 2016: expected change by December 2016. error: how far such forecasts, made in "
        "earlier months, were off on average.\n",
        style="dim",
    )
    console.print(_answer(best))


def _name(result: Result) -> str:
    words = result["column"].replace("_", " ").replace(" and ", " & ").replace("transportation", "transport")
    return str(words.removesuffix(" services") if "&" in words else words)


def _verdict(change: dict[str, float]) -> tuple[str, str]:
    """Say what the interval says, and in which style to show it."""
    if change["low"] > 0:
        return "growth", "green"
    return ("decline", "red") if change["high"] < 0 else ("open", "dim")


@dataclass(frozen=True)
class _Scale:
    """A line of text as an axis of percent, from ``low`` to ``high``, which hold zero."""

    low: float
    high: float
    width: int

    def at(self, value: float) -> int:
        """Return the column of a value."""
        return round((value - self.low) / ((self.high - self.low) or 1.0) * (self.width - 1))

    def plot(self, change: dict[str, float]) -> str:
        """Draw an interval with its forecast, and zero."""
        cells = [" "] * self.width
        start, end, zero = self.at(change["low"]), self.at(change["high"]), self.at(0)
        if change["low"] > 0:
            start = max(start, zero + 1)  # rounding must not let a certain growth touch zero
        cells[start : end + 1] = "─" * (end + 1 - start)
        cells[zero] = "┼" if start <= zero <= end else "│"
        cells[self.at(change["value"])] = "●"
        return "".join(cells)


def _answer(best: list[Result]) -> Text:
    named: dict[str, list[str]] = {"growth": [], "decline": [], "open": []}
    for result in best:
        named[_verdict(result["change_percent"])[0]].append(_name(result))
    parts = [
        f"{what} was to be expected in {', '.join(names)}" if names else f"{what} was not certain anywhere"
        for what, names in named.items()
        if what != "open"
    ]
    return Text.assemble(
        ("Answer: ", "bold"), f"{'; '.join(parts)}; for the other {len(named['open'])} both were possible."
    )


if __name__ == "__main__":
    sys.exit(main())
