"""A baseline that any trained policy should beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policy_client.acting import Policy
from policy_client.spaces import Action, Continuous, Space

if TYPE_CHECKING:  # as in acting.py
    from policy_client.simulation import Simulation


class Random(Policy):
    """Takes any action, whatever is observed; each as likely.

    Real numbers without bounds are drawn from the standard normal distribution, those with one bound are off it by the
    standard exponential distribution, as Gymnasium draws them.
    """

    def __init__(self, seed: int | None = None) -> None:
        """Takes what makes the draws repeatable."""
        self._random = np.random.default_rng(seed)

    def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        """See `Policy`."""
        return {agent: self._draw(simulation.action_space(agent)) for agent in range(simulation.number_of_agents())}

    def _draw(self, space: Space) -> Action:
        if not isinstance(space, Continuous):
            return space.action(self._random.integers(space.choices, size=space.size))
        low, high = (
            np.broadcast_to(np.asarray(bound, np.float64), tuple(space.shape)) for bound in (space.low, space.high)
        )
        has_low, has_high = np.isfinite(low), np.isfinite(high)
        from_low = np.where(has_low, low, 0.0)
        uniform = from_low + self._random.random(low.shape) * (np.where(has_high, high, 0.0) - from_low)
        off = self._random.standard_exponential(low.shape)
        normal = self._random.standard_normal(low.shape)
        conditions = [has_low & has_high, has_low, has_high]
        return space.action(np.select(conditions, [uniform, from_low + off, high - off], normal))
