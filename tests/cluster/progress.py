"""What the person at the terminal is told, with the seconds it took."""

from __future__ import annotations

import sys
import time


def say(line: str, since: float | None = None) -> None:
    """Prints a line of progress; with `since`, a reading of the monotonic clock, how long it took.

    Standard error, because standard output belongs to commands whose answer is read by a shell.
    """
    took = "" if since is None else f"{time.monotonic() - since:7.1f} s"
    print(f"{took:>10}  {line}", file=sys.stderr, flush=True)
