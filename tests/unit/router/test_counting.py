"""Decisions count once they are answered."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from policy_server.router.errors import StoreAway
from policy_server.router.exchange import Exchange
from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from policy_server.router.router import Router
from policy_server.router.sqlite_store import SqliteStore
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
        taken = routed.take(NOW)
        routed.put_back(taken)
        assert routed.take(NOW) == taken
    assert sum(routed.uncounted().values()) == 100


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


def test_a_router_that_takes_another_s_place_hands_over_what_that_one_has_not() -> None:
    before = router(ABTest((1, 0, 0)))
    before.decide(NOW)
    after = Router(before.settings, ARMS, before.state, np.random.default_rng(1), NOW, former=before)
    after.decide(NOW)
    assert list(after.uncounted().values()) == [2]


class Leaving(SqliteStore):
    """A router's store that goes away just when it has counted."""

    leaves = True

    async def count(self, batch: bytes, decided: Mapping[tuple[int, int], int], now: float) -> None:
        await super().count(batch, decided, now)
        if self.leaves:
            raise StoreAway("the line is cut")


def test_what_a_former_router_decided_is_counted_once_though_the_store_goes_away(tmp_path: Path) -> None:
    async def exchanged() -> float:
        store = Leaving(tmp_path / "router.db")
        before = router(ABTest((1, 0, 0)), await store.open(ARMS, NOW))
        exchange = Exchange(before, store)
        before.decide(NOW)
        with pytest.raises(StoreAway):
            await exchange.once(NOW)
        before.decide(NOW)
        after = Router(before.settings, ARMS, before.state, np.random.default_rng(1), NOW, former=before)
        exchange.follow(after)
        after.decide(NOW)
        store.leaves = False
        await exchange.once(NOW)
        (bucket,) = (await store.read()).buckets[ARMS[0].tag].values()
        await store.close()
        return bucket.decided

    assert asyncio.run(exchanged()) == 3


def test_what_the_snapshot_does_not_know_of_yet_counts_as_tried() -> None:
    routed = router(UCB1(min_pulls=2))
    assert [routed.decide(NOW).arm for _ in range(3)] == [0, 0, 1]
    routed.refresh(routed.state, NOW)
    assert [routed.decide(NOW).arm for _ in range(3)] == [1, 2, 2]


class Busy(SqliteStore):
    """A router's store; requests come in whenever it counts."""

    router: Router
    counted = 0

    async def count(self, batch: bytes, decided: Mapping[tuple[int, int], int], now: float) -> None:
        self.counted += 1
        assert self.counted < 10, "it goes on as long as requests come in"
        await super().count(batch, decided, now)
        self.router.decide(now)


def test_an_exchange_ends_however_many_requests_come_in_and_counts_the_last_the_next_time(tmp_path: Path) -> None:
    async def exchanged() -> float:
        store = Busy(tmp_path / "router.db")
        learned = await store.open(ARMS, NOW)
        store.router = router(ABTest((1, 0, 0)), learned)
        exchange = Exchange(store.router, store)
        store.router.decide(NOW)
        for _ in range(3):
            await exchange.once(NOW)
        (bucket,) = (await store.read()).buckets[ARMS[0].tag].values()
        await store.close()
        return bucket.decided

    assert asyncio.run(exchanged()) == 3


def test_an_answer_that_is_under_way_when_another_takes_a_router_s_place_is_counted_by_that_one() -> None:
    before = router(ABTest((1, 0, 0)))
    under_way = before.draw(NOW)
    after = Router(before.settings, ARMS, before.state, np.random.default_rng(1), NOW, former=before)
    assert after.uncounted() == {}
    before.answered(under_way, NOW)
    assert list(after.uncounted().values()) == [1]
    assert after.uncounted() == {}
