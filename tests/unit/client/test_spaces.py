import math

import numpy as np
import pytest

from policy_client import PolicyError
from policy_client.policy import Random
from policy_client.simulation import Continuous, Discrete
from tests.unit.client.mice import Acting


def draws(space: Continuous | Discrete, count: int = 400) -> np.ndarray:
    policy, simulation = Random(3), Acting(space)
    return np.array([policy.get_actions(simulation)[0] for _ in range(count)])


def test_random_draws_each_choice_of_a_discrete_space() -> None:
    drawn = draws(Discrete(3, 2))
    assert drawn.shape == (400, 2)
    assert {tuple(action) for action in drawn.tolist()} == {(a, b) for a in range(3) for b in range(3)}


def test_random_draws_from_as_many_choices_as_each_number_has() -> None:
    assert draws(Discrete([2, 5], 2)).max(axis=0).tolist() == [1, 4]


def test_random_draws_real_numbers_between_bounds() -> None:
    drawn = draws(Continuous([2, 3], -1, 4))
    assert drawn.shape == (400, 2, 3)
    assert -1 <= drawn.min() < -0.9
    assert 3.9 < drawn.max() <= 4


def test_random_draws_real_numbers_without_a_bound() -> None:
    drawn = draws(Continuous([3], [-math.inf, 2, -math.inf], [math.inf, math.inf, -2]))
    assert np.isfinite(drawn).all()
    assert drawn[:, 0].min() < 0 < drawn[:, 0].max()
    assert drawn[:, 1].min() >= 2
    assert drawn[:, 2].max() <= -2
    assert np.abs(drawn[:, 1:].mean(axis=0) - [3, -3]).max() < 0.2


@pytest.mark.parametrize("numbers", [[0, 1], [4], [-1], [0.5], []])
def test_an_action_outside_of_a_discrete_space_is_refused(numbers: list[float]) -> None:
    with pytest.raises(PolicyError, match="don't fit"):
        Discrete(4).action(numbers)


def test_real_numbers_take_the_shape_of_their_space() -> None:
    assert Continuous([2, 2]).action([1, 2, 3, 4]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(PolicyError, match="acts with 3 numbers, the simulation takes 4"):
        Continuous([2, 2]).action([1, 2, 3])
