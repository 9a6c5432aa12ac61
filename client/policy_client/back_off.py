"""How long to wait before asking again."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import SystemRandom

RETRIED = frozenset({429, 502, 503, 504})
"""Codes that say that a later request may be answered."""
_RANDOM = SystemRandom()  # clients that were refused together must not come back together, whatever their seeds


@dataclass(frozen=True)
class BackOff:
    """Waits that double, each between half and all of its length.

    Attributes:
        attempts: how often is asked in all.
        first_seconds: the longest first wait.
        longest_seconds: no wait is longer, whatever the server asks for.
    """

    attempts: int = 6
    first_seconds: float = 0.2
    longest_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}: give at least 1")

    def waits(self) -> Iterator[float | None]:
        """Gives the seconds to wait after each attempt; None after the last."""
        for attempt in range(self.attempts - 1):
            longest = min(self.first_seconds * 2**attempt, self.longest_seconds)
            yield longest * _RANDOM.uniform(0.5, 1)
        yield None

    def asked_for(self, wait: float, retry_after: str | None) -> float:
        """Returns a wait that is as long as the header `Retry-After` asks for, if it does so in seconds."""
        if retry_after is None or not retry_after.isdecimal():
            return wait
        return min(max(wait, float(retry_after)), self.longest_seconds)
