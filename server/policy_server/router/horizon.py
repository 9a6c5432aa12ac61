"""How much old rewards count, and how finely time must be told apart for that."""

from dataclasses import dataclass, field
from math import ceil, log

EVER = 0
"""The bucket of everything that is too old to be told apart."""
_HOUR, _KEPT_HOURS = 3_600, 48
_STEPS = 60
"""Into how many buckets a window is divided: what falls out of it falls out by a sixtieth at a time."""
_STEP_FACTOR, _LEAST_WEIGHT = 0.95, 1e-4
"""A discounted bucket counts for this much of the one after it; what counts for less than the second is too old."""


@dataclass(frozen=True, slots=True)
class Window:
    """Only what was decided in the last so many seconds counts."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Discount:
    """What was decided so many seconds earlier counts for this part (above 0, below 1) of what was decided now."""

    factor: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Horizon:
    """How much rewards count by the age of their decision, and in which bucket they are kept.

    Attributes:
        limit: a window or a discount; None: whatever was ever learned counts.
        wait: how many seconds after a decision its reward may come.
        coarse: the span, in milliseconds, of a bucket whose rewards have come.
        fine: the span, in milliseconds, of a bucket whose rewards are still awaited.
        oldest: the age, in seconds, from which nothing is told apart.
    """

    limit: Window | Discount | None = None
    wait: float = 600
    coarse: int = field(init=False)
    fine: int = field(init=False)
    oldest: float = field(init=False)

    def __post_init__(self) -> None:
        match self.limit:
            case Window(seconds):
                span, oldest = seconds / _STEPS, seconds
            case Discount(factor, seconds):
                span, oldest = (seconds * log(part) / log(factor) for part in (_STEP_FACTOR, _LEAST_WEIGHT))
            case None:
                span, oldest = _HOUR, _HOUR * _KEPT_HOURS
        coarse = max(1, ceil(1000 * span))
        object.__setattr__(self, "coarse", coarse)
        object.__setattr__(self, "fine", min(coarse, max(1000, ceil(1000 * self.wait / 8))))
        object.__setattr__(self, "oldest", oldest)

    def bucket(self, decided: int) -> int:
        """Returns the bucket of a decision that is made at this millisecond."""
        return decided // self.fine * self.fine

    def home(self, start: int, now: float) -> int:
        """Returns the bucket where what was kept under `start` belongs by now; the same for all who ask."""
        if now - start / 1000 > self.fine / 1000 + 2 * self.wait:
            start = start // self.coarse * self.coarse
        return EVER if now - start / 1000 > self.oldest else start

    def settled(self, start: int, now: float) -> bool:
        """Tells whether no reward can come any more for what was decided in this bucket."""
        return now >= (start + self.fine) / 1000 + self.wait

    def weight(self, start: int, now: float) -> float:
        """Returns what a reward in this bucket counts for, at most 1."""
        match self.limit:
            case None:
                return 1.0
            case Window(seconds):
                return 1.0 if start / 1000 >= now - seconds else 0.0
            case Discount(factor, seconds):
                age = max(0.0, now - start / 1000)
                return float(factor ** (age / seconds)) if age <= self.oldest else 0.0
