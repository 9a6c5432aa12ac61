"""How long to wait before asking again."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import SystemRandom

from policy_client.errors import Unavailable

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


class Attempts:
    """Judges one request's attempts, without any transport: which answer counts, and how long to wait for another."""

    def __init__(self, url: str, back_off: BackOff) -> None:
        self._url = url
        self._waits = back_off.waits()
        self._back_off = back_off

    def wait_after(self, status: int, retry_after: str | None) -> float | None:
        """Returns the seconds to wait before the next attempt; None: this answer counts.

        Raises:
            Unavailable: it was the last attempt.
        """
        if status not in RETRIED:
            return None
        return self._back_off.asked_for(self._wait(f"it answers {status}"), retry_after)

    def wait_after_loss(self, error: Exception) -> float:
        """Returns the seconds to wait after a connection that failed; raises as `wait_after`."""
        return self._wait(str(error) or type(error).__name__)

    def _wait(self, problem: str) -> float:
        wait = next(self._waits)
        if wait is None:
            raise Unavailable(
                f"{self._url} could not be asked in {self._back_off.attempts} attempts: {problem};"
                " check that it is served"
            )
        return wait
