"""The least that waking a process through Redis can cost: it is blocked on a sorted set, and stamps what is added.

``python -m benchmarks.programs.wake_loop PORT KEY``; members of the set are the instants of submission.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.programs.raw import RawConnection
from benchmarks.programs.stamp import stamp


def main(port: int, key: str) -> None:
    """Stamp for ever."""
    connection = RawConnection(port)
    while True:
        answer: Any = connection.ask("BZPOPMIN", key, 0)
        stamp(int(answer[1]))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
