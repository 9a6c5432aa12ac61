import numpy as np
import pytest

from policy_server.router.errors import NoArmLeft
from policy_server.router.rewards import Statistics
from policy_server.router.upper_bounds import UCB1
from tests.unit.router.routers import arm

SOURCE = np.random.default_rng(0)


def drawn(arms: list[Statistics], count: int, mode: UCB1 | None = None) -> list[int]:
    choices = (mode or UCB1()).choices(arms, [True] * len(arms))
    return choices.draw(SOURCE, count)


def test_each_arm_is_tried_once_in_order() -> None:
    assert drawn([arm(0, 0)] * 3, 3) == [0, 1, 2]
    assert drawn([arm(0, 0)] * 2, 6, UCB1(min_pulls=3)) == [0, 0, 0, 1, 1, 1]


def test_the_bound_is_that_of_the_paper() -> None:
    """0.6 + √(2 ln 100 / 80) = 0.939, 0.5 + √(2 ln 100 / 20) = 1.179."""
    assert drawn([arm(80, 48), arm(20, 10)], 1) == [1]
    assert drawn([arm(80, 72), arm(20, 10)], 1) == [0]  # 1.239 of the first


def test_it_is_deterministic_given_the_state() -> None:
    arms = [arm(30, 12), arm(20, 10), arm(25, 11)]
    assert drawn(arms, 100) == drawn(arms, 100)


def test_decisions_since_the_snapshot_count_so_that_not_all_take_one_arm() -> None:
    assert set(drawn([arm(10, 5), arm(10, 4)], 20)) == {0, 1}


def test_what_is_awaited_counts_as_tried() -> None:
    assert drawn([arm(10, 5), arm(10, 5)], 1) == [0]
    assert drawn([arm(10, 5, awaited=5), arm(10, 5)], 1) == [1]


def test_bounds_are_as_wide_as_the_rewards() -> None:
    """With a bound made for [0, 1], the second arm would never be tried again."""
    assert drawn([Statistics(100, 50_000, 5e7), Statistics(2, 400, 80_100)], 1) == [1]


def test_an_arm_that_is_out_is_not_taken() -> None:
    choices = UCB1().choices([arm(0, 0)] * 3, [False, True, True])
    assert set(choices.draw(SOURCE, 20)) == {1, 2}
    with pytest.raises(NoArmLeft):
        UCB1().choices([arm(0, 0)] * 2, [False, False])
