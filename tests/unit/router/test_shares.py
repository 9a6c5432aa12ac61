from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from policy_server.router.choices import Shares
from policy_server.router.errors import NoArmLeft
from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from tests.unit.router.routers import NOW, arm, fail, router, state

DRAWS = 100_000
BEST_IS_ONE = state((50, 10), (50, 40), (50, 30))


def assert_exact(counts: Counter[int], shares: list[float], draws: int = DRAWS) -> None:
    for index, share in enumerate(shares):
        least, greatest = stats.binom.interval(0.999, draws, share) if 0 < share < 1 else (share * draws,) * 2
        assert least <= counts[index] <= greatest, f"arm {index}: {counts[index]} of {draws}, for a share of {share}"


@pytest.mark.parametrize(
    ("mode", "shares"),
    [
        (ABTest((90, 9, 1)), [0.90, 0.09, 0.01]),
        (ABTest((1, 1, 1)), [1 / 3, 1 / 3, 1 / 3]),
        (ABTest((0, 3, 1)), [0, 0.75, 0.25]),
        (EpsilonGreedy(0.1), [0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3]),
        (EpsilonGreedy(1), [1 / 3, 1 / 3, 1 / 3]),
        (EpsilonGreedy(0), [0, 1, 0]),
    ],
)
def test_shares_are_exact_with_frozen_state(mode: Mode, shares: list[float]) -> None:
    routed = router(mode, BEST_IS_ONE)
    assert_exact(Counter(routed.decide(NOW).arm for _ in range(DRAWS)), shares)
    assert routed.propensities == pytest.approx(shares)


@pytest.mark.parametrize("weight", [0, 0.01, 0.1, 0.5, 1])
def test_a_canary_gets_its_weight_from_dark_launch_to_promotion(weight: float) -> None:
    choices = ABTest((1 - weight, weight)).choices([arm(0, 0)] * 2, [True, True])
    source = np.random.default_rng(2)
    assert_exact(Counter(choices.draw(source, DRAWS)), [1 - weight, weight])


def test_of_equally_good_arms_the_first_is_best() -> None:
    assert EpsilonGreedy(0.3).choices([arm(0, 0)] * 3, [True] * 3).propensities == pytest.approx((0.8, 0.1, 0.1))
    assert EpsilonGreedy(0.3).choices([arm(2, 1), arm(4, 2), arm(0, 0)], [False, True, True]).propensities == (
        pytest.approx((0, 0.85, 0.15))
    )


def test_arms_are_tried_min_pulls_times_before_they_are_compared() -> None:
    tried = [arm(10, 9), arm(4, 0, awaited=5), arm(2, 2)]
    assert EpsilonGreedy(0.1, min_pulls=10).choices(tried, [True] * 3).propensities == (0, 0.5, 0.5)
    assert EpsilonGreedy(0, min_pulls=9).choices(tried, [True, True, False]).propensities == (1, 0, 0)


@pytest.mark.parametrize(
    ("mode", "shares"),
    [
        (ABTest((1, 2, 1)), [0.5, 0, 0.5]),
        (ABTest((1, 2, 3)), [0.25, 0, 0.75]),
        (EpsilonGreedy(0.1), [0.05, 0, 0.95]),
    ],
)
def test_the_share_of_an_arm_that_is_out_goes_to_the_others(mode: Mode, shares: list[float]) -> None:
    routed = router(mode, BEST_IS_ONE)
    fail(routed, 1)
    assert_exact(Counter(routed.decide(NOW).arm for _ in range(DRAWS)), shares)


def test_an_arm_without_weight_gets_nothing_even_when_all_others_are_out() -> None:
    with pytest.raises(NoArmLeft, match="fallback"):
        ABTest((1, 0)).choices([arm(0, 0)] * 2, [False, True])
    for impossible in ([0.0, 0.0], [float("nan"), 1.0], [-1.0, 2.0], [float("inf"), 1.0]):
        with pytest.raises(NoArmLeft):
            Shares(impossible)


class LargestDraw:
    """Draws the largest number below 1."""

    def random(self, size: int) -> NDArray[np.float64]:
        return np.full(size, 1 - 2**-53)


def test_the_largest_draw_takes_the_last_arm_that_has_a_share() -> None:
    shares = Shares([0.1] * 10 + [0.0])
    assert shares.draw(LargestDraw(), 1) == [9]
    assert shares.propensities == pytest.approx((0.1,) * 10 + (0.0,))
