from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from policy_server.evaluation.estimates import (
    LEAST_EFFECTIVE,
    LEAST_PROPENSITY,
    Evaluation,
    _estimate,
    _student_quantile,
    evaluation,
    logged,
)
from policy_server.evaluation.rewards import predicted_rewards
from policy_server.evaluation.units import Units
from policy_server.router.modes import ABTest, EpsilonGreedy
from tests.unit.evaluation.simulation import CLICKS, NAMES, POUNDS, log

AB = ABTest((2, 1, 1))


def value(units: Units, *, least: float = LEAST_PROPENSITY, **mix: float) -> Evaluation:
    return evaluation("it", mix, units, predicted_rewards(units), least)


def by_method(found: Evaluation) -> dict[str, float]:
    assert found.refused is None, found.refused
    return {estimate.method: estimate.value for estimate in found.estimates}


def test_by_hand() -> None:
    arm = np.array([0, 1, 0, 0] * 100)
    reward = np.array([1.0, 5.0, 0.0, 3.0] * 100)
    propensities = np.array([[0.5, 0.5], [0.5, 0.5], [0.8, 0.2], [0.8, 0.2]] * 100)
    units = Units(("a", "b"), arm, reward, propensities, np.zeros((400, 0)), 400)
    found = evaluation("a", {"a": 1.0}, units, np.full((400, 2), 2.0), LEAST_PROPENSITY)
    weights = np.array([2, 0, 1.25, 1.25])
    assert found.effective == pytest.approx(100 * 4.5**2 / (weights**2).sum())
    assert by_method(found) == pytest.approx(
        {"IPS": (2 + 3.75) / 4, "SNIPS": (2 + 3.75) / 4.5, "DR": 2 + (-2 - 2.5 + 1.25) / 4}
    )
    assert logged(units).estimates[0].value == pytest.approx(9 / 4)


def test_a_mix_is_valued_as_its_policies_are() -> None:
    units = log(POUNDS, AB, 2000, seed=1)
    arms = [by_method(value(units, **{name: 1.0})) for name in NAMES]
    mixed = by_method(value(units, zero=0.2, one=0.3, two=0.5))
    for method in ("IPS", "DR"):
        parts = [share * arm[method] for share, arm in zip((0.2, 0.3, 0.5), arms, strict=True)]
        assert mixed[method] == pytest.approx(sum(parts))


def test_the_log_s_own_mix_is_valued_as_the_log_was() -> None:
    units = log(CLICKS, AB, 2000, seed=2)
    found = value(units, zero=0.5, one=0.25, two=0.25)
    assert found.effective == pytest.approx(2000)
    assert by_method(found)["IPS"] == pytest.approx(units.reward.mean())


def test_snips_and_dr_follow_rewards_that_are_all_shifted() -> None:
    units = log(POUNDS, AB, 2000, seed=3)
    shifted = replace(units, reward=units.reward + 1000)
    before, after = by_method(value(units, one=1.0)), by_method(value(shifted, one=1.0))
    assert after["SNIPS"] == pytest.approx(before["SNIPS"] + 1000)
    assert after["DR"] == pytest.approx(before["DR"] + 1000, abs=0.1)
    assert abs(after["IPS"] - before["IPS"] - 1000) > 1


def test_the_model_predicts_what_observations_tell() -> None:
    units = log(POUNDS, AB, 4000, seed=4)
    residuals = (units.reward - predicted_rewards(units)[np.arange(4000), units.arm])[1000:]
    assert residuals.var() < 0.7 * units.reward.var()


def test_no_prediction_knows_its_own_reward_or_a_later_one() -> None:
    units = log(POUNDS, AB, 500, seed=5)
    predicted = predicted_rewards(units)
    for place in (100, 250):
        other = replace(units, reward=np.where(np.arange(500) >= place, -units.reward, units.reward))
        assert np.array_equal(predicted_rewards(other)[: place + 1], predicted[: place + 1], equal_nan=True)


@pytest.mark.parametrize("features", [0, 1, 5])
def test_the_model_stands_any_features(features: int) -> None:
    units = log(CLICKS, AB, 300, seed=6)
    constant = replace(units, observations=np.full((300, features), 7.0))
    assert np.isfinite(predicted_rewards(constant)[16:]).all()
    assert value(constant, one=1.0).refused is None


def test_a_policy_that_was_hardly_drawn_is_refused_with_the_remedy() -> None:
    found = value(log(CLICKS, ABTest((98, 1, 1)), 600, seed=7), one=1.0)
    assert not found.estimates
    assert found.effective < LEAST_EFFECTIVE
    assert found.refused is not None
    assert "overlap is too small" in found.refused
    assert "give a longer log" in found.refused


def test_a_policy_that_could_never_be_drawn_is_refused() -> None:
    found = value(log(CLICKS, ABTest((1, 1, 0)), 600, seed=8), two=1.0)
    assert found.refused is not None
    assert found.refused.startswith("it was never drawn with a propensity of 0.01 or more")
    assert value(log(CLICKS, ABTest((1, 1, 0)), 600, seed=8), one=0.5, zero=0.5).refused is None


def test_weights_that_never_came_but_might_have_are_counted_too() -> None:
    """What was drawn alone would look like 100 good units, though most of the policy's time isn't in them."""
    units = log(CLICKS, ABTest((1, 1, 0)), 200, seed=9)
    propensities = np.vstack([units.propensities, np.tile([0.9989, 0.0011, 0.0], (10_000, 1))])
    arm = np.concatenate([units.arm, np.zeros(10_000, np.intp)])
    reward, observations = np.resize(units.reward, 10_200), np.resize(units.observations, (10_200, 3))
    found = value(Units(NAMES, arm, reward, propensities, observations, 10_200), one=1.0, least=0.001)
    assert found.effective > LEAST_EFFECTIVE
    assert found.refused is not None


def test_units_in_which_a_policy_could_not_be_drawn_are_left_out_and_told() -> None:
    before, after = log(CLICKS, ABTest((1, 1, 0)), 400, seed=10), log(CLICKS, ABTest((1, 1, 1)), 600, seed=11)
    both = Units(
        NAMES,
        np.concatenate([before.arm, after.arm]),
        np.concatenate([before.reward, after.reward]),
        np.vstack([before.propensities, after.propensities]),
        np.vstack([before.observations, after.observations]),
        1000,
    )
    found = value(both, two=1.0)
    assert found.units == 600
    assert by_method(found)["SNIPS"] == pytest.approx(by_method(value(after, two=1.0))["SNIPS"])
    assert "400 units are left out" in found.warnings[0]
    assert value(both, one=1.0).units == 1000


def test_propensities_that_are_not_true_are_found_out() -> None:
    units = log(CLICKS, AB, 2000, seed=13)
    assert not value(units, one=1.0).warnings
    kept = (units.arm != 1) | (np.random.default_rng(1).random(2000) < 0.7)  # its rewards get lost more often
    less = replace(
        units,
        arm=units.arm[kept],
        reward=units.reward[kept],
        propensities=units.propensities[kept],
        observations=units.observations[kept],
    )
    assert "its weights are 0.7" in value(less, one=1.0).warnings[0]


def test_equal_rewards_come_with_a_warning() -> None:
    units = log(CLICKS, AB, 400, seed=14)
    (warning,) = value(replace(units, reward=np.ones(400)), one=1.0).warnings
    assert "all its rewards are the same" in warning


def test_intervals_of_clicks_that_are_rare_reach_further_up_than_down() -> None:
    rewards = np.zeros(1000)
    rewards[:10] = 1
    found = _estimate("IPS", rewards, np.ones(1000), 1000)
    assert found.high - found.value > 1.3 * (found.value - found.low)
    assert 0 < found.low < found.value


def test_intervals_of_many_symmetric_rewards_are_the_usual_ones() -> None:
    rewards = np.random.default_rng(2).standard_normal(100_000)
    found = _estimate("IPS", rewards, np.ones(100_000), 100_000)
    error = 1.96 * rewards.std() / 100_000**0.5
    assert (found.low, found.high) == pytest.approx((rewards.mean() - error, rewards.mean() + error), abs=error / 100)


@pytest.mark.parametrize("freedom", [30, 49, 200, 1e6])
def test_the_quantile_of_students_t_is_right(freedom: float) -> None:
    assert _student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-4)


def test_a_learning_router_s_favourite_is_known_best() -> None:
    units = log(CLICKS, EpsilonGreedy(0.3), 3000, seed=15)
    widths = {}
    for name in NAMES:
        (_, snips, _) = value(units, **{name: 1.0}).estimates
        widths[name] = snips.high - snips.low
    assert min(widths, key=lambda name: widths[name]) == NAMES[np.bincount(units.arm).argmax()]
