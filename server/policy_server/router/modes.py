"""How a router chooses among its arms, given what their rewards came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from policy_server.router.choices import Choices, Shares
from policy_server.router.rewards import Statistics


class Mode(Protocol):
    """A rule for choosing.

    Attributes:
        learns: whether rewards change what is chosen.
    """

    @property
    def learns(self) -> bool: ...  # noqa: D102 - an attribute, which frozen dataclasses can only give as a property

    def choices(self, arms: Sequence[Statistics], working: Sequence[bool]) -> Choices:
        """Returns what can be drawn.

        Args:
            arms: what each arm's rewards came to.
            working: whether each arm can answer; the share of one that can't goes to the others.

        Raises:
            NoArmLeft: none can.
        """


@dataclass(frozen=True, slots=True)
class ABTest:
    """Fixed weights, one for each arm, in any unit; an arm of weight 0 gets nothing, whatever happens to others.

    A canary is an arm of two, with what a hundred leaves to the other.
    """

    weights: tuple[float, ...]
    learns = False

    def choices(self, arms: Sequence[Statistics], working: Sequence[bool]) -> Choices:
        """Returns the weights of those that work."""
        del arms
        return Shares([weight * works for weight, works in zip(self.weights, working, strict=True)])


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """The best arm, and now and then any.

    With n arms that work, the one with the best mean reward (ties: the lowest index) has probability 1-ε+ε/n, each
    other ε/n: Sutton and Barto, "Reinforcement Learning", 2.2, where exploration may take the best one too.

    Attributes:
        epsilon: how often any arm is taken, in [0, 1].
        min_pulls: how often each arm is tried before means are compared.
    """

    epsilon: float = 0.1
    min_pulls: float = 0
    learns = True

    def choices(self, arms: Sequence[Statistics], working: Sequence[bool]) -> Choices:
        """Returns the shares for these means."""
        if trial := untried(arms, working, self.min_pulls):
            return trial
        able = [index for index, works in enumerate(working) if works]
        weights = [self.epsilon / len(able) if works else 0.0 for works in working]
        if able:
            weights[max(able, key=lambda index: arms[index].mean)] += 1 - self.epsilon
        return Shares(weights)


def untried(arms: Sequence[Statistics], working: Sequence[bool], min_pulls: float) -> Choices | None:
    """Returns equal shares of the arms that were tried less than `min_pulls` times; None: there are none."""
    early = [float(works and arm.pulls < min_pulls) for arm, works in zip(arms, working, strict=True)]
    return Shares(early) if any(early) else None
