"""Four replicas learn almost as well as one; `make bench` has the same with twenty times as many seeds."""

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest

from policy_server.router.exchange import Exchange
from policy_server.router.feedback import Feedback
from policy_server.router.modes import EpsilonGreedy, Mode
from policy_server.router.router import Router
from policy_server.router.settings import RouterSettings
from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import Outcome
from policy_server.router.thompson import ThompsonSampling
from policy_server.router.upper_bounds import UCB1
from tests.unit.router.learning import (
    CLEAR,
    MODES,
    REFRESH,
    REPLICAS,
    Problem,
    central,
    regrets,
    shared,
    upper_bound,
)
from tests.unit.router.routers import ARMS, NOW

SEEDS, DECISIONS = 10, 20_000


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_replicas_that_share_have_little_more_regret_than_one_learner(mode: Mode) -> None:
    ours, one, four = regrets(mode, SEEDS, DECISIONS)
    assert upper_bound(ours.sum(axis=0), one.sum(axis=0)) <= 1.15
    if isinstance(mode, ThompsonSampling):
        assert upper_bound(ours.sum(axis=0), four.sum(axis=0)) <= 0.5


@pytest.mark.parametrize("mode", [EpsilonGreedy(0.1), ThompsonSampling()])
def test_where_one_arm_is_clearly_best_only_the_decisions_before_the_first_refresh_cost_more(mode: Mode) -> None:
    problem = Problem.of(CLEAR, SEEDS, 4000)
    extra = shared(problem, mode, 4000) - central(problem, mode, 4000)
    assert np.quantile(extra, 0.5) <= REPLICAS * REFRESH * (CLEAR[0] - CLEAR[1])


@pytest.mark.parametrize("mode", [EpsilonGreedy(0.1), ThompsonSampling(), UCB1()])
def test_routers_on_one_store_know_the_same_and_find_the_better_arm(mode: Mode, tmp_path: Path) -> None:
    """The routers themselves, a store of theirs, rewards that come to any of them, and a clock that is simulated."""

    async def told() -> None:
        source = random.Random(9)
        stores = [SqliteStore(tmp_path / "router.db") for _ in range(REPLICAS)]
        routers = [
            Router(RouterSettings(mode), ARMS, await store.open(ARMS, NOW), np.random.default_rng(seed), NOW)
            for seed, store in enumerate(stores)
        ]
        exchanges = [Exchange(router, store) for router, store in zip(routers, stores, strict=True)]
        feedback = [Feedback(router, store) for router, store in zip(routers, stores, strict=True)]
        chosen: list[int] = []
        for turn in range(100):
            now = NOW + turn
            decided = [router.decide(now) for router in routers for _ in range(10)]
            takes = []
            for decision in decided:
                reward = float(source.random() < (0.2, 0.3, 0.7)[decision.arm])
                takes.append(source.choice(feedback).take(decision.id, reward, now))
                chosen.append(decision.arm)
            assert set(await asyncio.gather(*takes)) == {Outcome.LEARNED}
            for exchange in exchanges:
                await exchange.once(now)
        for exchange in exchanges:
            await exchange.once(NOW + 100)
        known = [router.statistics for router in routers]
        assert all(statistics == known[0] for statistics in known)
        assert [arm.count for arm in known[0]] == [chosen.count(arm) for arm in range(3)]
        assert chosen[-1000:].count(2) >= 850
        for store in stores:
            await store.close()

    asyncio.run(told())
