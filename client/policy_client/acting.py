"""What every policy does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from policy_client.spaces import Action

if TYPE_CHECKING:  # a simulation runs policies, so they know each other
    from policy_client.simulation import Simulation


class Policy(ABC):
    """Decides what the agents of a simulation do."""

    @abstractmethod
    def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        """Returns an action for each agent, by its number, for what it observes now.

        Raises:
            PolicyError: there is none.
        """

    def begin_episode(self) -> None:  # noqa: B027 -- few policies remember anything
        """Forgets what was remembered of an earlier episode."""

    def take_rewards(self, rewards: Sequence[float], done: Sequence[bool]) -> None:  # noqa: B027 -- few learn
        """Takes what the last step was worth to each agent, and whether the agent has ended; called after each."""
