"""Which arms can answer: one that fails is taken out, and tried again after a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

SHORTEST_BREAK, LONGEST_BREAK = 1.0, 60.0
"""Seconds that an arm is out: doubled each time that it fails again, up to the second."""
TOLERATED = 3
"""So many failures in a row take an arm out: one alone can be the observation's fault."""


@dataclass(slots=True)
class _Health:
    failures: int = 0
    breaks: int = 0
    until: float = -inf


class Availability:
    """The health of each arm; times are seconds on any one clock.

    Attributes:
        working: whether each arm may be drawn.
        next_change: when an arm that is out is tried again.
        troubled: whether any has failed since it last answered.
    """

    def __init__(self, arms: int) -> None:
        self._arms = [_Health() for _ in range(arms)]
        self.working: Sequence[bool] = (True,) * arms
        self.next_change = inf
        self.troubled = False

    def failed(self, arm: int, now: float, *, certainly: bool = False) -> bool:
        """Notes that an arm couldn't answer; returns whether that changed what works.

        Args:
            arm: its index.
            now: the time.
            certainly: it isn't the observation's fault, as when it didn't load, or took too long.
        """
        health = self._arms[arm]
        health.failures += 1
        self.troubled = True
        on_trial = health.breaks > 0
        if not (certainly or on_trial or health.failures >= TOLERATED):
            return False
        if now < health.until:
            return False  # decided on before it was taken out
        health.until = now + min(LONGEST_BREAK, SHORTEST_BREAK * 2**health.breaks)
        health.breaks = min(health.breaks + 1, 16)
        return self.update(now)

    def answered(self, arm: int) -> None:
        """Notes that an arm answered."""
        health = self._arms[arm]
        if health.failures:
            health.failures = health.breaks = 0
            self.troubled = any(other.failures for other in self._arms)

    def update(self, now: float) -> bool:
        """Puts arms whose break is over back on trial; returns whether that changed what works."""
        before = self.working
        self.working = tuple(now >= health.until for health in self._arms)
        self.next_change = min((health.until for health in self._arms if health.until > now), default=inf)
        return self.working != before
