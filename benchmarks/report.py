"""What a bench prints: the machine, a table, and at the end one line for each figure."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.figures import Result

PACKAGES = ("jobsvc", "dramatiq", "hiredis", "grpcio", "uvloop")


def machine_facts() -> list[str]:
    """What one has to know about the machine to read the figures; its load tells whether others disturbed them."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} missing")
    memory_gib = psutil.virtual_memory().total / 2**30
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return [
        f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {', '.join(versions)}",
        f"load {load} (1, 5, 15 min)",
    ]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def spread(values: Sequence[float], digits: int = 0) -> str:
    """A median with its range: ``1,950 (1,800-2,100)``."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their widest cell; the first aligned left, the others right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if not number else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    print(f"\n{title}", line(head), "  ".join("-" * width for width in widths), sep="\n")
    for row in rows:
        print(line(row))


def finish(before: Sequence[str], results: Sequence[Result]) -> int:
    """Print the machine and the results; return the exit status, 1 when a bound was not kept.

    Args:
        before: ``machine_facts()`` from the beginning of the run; the load of now is printed beside.
        results: The figures.
    """
    print("\nmachine", *(f"  {fact}" for fact in before), sep="\n")
    print(f"  load at the end {os.getloadavg()[0]:.2f} (1 min)\n")
    for result in results:
        print(result.line())
    sys.stdout.flush()
    return 0 if all(result.passed for result in results) else 1


def say(text: str) -> None:
    """Tell how far the run is, apart from what it found out."""
    print(text, file=sys.stderr, flush=True)
