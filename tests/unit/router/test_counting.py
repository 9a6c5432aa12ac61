"""Decisions count once they are answered."""

from collections import Counter

import pytest

from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from policy_server.router.upper_bounds import UCB1
from tests.unit.router.routers import ARMS, NOW, router

MODES = [ABTest((1, 1, 1)), EpsilonGreedy(1), UCB1()]


@pytest.mark.parametrize("mode", MODES)
def test_a_draw_that_is_not_answered_is_not_counted(mode: Mode) -> None:
    routed = router(mode)
    drawn = [routed.draw(NOW) for _ in range(10)]
    assert routed.uncounted() == {}
    for decision in drawn[:7]:
        routed.answered(decision, NOW)
    by_arm = {tag: number for (tag, _), number in routed.uncounted().items()}
    assert by_arm == {
        arm.tag: number for index, arm in enumerate(ARMS) if (number := [d.arm for d in drawn[:7]].count(index))
    }
    assert routed.uncounted() == {}


def test_a_decision_counts_when_it_was_made_however_long_its_answer_took() -> None:
    routed = router(ABTest((1, 0, 0)))
    slow, wait = routed.draw(NOW), routed.settings.horizon.fine / 1000
    routed.answered(routed.draw(NOW + wait), NOW + wait)
    routed.answered(slow, NOW)
    places = [(ARMS[0].tag, routed.settings.horizon.bucket(int(1000 * at))) for at in (NOW, NOW + wait)]
    assert routed.uncounted() == dict.fromkeys(places, 1)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_put_back_is_the_next_one_s(mode: Mode) -> None:
    routed = router(mode)
    for _ in range(100):
        decided = routed.decide(NOW)
        routed.put_back(decided)
        assert routed.decide(NOW) is decided
    assert sum(routed.uncounted().values()) == 100


def test_an_episode_s_decision_is_nobody_else_s_when_it_is_put_back() -> None:
    routed = router(ABTest((1, 1, 1)))
    first = routed.decide(NOW)
    for going_on in (routed.resume(first.id, NOW), routed.named("game", NOW)._replace(begins=True)):
        routed.put_back(going_on)
        assert routed.draw(NOW).id != going_on.id


@pytest.mark.parametrize("mode", MODES)
def test_what_is_drawn_ahead_counts_once_somebody_has_it(mode: Mode) -> None:
    routed = router(mode)
    decided: Counter[int] = Counter()
    counted: Counter[int] = Counter()
    for step in range(300):
        now = NOW + 0.03 * step  # so that what was drawn ahead is dropped in between
        decided.update(ARMS[routed.decide(now).arm].tag for _ in range(step % 7))
        if step % 3 == 0:
            counted.update({tag: number for (tag, _), number in routed.uncounted().items()})
            assert counted == decided
        if step % 11 == 0:
            routed.refresh(routed.state, now)
