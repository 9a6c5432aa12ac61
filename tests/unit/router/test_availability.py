"""Arms that fail are taken out and tried again."""

import pytest

from policy_server.router.availability import LONGEST_BREAK, TOLERATED, Availability
from policy_server.router.errors import NoArmLeft
from policy_server.router.modes import ABTest
from policy_server.router.upper_bounds import UCB1
from tests.unit.router.routers import NOW, fail, router


def test_failures_in_a_row_take_an_arm_out_and_an_answer_between_them_does_not() -> None:
    health = Availability(2)
    for _ in range(TOLERATED - 1):
        assert not health.failed(0, 10)
    health.answered(0)
    for _ in range(TOLERATED - 1):
        assert not health.failed(0, 10)
    assert health.failed(0, 10)
    assert health.working == (False, True)


def test_breaks_grow_until_the_arm_answers() -> None:
    health = Availability(1)
    now, breaks = 0.0, []
    for _ in range(9):
        health.failed(0, now, certainly=True)
        assert health.working == (False,)
        breaks.append(health.next_change - now)
        now = health.next_change
        health.update(now)
        assert health.working == (True,), "it was not tried again"
    assert breaks == [1, 2, 4, 8, 16, 32, LONGEST_BREAK, LONGEST_BREAK, LONGEST_BREAK]
    health.answered(0)
    assert not health.failed(0, now)


def test_one_failure_on_trial_is_enough_and_failures_of_before_do_not_lengthen_a_break() -> None:
    health = Availability(1)
    health.failed(0, 0, certainly=True)
    for _ in range(10):
        assert not health.failed(0, 0.5)
    assert health.next_change == 1
    health.update(1)
    assert health.failed(0, 1)
    assert health.next_change == 3


def test_the_router_tries_an_arm_again_after_its_break_without_a_new_snapshot() -> None:
    routed = router(ABTest((1, 1, 0)))
    fail(routed, 0)
    assert {routed.decide(NOW + 0.9).arm for _ in range(50)} == {1}
    assert {routed.decide(NOW + 1.1).arm for _ in range(50)} == {0, 1}


def test_with_no_arm_left_the_router_says_so_and_recovers() -> None:
    routed = router(ABTest((1, 1, 1)))
    for arm in range(3):
        fail(routed, arm)
    with pytest.raises(NoArmLeft, match="fallback"):
        routed.decide(NOW)
    assert routed.propensities is None
    assert routed.decide(NOW + 2).propensity == pytest.approx(1 / 3)


def test_an_arm_that_fails_requests_loses_its_share() -> None:
    routed = router(ABTest((1, 0, 0)))
    for _ in range(TOLERATED):
        routed.failed(routed.decide(NOW), NOW)
    with pytest.raises(NoArmLeft):
        routed.decide(NOW)


def test_one_failure_that_is_certainly_the_arm_s_own_takes_it_out() -> None:
    for certainly in (False, True):
        routed = router(ABTest((1, 1, 0)))
        decision = routed.decide(NOW)
        routed.failed(decision, NOW, certainly=certainly)
        assert routed.availability.working[decision.arm] is not certainly


def test_the_shares_of_now_are_told_from_there_being_none() -> None:
    routed = router(ABTest((1, 3, 0)))
    assert routed.shares(NOW) == (0.25, 0.75, 0)
    fail(routed, 1)
    assert routed.shares(NOW) == (1, 0, 0)
    fail(routed, 0)
    with pytest.raises(NoArmLeft):
        routed.shares(NOW)
    assert routed.shares(NOW + 2) == (0.25, 0.75, 0), "an arm whose break is over has its share again"
    assert router(UCB1()).shares(NOW) is None
