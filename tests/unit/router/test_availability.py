"""Arms that fail are taken out and tried again."""

import pytest

from policy_server.router.availability import LONGEST_BREAK, TOLERATED, Availability
from policy_server.router.errors import NoArmLeft
from policy_server.router.modes import ABTest
from tests.unit.router.routers import NOW, router


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
    routed.unloadable(0, NOW)
    assert {routed.decide(NOW + 0.9).arm for _ in range(50)} == {1}
    assert {routed.decide(NOW + 1.1).arm for _ in range(50)} == {0, 1}


def test_with_no_arm_left_the_router_says_so_and_recovers() -> None:
    routed = router(ABTest((1, 1, 1)))
    for arm in range(3):
        routed.unloadable(arm, NOW)
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
