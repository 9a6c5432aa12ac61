"""UCB1: the arm whose reward could be the greatest."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, sqrt

from policy_server.router.choices import Choices, Uniform
from policy_server.router.errors import NoArmLeft
from policy_server.router.rewards import Statistics
from policy_server.router.spread import bounded, overall


@dataclass(frozen=True, slots=True)
class UCB1:
    """The arm with the greatest mean + √(2 ln N / n): Auer, Cesa-Bianchi and Fischer, 2002, figure 1.

    N and n count rewards, those that are awaited, and this process's own decisions since the snapshot: otherwise every
    decision until the next snapshot would take the same arm. Rewards outside of [0, 1] widen the bound by two standard
    deviations of all of them. It is deterministic given all that, so it has no propensities.

    Attributes:
        min_pulls: how often each arm is tried before bounds are compared; once in any case.
    """

    min_pulls: float = 1
    learns = True

    def choices(self, arms: Sequence[Statistics], working: Sequence[bool]) -> Choices:
        """Returns the bounds; they fall with each draw."""
        spread = 1.0 if bounded(arms) else 2 * overall(arms)[1]
        return _Bounds(arms, working, max(1.0, self.min_pulls), spread)


class _Bounds:
    """The bounds since one snapshot."""

    propensities: tuple[float, ...] | None = None

    def __init__(self, arms: Sequence[Statistics], working: Sequence[bool], least: float, spread: float) -> None:
        if not any(working):
            raise NoArmLeft("no arm of the router works: see its policies' failures, or name a fallback")
        self._arms = [index for index, works in enumerate(working) if works]
        self._means = [arms[index].mean for index in self._arms]
        self._pulls = [arms[index].pulls for index in self._arms]
        self._all = sum(self._pulls)
        self._least = least
        self._factor = 2 * spread**2

    def draw(self, random: Uniform, number: int) -> list[int]:
        """See `Choices`; whatever `random` says, it is the arm with the greatest bound, ties the lowest index."""
        del random
        return [self._next() for _ in range(number)]

    def _next(self) -> int:
        scale = self._factor * log(self._all) if self._all > 1 else 0.0
        best, greatest = 0, -inf
        for place, (mean, pulls) in enumerate(zip(self._means, self._pulls, strict=True)):
            if pulls < self._least:
                best = place
                break
            bound = mean + sqrt(scale / pulls)
            if bound > greatest:
                best, greatest = place, bound
        self._pulls[best] += 1
        self._all += 1
        return self._arms[best]
