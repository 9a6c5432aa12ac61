"""Decisions that have the same arm, propensity and time: all of them but their ids is made once."""

from itertools import repeat

from policy_server.router.ids import MOST_AT_ONCE, Sealer
from policy_server.router.routed import Routed, around_ids


class Series:
    """Makes decisions with one arm, each with an id of its own, some at a time.

    Args:
        sealer: writes the ids.
        arm: the arm's index.
        tag: what ids name it by.
        policy: its name.
        propensity: the probability that it has of being drawn; None: it isn't drawn.
        time: of the decisions, in milliseconds since 1970.
    """

    def __init__(self, sealer: Sealer, arm: int, tag: int, policy: str, propensity: float | None, time: int) -> None:
        self._seal = sealer.series(tag, time, propensity)
        self._number = 1
        self._made: list[Routed] = []
        self._around = around_ids(policy, propensity)
        self._start = repeat(arm), repeat(propensity)
        self._end = repeat(policy), repeat(False), repeat(True), repeat(False)

    def take(self) -> Routed:
        """Returns a decision that nobody has yet."""
        if not self._made:
            self._made = self._more()
            self._number = min(MOST_AT_ONCE, 4 * self._number)  # so that few are in vain where few are needed
        return self._made.pop()

    def _more(self) -> list[Routed]:
        before, between, after = self._around
        ids = self._seal(self._number)
        told = [f"{before}{id}{between}{id}{after}".encode() for id in ids]  # noqa: A001 -- that is what it is
        # As the class does it, but for its Python.
        return list(map(tuple.__new__, repeat(Routed), zip(*self._start, ids, ids, *self._end, told, strict=False)))
