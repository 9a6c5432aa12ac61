"""What is kept of an arm's rewards: sums in buckets of time, from which windows and discounts are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

from policy_server.router.errors import RewardRefused
from policy_server.router.horizon import Horizon

LARGEST_REWARD = 1e15
"""Its square, summed over years, is still finite."""


class Bucket(NamedTuple):
    """What happened to the decisions that were made in one span of time.

    Attributes:
        decided: how many there were: episodes, or decisions outside of any.
        rewarded: how many of them have their reward.
        total: the sum of these rewards, as they came.
        squares: the sum of their squares.
    """

    decided: float = 0
    rewarded: float = 0
    total: float = 0
    squares: float = 0

    def __add__(self, other: "Bucket") -> "Bucket":  # type: ignore[override]
        """Returns what happened in both; a bucket is no sequence that could be made longer."""
        return Bucket(
            self.decided + other.decided,
            self.rewarded + other.rewarded,
            self.total + other.total,
            self.squares + other.squares,
        )


Buckets = Mapping[int, Bucket]
"""By the start of their span, in milliseconds since 1970; 0 is everything that is too old to be told apart."""


@dataclass(frozen=True, slots=True)
class RewardRange:
    """Between which numbers rewards lie, so that they can be scaled to [0, 1]."""

    least: float
    greatest: float

    def nearest(self, reward: float) -> float:
        """Returns the reward, or the bound that it exceeds."""
        return min(max(reward, self.least), self.greatest)

    def scaled(self, bucket: Bucket) -> Bucket:
        """Returns the sums that rewards scaled to [0, 1] would have had.

        They are kept as they came, so that a range can be changed without anything being forgotten. What lies outside
        of a changed range is drawn into it in the mean.
        """
        decided, rewarded, total, squares = bucket
        span = self.greatest - self.least
        mean = (total - rewarded * self.least) / span
        second = (squares - 2 * self.least * total + rewarded * self.least**2) / span**2
        mean = min(max(mean, 0), rewarded)
        return Bucket(decided, rewarded, mean, min(max(second, 0), mean))


def require_reward(reward: float, bounds: RewardRange | None) -> float:
    """Returns the reward.

    Raises:
        RewardRefused: it isn't finite, or lies outside of the bounds; the store's sums would be spoilt for good.
    """
    if not isfinite(reward) or abs(reward) > LARGEST_REWARD:
        raise RewardRefused(f"reward {reward} is not a finite number of at most {LARGEST_REWARD:g}")
    if bounds is not None and not bounds.least <= reward <= bounds.greatest:
        raise RewardRefused(
            f"reward {reward:g} is outside of [{bounds.least:g}, {bounds.greatest:g}]: send one inside, or change the"
            " router's reward.min and reward.max"
        )
    return reward


@dataclass(frozen=True, slots=True)
class Statistics:
    """What an arm's rewards come to at one moment, after window, discount, scale and default.

    Attributes:
        count: how many rewards, or their weight where they are discounted.
        total: their sum, weighted likewise.
        squares: the sum of their squares, weighted likewise.
        awaited: how many more are to be expected for decisions that were made already.
    """

    count: float = 0
    total: float = 0
    squares: float = 0
    awaited: float = 0

    @property
    def mean(self) -> float:
        """The mean reward; 0 where there is none yet, as in Sutton and Barto, "Reinforcement Learning", 2.2."""
        return self.total / self.count if self.count > 0 else 0.0

    @property
    def pulls(self) -> float:
        """How often the arm was tried, as far as that can be learned from."""
        return self.count + self.awaited


def statistics(
    buckets: Buckets, now: float, horizon: Horizon, bounds: RewardRange | None, default: float | None
) -> Statistics:
    """Reads an arm's buckets.

    Args:
        buckets: the arm's.
        now: seconds since 1970.
        horizon: how much old rewards count.
        bounds: scales rewards to [0, 1].
        default: the reward of a decision that got none in time; None: there was no such decision.
    """
    read = Bucket()
    awaited = 0.0
    for start, bucket in buckets.items():
        weight = horizon.weight(start, now)
        if weight <= 0:
            continue
        missing = max(0.0, bucket.decided - bucket.rewarded)
        if not horizon.settled(start, now):
            awaited += weight * missing
        elif default is not None:
            bucket += Bucket(0, missing, missing * default, missing * default**2)  # noqa: PLW2901 - its own default
        if weight < 1:
            bucket = Bucket(*(weight * number for number in bucket))  # noqa: PLW2901 - by its age
        read += bucket
    if bounds is not None:
        read = bounds.scaled(read)
    # Where few clients send rewards, as few will come for what is still open.
    rate = min(1.0, read.rewarded / read.decided) if read.rewarded > 0 and read.decided > 0 else 1.0
    return Statistics(read.rewarded, read.total, read.squares, awaited * rate)
