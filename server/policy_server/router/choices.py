"""What a snapshot allows to be drawn; all that can be computed beforehand is, because each request draws once."""

from collections.abc import Sequence
from itertools import accumulate
from math import fsum, isfinite
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policy_server.router.errors import NoArmLeft


class Uniform(Protocol):
    """A source of randomness: `numpy.random.Generator` is one."""

    def random(self, size: int) -> NDArray[np.float64]:
        """Returns so many numbers in [0, 1)."""


class Choices(Protocol):
    """What is drawn from until the next snapshot.

    Attributes:
        propensities: the probability of each arm, in the order of the arms, summing to 1; None: it is not drawn.
    """

    propensities: tuple[float, ...] | None

    def draw(self, random: Uniform, number: int) -> list[int]:
        """Returns the indices of so many arms, each drawn for itself."""


class Shares:
    """Arms drawn in fixed proportions.

    Args:
        weights: one for each arm, in any unit; an arm of weight 0 is never drawn.

    Raises:
        NoArmLeft: no arm has a weight.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        total = fsum(weights)
        if not total > 0 or not isfinite(total) or min(weights) < 0:
            raise NoArmLeft("no arm of the router may answer: give one that works a weight, or name a fallback")
        self.propensities: tuple[float, ...] | None = tuple(weight / total for weight in weights)
        arms = [arm for arm, share in enumerate(self.propensities) if share > 0]
        self._arms = np.array(arms)
        # Without the last bound, which rounding could leave below the largest draw.
        self._bounds = np.array(list(accumulate(self.propensities[arm] for arm in arms))[:-1])

    def draw(self, random: Uniform, number: int) -> list[int]:
        """See `Choices`."""
        drawn: list[int] = self._arms[self._bounds.searchsorted(random.random(number), side="right")].tolist()
        return drawn
