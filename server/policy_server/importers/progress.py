"""How a fetch shows that it goes on: a bar where a person looks, and now and then a line where a log is kept."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


class Lines:
    """Says how many bytes have come in, at most once in so many seconds."""

    def __init__(self, say: Callable[[str], object], now: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._now = now
        self._bytes = 0
        self._next = now() + SECONDS_BETWEEN_LINES

    def add(self, count: int) -> None:
        """Counts a piece of `count` bytes; a negative number takes a failed try back."""
        self._bytes += count
        if self._now() >= self._next:
            self._next = self._now() + SECONDS_BETWEEN_LINES
            self._say(f"fetching: {self._bytes:,} bytes so far")


@contextmanager
def fetch_progress(say: Callable[[str], object]) -> Iterator[Callable[[int], object]]:
    """Yields what is told the size of each piece in bytes; `say` writes a line where there is no terminal."""
    if not sys.stderr.isatty():
        yield Lines(say).add
        return
    with tqdm(desc="fetch", unit="B", unit_scale=True, unit_divisor=1024, file=sys.stderr, leave=False) as bar:
        yield bar.update
