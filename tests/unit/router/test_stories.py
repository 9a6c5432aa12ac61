"""What users come for: traffic goes where rewards are, on a router and a store that are real, by a simulated clock."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from policy_server.router.exchange import Exchange
from policy_server.router.feedback import Feedback
from policy_server.router.horizon import Horizon, Window
from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from policy_server.router.router import Router
from policy_server.router.settings import RouterSettings
from policy_server.router.sqlite_store import SqliteStore
from tests.unit.router.routers import ARMS, NOW

SEEDS = range(20)
REFRESH = 5
"""Episodes between two exchanges."""
Earns = Callable[[int, int, random.Random], list[float]]
"""The rewards of the steps of an episode, by its arm and number."""


def balanced(arm: int, episode: int, source: random.Random) -> list[float]:
    """Steps of CartPole: two policies drop the pole soon, the third seldom."""
    del episode
    return [1.0] * (source.randint(150, 500) if arm == 2 else source.randint(8, 50))


def turned_round(arm: int, episode: int, source: random.Random) -> list[float]:
    """Arm 2 pays at first, arm 1 from episode 300 on."""
    return balanced(2 if arm == (2 if episode < 300 else 1) else 0, episode, source)


async def played(path: Path, settings: RouterSettings, seed: int, episodes: int, earns: Earns) -> list[int]:
    """Plays an episode a second, of which each step is a decision with a reward, and returns the arms."""
    store = SqliteStore(path / f"{seed}.db")
    router = Router(settings, ARMS, await store.open(ARMS, NOW), np.random.default_rng(seed), NOW)
    feedback, exchange, source = Feedback(router, store), Exchange(router, store), random.Random(-1 - seed)
    arms = []
    for episode in range(episodes):
        now = NOW + episode
        first = router.decide(now)
        arms.append(first.arm)
        # The return is that of all steps; what a step's own id does is tested with the stores.
        rewards = earns(first.arm, episode, source)
        await feedback.take(first.episode, sum(rewards[:-1]), now, episode=True)
        await feedback.take(first.episode, rewards[-1], now, episode=True, done=True)
        if episode % REFRESH == 0:
            await exchange.once(now)
    await store.close()
    return arms


async def runs_that_find(path: Path, settings: RouterSettings, episodes: int, earns: Earns, good: int) -> int:
    """Returns in how many of the runs the good arm has 85 of the last 100 episodes."""
    runs = await asyncio.gather(*(played(path, settings, seed, episodes, earns) for seed in SEEDS))
    return sum(arms[-100:].count(good) >= 85 for arms in runs)


@pytest.mark.parametrize(("mode", "least", "most"), [(EpsilonGreedy(0.1), 18, 20), (ABTest((1, 1, 1)), 0, 0)])
def test_the_policy_that_balances_the_pole_gets_the_episodes_and_a_uniform_router_does_not_find_it(
    mode: Mode, least: int, most: int, tmp_path: Path
) -> None:
    found = asyncio.run(runs_that_find(tmp_path, RouterSettings(mode), 300, balanced, 2))
    assert least <= found <= most


def test_with_a_window_another_arm_takes_over_when_rewards_turn_round(tmp_path: Path) -> None:
    settings = RouterSettings(EpsilonGreedy(0.1), Horizon(Window(60), wait=5))
    assert asyncio.run(runs_that_find(tmp_path, settings, 600, turned_round, 1)) >= 18


def test_rewards_after_each_request_move_requests_to_the_preferred_arm(tmp_path: Path) -> None:
    async def asked(seed: int) -> list[int]:
        store = SqliteStore(tmp_path / f"{seed}.db")
        router = Router(
            RouterSettings(EpsilonGreedy(0.1)), ARMS, await store.open(ARMS, NOW), np.random.default_rng(seed), NOW
        )
        feedback, exchange = Feedback(router, store), Exchange(router, store)
        arms = []
        for second in range(30):
            decided = [router.decide(NOW + second) for _ in range(100)]
            await asyncio.gather(*(feedback.take(d.id, float(d.arm == 1), NOW + second) for d in decided))
            arms += [decision.arm for decision in decided]
            await exchange.once(NOW + second)
        await store.close()
        return arms

    runs = [asyncio.run(asked(seed)) for seed in SEEDS]
    assert min(arms[-1000:].count(1) for arms in runs) >= 850
