"""Decisions that are alike: all of them but the ends of their ids is made once for many."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic_core import to_json

from policy_server.router.ids import LENGTH, Sealer
from policy_server.router.routed import Routed


@dataclass(slots=True, eq=False)
class Series:
    """Decisions with the same arm, propensity and time, whose ids begin alike.

    Attributes:
        arm: the arm's index.
        policy: its name.
        propensity: the probability that it has of being drawn; None: it isn't drawn.
        begin: how the ids begin.
        ends: how those end that nobody has yet.
        told: the end of an answer's JSON, from the comma after the decision on: the parts of it before, between and
            after the ends of its two ids.
    """

    arm: int
    policy: str = ""
    propensity: float | None = None
    begin: bytes = b""
    ends: list[bytes] = field(default_factory=list)
    told: tuple[bytes, bytes, bytes] = (b"", b"", b"")

    def routed(self, end: bytes) -> Routed:
        """Returns all that there is to say of the decision whose id ends so."""
        name = (self.begin + end).decode()
        return Routed(self.arm, self.propensity, name, name, self.policy, begins=True)


Drawn = tuple[Series, bytes]
"""A decision that begins an episode or stands alone: its series, and how its id ends.

Each request has one, and few need more of it, so that it is no more than a tuple.
"""
UNDRAWN: Drawn = Series(0, told=(b"}", b"", b"")), b""
"""That of the one policy where there is no router: nothing but the end of the answer is told."""


def series_of(
    sealer: Sealer, arm: int, tag: int, policy: str, propensity: float | None, time: int
) -> Callable[[], Series]:
    """Returns what makes series with all of this in common.

    Args:
        sealer: writes the ids.
        arm: the arm's index.
        tag: what ids name it by.
        policy: its name.
        propensity: the probability that it has of being drawn; None: it isn't drawn.
        time: of the decisions, in milliseconds since 1970.
    """
    seal = sealer.series(tag, time, propensity)
    name = "|" * LENGTH  # no id, and needs no escapes either
    told = b"," + to_json(Routed(arm, propensity, name, name, policy).content())[1:]
    before, between, after = told.split(name.encode())

    def more() -> Series:
        begin, ends = seal()
        return Series(arm, policy, propensity, begin, ends, (before + begin, between + begin, after))

    return more
