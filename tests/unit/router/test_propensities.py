from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from scipy import integrate, stats

from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from policy_server.router.quadrature import beta_wins, gaussian_wins
from policy_server.router.rewards import Statistics
from policy_server.router.thompson import ThompsonSampling, best_arm_probabilities
from policy_server.router.upper_bounds import UCB1
from tests.unit.router.routers import NOW, arm, router, state

DECISIONS = 20_000
TWO = [arm(40, 10), arm(60, 30)]
THREE = [*TWO, arm(20, 9)]
PAID_IN_POUNDS = [Statistics(40, 4000, 900_000), Statistics(60, 9000, 2_000_000), Statistics(3, 500, 90_000)]


def assert_true(drawn: list[tuple[int, float | None]], arms: int) -> None:
    """The sum of 1/propensity over an arm's decisions, over all decisions, is 1 within 4 standard errors."""
    for index in range(arms):
        weights = np.array([1 / p if a == index and p else 0.0 for a, p in drawn])
        least = min((p for a, p in drawn if a == index and p is not None), default=0.0)
        if least < 0.01:
            continue
        error = weights.std() / sqrt(len(weights))
        assert abs(weights.mean() - 1) <= 4 * error, f"arm {index}: {weights.mean()} ± {error}"


@pytest.mark.parametrize(
    ("mode", "arms"),
    [
        (ABTest((5, 3, 2)), THREE),
        (ABTest((95, 5)), TWO),
        (EpsilonGreedy(0.2), THREE),
        (EpsilonGreedy(0.2, min_pulls=50), THREE),
        (ThompsonSampling(), THREE),
        (ThompsonSampling(), PAID_IN_POUNDS),
        (ThompsonSampling(min_pulls=50), THREE),
    ],
)
def test_propensities_are_true_while_nothing_is_learned(mode: Mode, arms: list[Statistics]) -> None:
    choices = mode.choices(arms, [True] * len(arms))
    source = np.random.default_rng(3)
    told = choices.propensities
    assert told is not None
    assert_true([(index, told[index]) for index in choices.draw(source, DECISIONS)], len(arms))


@pytest.mark.parametrize("mode", [EpsilonGreedy(0.2), ThompsonSampling()])
def test_propensities_are_true_while_the_router_learns(mode: Mode) -> None:
    source = np.random.default_rng(4)
    learned = [[0, 0], [0, 0], [0, 0]]
    drawn = []
    for _ in range(500):
        choices = mode.choices([arm(*one) for one in learned], [True] * 3)
        for index in choices.draw(source, 40):
            drawn.append((index, choices.propensities[index] if choices.propensities else None))
            learned[index][0] += 1
            learned[index][1] += source.random() < (0.5, 0.52, 0.48)[index]
    assert_true(drawn, 3)


def test_each_decision_of_an_episode_has_the_propensity_that_its_arm_was_drawn_with() -> None:
    drawing = router(EpsilonGreedy(0.2), state((5, 1), (5, 4)))
    firsts = [drawing.decide(NOW) for _ in range(DECISIONS)]
    drawing.refresh(state((5, 4), (5, 1)), NOW)
    resumed = [drawing.resume(first.id, NOW) for first in firsts]
    assert [step.propensity for step in resumed] == pytest.approx([first.propensity for first in firsts])
    assert_true([(step.arm, step.propensity) for step in resumed], 3)


def test_ucb1_reports_no_propensity() -> None:
    drawing = router(UCB1(), state((5, 1), (5, 4), (5, 2)))
    assert drawing.propensities is None
    first = drawing.decide(NOW)
    assert first.propensity is None
    assert drawing.resume(first.id, NOW).propensity is None


def drawn_means(arms: list[tuple[float, float]], draws: int = 400_000) -> np.ndarray:
    """Thompson sampling as it is usually written: a mean for each arm, and the greatest is taken."""
    numbers = np.random.default_rng(5)
    greatest = np.stack([numbers.beta(1 + s, 1 + n - s, draws) for n, s in arms]).argmax(axis=0)
    return np.bincount(greatest, minlength=len(arms)) / draws


@pytest.mark.parametrize(
    "arms", [[(0, 0), (0, 0), (0, 0)], [(40, 10), (60, 30), (20, 9)], [(3, 0.5), (2, 1.75)], [(9000, 90), (9100, 99)]]
)
def test_thompson_shares_are_those_of_drawing_a_mean_for_each_arm(arms: list[tuple[float, float]]) -> None:
    shares = best_arm_probabilities([Statistics(n, s, 0.5 * s) for n, s in arms])
    expected = drawn_means(arms)
    assert (abs(shares - expected) <= 4 * np.sqrt(expected * (1 - expected) / 400_000) + 1e-9).all()


def test_the_quadrature_agrees_with_an_adaptive_one() -> None:
    numbers = np.random.default_rng(6)
    for _ in range(12):
        count = 10 ** numbers.uniform(0, 5, 3)
        rate = numbers.beta(0.5, 0.5, 3)
        a, b = 1 + count * rate, 1 + count * (1 - rate)
        points = sorted({float(stats.beta.ppf(q, a[j], b[j])) for j in range(3) for q in (1e-6, 0.01, 0.5, 0.99)})
        for index, share in enumerate(beta_wins(a, b)):
            others = [j for j in range(3) if j != index]

            def integrand(x: float, i: int = index, rest: tuple[int, ...] = tuple(others)) -> float:
                below = np.prod([stats.beta.cdf(x, a[j], b[j]) for j in rest])  # noqa: B023 - used in this round
                return float(stats.beta.pdf(x, a[i], b[i]) * below)  # noqa: B023 - used in this round

            edges = [0.0, *points, 1.0]
            parts = [integrate.quad(integrand, *pair, epsabs=1e-9)[0] for pair in pairwise(edges)]
            assert share == pytest.approx(sum(parts), abs=1e-5)


def test_gaussian_shares_agree_with_the_formula_for_two() -> None:
    means, deviations = np.array([0.3, -0.2]), np.array([0.001, 2.0])
    expected = stats.norm.cdf(0.5 / np.hypot(*deviations))
    assert gaussian_wins(means, deviations)[0] == pytest.approx(expected, abs=1e-9)


def test_rewards_outside_of_0_and_1_are_compared_in_their_own_units() -> None:
    shares = best_arm_probabilities(PAID_IN_POUNDS)
    in_pence = [Statistics(s.count, 100 * s.total, 10_000 * s.squares) for s in PAID_IN_POUNDS]
    with_debts = [
        Statistics(s.count, s.total - 500 * s.count, s.squares - 1000 * s.total + 250_000 * s.count)
        for s in PAID_IN_POUNDS
    ]
    assert best_arm_probabilities(in_pence) == pytest.approx(shares)
    assert best_arm_probabilities(with_debts) == pytest.approx(shares)
    assert shares[1] > shares[0]


def test_an_arm_that_was_never_rewarded_is_explored_whatever_the_rewards_are() -> None:
    for arms in ([arm(1000, 500), arm(0, 0)], [Statistics(1000, 2e6, 5e9), Statistics()]):
        assert best_arm_probabilities(arms)[1] > 0.2


def test_equal_rewards_everywhere_leave_the_arms_equal() -> None:
    assert best_arm_probabilities([Statistics(5, 35, 245), Statistics(1, 7, 49)]).tolist() == [0.5, 0.5]


def test_rewards_between_0_and_1_count_in_part() -> None:
    """Seldon took 0.9 for a failure."""
    good, bad = Statistics(20, 18, 16.2), Statistics(20, 2, 0.2)
    assert best_arm_probabilities([bad, good])[1] > 0.999
