"""Episodes that can't keep their arm."""

from collections import Counter

import numpy as np
import pytest

from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from policy_server.router.router import Router
from policy_server.router.thompson import ThompsonSampling
from policy_server.router.upper_bounds import UCB1
from tests.unit.router.routers import ARMS, NOW, fail, router, state
from tests.unit.router.test_shares import assert_exact

NAMES = [f"game {number}" for number in range(1000)]
TIME = int(1000 * NOW)


@pytest.mark.parametrize("mode", [EpsilonGreedy(0), EpsilonGreedy(0.5), ThompsonSampling(), UCB1(), ABTest((1, 5, 0))])
def test_they_are_spread_evenly_over_arms_that_may_be_chosen_and_stay_whatever_is_learned(mode: Mode) -> None:
    routed = router(mode)
    able = [0, 1] if isinstance(mode, ABTest) else [0, 1, 2]
    moved = [routed.moved(name, TIME, NOW) for name in NAMES]
    assert_exact(Counter(each.arm for each in moved), [(arm in able) / len(able) for arm in range(3)], len(NAMES))
    assert {(each.propensity, each.moved, each.begins) for each in moved} == {(1 / len(able), True, False)}
    for best in range(3):
        routed.refresh(state(*((1000, 900 if arm == best else 100) for arm in range(3))), NOW)
        assert [routed.moved(name, TIME, NOW).arm for name in NAMES] == [each.arm for each in moved]
    fail(routed, 1)
    for name, before in zip(NAMES, moved, strict=True):
        after = routed.moved(name, TIME, NOW)
        assert before.arm in {after.arm, 1}
        assert after.arm in set(able) - {1}


def test_a_client_that_goes_on_sending_an_old_id_does_not_follow_the_best_arm() -> None:
    routed = router(EpsilonGreedy(0), longest_episode=100)
    first, later = routed.decide(NOW), NOW + 101
    arms = set()
    for best in range(3):
        routed.refresh(state(*((10, 9 if arm == best else 1) for arm in range(3))), later)
        moved = routed.resume(first.id, later)
        assert moved.moved
        assert (kept := routed.resume(moved.episode, later)).arm == moved.arm
        assert kept.propensity == pytest.approx(1 / 3)
        arms.add(moved.arm)
    assert len(arms) == 1


def test_an_episode_begun_under_a_key_that_another_took_the_place_of_is_moved() -> None:
    before = router(ABTest((1, 1, 1)))
    first = before.decide(NOW)
    before.refresh(state(key=bytes(32)), NOW)
    after = Router(before.settings, ARMS, state(key=bytes(32)), np.random.default_rng(2), NOW, former=before)
    for routed in (before, after):
        moved = routed.resume(first.id, NOW)
        assert moved.moved
        assert not routed.resume(moved.episode, NOW).moved
        assert not routed.resume(routed.decide(NOW).id, NOW).moved
