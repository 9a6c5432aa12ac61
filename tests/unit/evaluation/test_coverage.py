"""Over 1,000 logs of each kind: estimates are unbiased, and 95 % intervals hold the true value in 93 to 97 %."""

from math import sqrt

import numpy as np
import pytest

from policy_server.evaluation.estimates import evaluation
from policy_server.evaluation.rewards import predicted_rewards
from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from tests.unit.evaluation.simulation import CLICKS, NAMES, POUNDS, World, log

LOGS = 1_000
MIX = {"zero": 0.5, "two": 0.5}
TARGETS = {name: {name: 1.0} for name in NAMES} | {"half and half": MIX}
AB, GREEDY = ABTest((2, 1, 1)), EpsilonGreedy(0.4)


@pytest.mark.parametrize(
    ("world", "mode", "count"),
    [(CLICKS, AB, 400), (CLICKS, GREEDY, 600), (POUNDS, AB, 400), (POUNDS, GREEDY, 600)],
    ids=["clicks-ABTest", "clicks-EpsilonGreedy", "pounds-ABTest", "pounds-EpsilonGreedy"],
)
def test_intervals_hold_the_true_value(world: World, mode: Mode, count: int) -> None:
    errors: dict[str, list[list[float]]] = {}
    held: dict[str, list[list[bool]]] = {}
    values = dict(zip(NAMES, world.values, strict=True))
    truth = {name: sum(share * values[arm] for arm, share in mix.items()) for name, mix in TARGETS.items()}
    for seed in range(LOGS):
        units = log(world, mode, count, seed)
        predicted = predicted_rewards(units)
        found = [evaluation(name, mix, units, predicted, 0.01) for name, mix in TARGETS.items()]
        for method, *estimates in zip(("IPS", "SNIPS", "DR"), *(each.estimates for each in found), strict=True):
            pairs = list(zip(estimates, truth.values(), strict=True))
            errors.setdefault(method, []).append([estimate.value - true for estimate, true in pairs])
            held.setdefault(method, []).append([estimate.low <= true <= estimate.high for estimate, true in pairs])
    for method, holds in held.items():
        error = np.array(errors[method])
        shares = np.array(holds).mean(axis=0)
        assert (abs(error.mean(axis=0)) <= 3.5 * error.std(axis=0) / sqrt(LOGS)).all(), method
        assert ((shares >= 0.93) & (shares <= 0.97)).all(), (method, dict(zip(TARGETS, shares, strict=True)))
    if world is POUNDS:  # its rewards depend on what is observed
        assert (np.std(errors["DR"], axis=0) < np.std(errors["IPS"], axis=0)).all()
