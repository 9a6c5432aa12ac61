"""Decisions that have the same arm, propensity and time: all of them but their ids is made once."""

from functools import lru_cache
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from policy_server.router.ids import LENGTH, Sealer
from policy_server.router.routed import Routed

MOST_AHEAD = 256
"""How many decisions are made at a time: so many that what brings the code for it into the cache is shared by many."""


class Series:
    """Makes decisions with one arm, each with an id of its own, many at a time.

    Args:
        sealer: writes the ids.
        arm: the arm's index.
        tag: what ids name it by.
        policy: its name.
        propensity: the probability that it has of being drawn; None: it isn't drawn.
        time: of the decisions, in milliseconds since 1970.

    Attributes:
        arm: the arm's index.
    """

    def __init__(self, sealer: Sealer, arm: int, tag: int, policy: str, propensity: float | None, time: int) -> None:
        self.arm = arm
        self._seal = sealer.series(tag, time, propensity)
        self._policy = policy
        self._propensity = propensity
        self._number = 1
        self._blank, self._places = _blank(policy, propensity)

    def more(self) -> "list[Drawn]":
        """Returns decisions that nobody has yet; more each time, so that few are in vain where few are needed."""
        number, self._number = self._number, min(MOST_AHEAD, 4 * self._number)
        ids = self._seal(number)
        told = np.empty((number, len(self._blank)), np.uint8)
        told[:] = self._blank
        for place in self._places:
            told[:, place] = ids
        return list(zip(repeat(self), told.view(f"S{len(self._blank)}")[:, 0].tolist(), strict=False))

    def routed(self, told: bytes) -> Routed:
        """Returns all that there is to say of a decision that was made here."""
        name = told[self._places[0]].decode()
        return Routed(self.arm, self._propensity, name, name, self._policy, begins=True)


Drawn = tuple[Series, bytes]
"""A decision that begins an episode or stands alone: what made it, and its `Routed.told`.

Each request has one, and few need more of it, so that it is no more than a tuple.
"""


@lru_cache(256)
def _blank(policy: str, propensity: float | None) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
    """Returns what is told of a decision with no id in it, and where its two ids go; those need no escapes."""
    name = "|" * LENGTH
    told = Routed(0, propensity, name, name, policy).told
    decision, episode = told.index(name.encode()), told.rindex(name.encode())
    return np.frombuffer(told, np.uint8), (slice(decision, decision + LENGTH), slice(episode, episode + LENGTH))
