"""What actions an agent has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from policy_client.errors import PolicyError

Action = NDArray[np.int64] | NDArray[np.float64]
"""Of one agent: `(size,)` of a Discrete space, `shape` of a Continuous one."""


@dataclass(frozen=True)
class Discrete:
    """Whole numbers from 0 on: `Discrete(4)` is one of 0 to 3, `Discrete(10, 3)` three of 0 to 9.

    Attributes:
        choices: how many values each has; a sequence gives each its own.
        size: how many numbers an action has.
    """

    choices: int | Sequence[int]
    size: int = 1

    def action(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Returns what a policy gave as an action `(size,)`.

        Raises:
            PolicyError: it is more, fewer or other numbers.
        """
        given = np.ravel(np.asarray(numbers))
        most = np.broadcast_to(np.asarray(self.choices), (self.size,))
        if (
            given.shape != (self.size,)
            or (given != given.astype(np.int64)).any()
            or ((given < 0) | (given >= most)).any()
        ):
            raise PolicyError(f"the policy acts with {given.tolist()}, the simulation takes {self}: they don't fit")
        return given.astype(np.int64)


@dataclass(frozen=True)
class Continuous:
    """Real numbers: `Continuous([3], 0, 1)` is three between 0 and 1, `Continuous([3, 2])` any six in three rows.

    Attributes:
        shape: the shape of an action.
        low: the least values, one for all or an array of `shape`; -inf: there is none.
        high: the greatest, likewise.
    """

    shape: Sequence[int]
    low: ArrayLike = -math.inf
    high: ArrayLike = math.inf

    def action(self, numbers: ArrayLike) -> NDArray[np.float64]:
        """Returns what a policy gave as an action of `shape`; bounds are the simulation's matter.

        Raises:
            PolicyError: it is more or fewer numbers.
        """
        given = np.ravel(np.asarray(numbers, np.float64))
        if given.size != math.prod(self.shape):
            raise PolicyError(
                f"the policy acts with {given.size} numbers, the simulation takes {math.prod(self.shape)}"
            )
        return given.reshape(tuple(self.shape))


Space = Discrete | Continuous
