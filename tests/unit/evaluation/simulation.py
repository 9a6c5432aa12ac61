"""Logs of routers that learn, in a world whose values are known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy_server.evaluation.units import Units
from policy_server.router.modes import Mode
from policy_server.router.rewards import Bucket
from policy_server.router.router import Router
from policy_server.router.settings import RouterSettings
from policy_server.router.store import State
from tests.unit.router.routers import ARMS, KEY, NOW

Numbers = NDArray[np.float64]
NAMES = tuple(arm.name for arm in ARMS)
REFRESH = 20
"""After so many decisions the router learns what came of them."""


@dataclass(frozen=True)
class World:
    """Rewards of three arms, which depend on three observed numbers.

    Attributes:
        values: the mean reward of each arm.
        slopes: what each observed number adds to each arm's reward `(3, arms)`, by its hyperbolic tangent, whose mean
            is 0.
        noise: the deviation of Gaussian rewards; None: rewards are 0 or 1.
    """

    values: tuple[float, ...]
    slopes: Numbers
    noise: float | None = None

    def rewards(self, observations: Numbers, numbers: np.random.Generator) -> Numbers:
        """Returns what each arm would earn `(units, arms)`."""
        means = np.array(self.values) + np.tanh(observations) @ self.slopes
        if self.noise is None:
            return (numbers.random(means.shape) < means).astype(float)
        return means + self.noise * numbers.standard_normal(means.shape)


CLICKS = World((0.4, 0.5, 0.55), np.array([[0.3, -0.1, 0.2], [0.0, 0.2, -0.1], [0.0, 0.0, 0.0]]))
POUNDS = World((1.0, 1.5, 1.4), np.array([[2.0, -1.0, 1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 0.0]]), noise=1.0)


def log(world: World, mode: Mode, units: int, seed: int) -> Units:
    """Returns what a router drew and earned, a second apart, as it learned."""
    numbers = np.random.default_rng(seed)
    observations = numbers.standard_normal((units, 3))
    earned = world.rewards(observations, numbers)
    (draws,) = numbers.spawn(1)  # of the same stream, they would go with the observations
    router = Router(RouterSettings(mode), ARMS, State(KEY, 1, {}), draws, NOW)
    arm, propensities = np.zeros(units, np.intp), np.zeros((units, len(ARMS)))
    for start in range(0, units, REFRESH):
        now = NOW + start
        router.refresh(State(KEY, 1, _learned(arm[:start], earned[:start])), now)
        stop = min(units, start + REFRESH)
        propensities[start:stop] = router.propensities
        arm[start:stop] = [router.decide(now).arm for _ in range(start, stop)]
    return Units(NAMES, arm, earned[np.arange(units), arm], propensities, observations, units)


def _learned(arm: NDArray[np.intp], earned: Numbers) -> dict[int, dict[int, Bucket]]:
    buckets = {}
    for index, each in enumerate(ARMS):
        rewards = earned[arm == index, index]
        count, total, squares = len(rewards), float(rewards.sum()), float(rewards @ rewards)
        buckets[each.tag] = {int(NOW) * 1000: Bucket(count, count, total, squares)}
    return buckets
