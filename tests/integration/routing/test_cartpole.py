"""The CartPole story: one good policy among three, which the router finds by the rewards of real episodes."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium
import numpy as np
import pytest

from policy_server.bundle import Categorical
from policy_server.config import ServerConfig
from policy_server.doors.feedback import take_reward, take_reward_for_policy
from policy_server.routing.opening import open_routing
from policy_server.routing.routing import Routing
from policy_server.routing.upkeep import Upkeep
from policy_server.tallies import Tallies
from tests.bundles import config_text, floats, write_linear_bundle

GOOD, NAMES = 2, ["cartpole-0", "cartpole-1", "cartpole-2"]
TRAINED = Path(__file__).parents[3] / "examples/cartpole/bundle"
EPISODES, LAST, STEPS = 300, 100, 100
SEEDS = range(20)
GREEDY: dict[str, Any] = {"mode": "EpsilonGreedy", "epsilon": 0.1, "reward": {"min": 0, "max": STEPS}}
UNIFORM: dict[str, Any] = {"mode": "ABTest"}


class World:
    """A router over two untrained policies and a good one, the environment, and a clock of their own."""

    def __init__(self, routing: Routing, upkeep: Upkeep, clock: list[float], seed: int) -> None:
        self.routing = routing
        self._upkeep = upkeep
        self._clock = clock
        self._environment = gymnasium.make("CartPole-v1", max_episode_steps=STEPS)
        self._environment.reset(seed=seed)

    async def exchange(self) -> None:
        """Lets a second go by, in which the router learns what its store has."""
        self._clock[0] += 1
        await self._upkeep.once()

    async def episode(self, reward: Callable[[int, float], float]) -> int:
        """Plays one and rewards it; returns the arm that it had. `reward` is made of the arm and the return."""
        observation, _ = self._environment.reset()
        episode: str | None = None
        total, arm, over = 0.0, 0, False
        while not over:
            vector = np.asarray(observation, np.float32)[np.newaxis]
            decision, routed = await self.routing.graph.decided(vector, None, episode)
            assert routed
            episode, arm = episode or routed.episode, routed.arm
            observation, earned, terminated, truncated, _ = self._environment.step(decision.actions[0])
            total += float(earned)
            over = terminated or truncated
        await take_reward(self.routing, episode or "", reward(arm, total), episode=True, done=True)
        return arm

    async def steps(self, count: int, reward: Callable[[int, float], float]) -> list[int]:
        """Plays on, each step for itself as Seldon's clients do, rewarded by the arm alone; returns the arms."""
        observation, _ = self._environment.reset()
        arms = []
        for step in range(count):
            vector = np.asarray(observation, np.float32)[np.newaxis]
            (decision,), _, routed = await self.routing.graph.rows(vector, None, None)
            assert routed
            arms.append(routed.arm)
            observation, earned, terminated, truncated, _ = self._environment.step(decision.actions[0])
            # The agent of cartpole-rl-remote sends 0 for the last step.
            await take_reward_for_policy(self.routing, routed.arm, reward(routed.arm, float(earned) * (not terminated)))
            if terminated or truncated:
                observation, _ = self._environment.reset()
            if step % 10 == 9:
                await self.exchange()
        return arms


@contextmanager
def world(router: Mapping[str, Any], seed: int) -> Iterator[World]:
    # In memory where that can be had: it is the router that is tested here, not the disk.
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        untrained = [
            write_linear_bundle(
                folder / policy,
                Categorical(size=2),
                weights=np.random.default_rng([seed, number]).normal(scale=0.1, size=(4, 2)),
            )
            for number, policy in enumerate(NAMES[:GOOD])
        ]
        settings = folder / "settings.json"
        settings.write_text(json.dumps({"router": dict(router), "weights": dict.fromkeys(NAMES, 1)}))
        bundles = zip(NAMES, [*untrained, TRAINED], strict=True)
        text = config_text(
            TRAINED,
            floats("position", "velocity", "angle", "turn"),
            policies=[{"name": policy, "bundle": str(bundle)} for policy, bundle in bundles],
            routing={"settings": str(settings), "store": {"path": str(folder / "router.db")}},
            seed=seed,
        )
        clock = [1_700_000_000.0]
        routing, upkeep = open_routing(ServerConfig.model_validate_json(text), Tallies(), lambda: clock[0])
        yield World(routing, upkeep, clock, seed)


def share_of_the_good_arm(router: Mapping[str, Any], seed: int) -> float:
    async def played() -> float:
        arms = []
        for _ in range(EPISODES):
            arms.append(await one.episode(lambda _, total: total))
            await one.exchange()
        return arms[-LAST:].count(GOOD) / LAST

    with world(router, seed) as one:
        return asyncio.run(played())


@pytest.mark.timeout(1500)
def test_the_good_policy_gets_the_episodes_and_a_uniform_router_does_not_find_it() -> None:
    shares = [share_of_the_good_arm(GREEDY, seed) for seed in SEEDS]
    uniform = [share_of_the_good_arm(UNIFORM, seed) for seed in SEEDS[:5]]
    print(f"\nshare of the good policy in the last {LAST} of {EPISODES} episodes:")
    print(f"  epsilon-greedy {sorted(shares)}\n  uniform        {sorted(uniform)}")
    assert sum(share >= 0.85 for share in shares) >= 18
    assert max(uniform) < 0.85


@pytest.mark.timeout(600)
def test_with_a_window_another_policy_takes_over_when_rewards_turn_round() -> None:
    async def played() -> float:
        for number in range(2 * EPISODES):
            turned = number >= EPISODES

            def reward(arm: int, total: float, *, turned: bool = turned) -> float:
                return STEPS * float(arm == 1) if turned else total

            arms.append(await one.episode(reward))
            await one.exchange()
        return arms[-LAST:].count(1) / LAST

    for seed in SEEDS[:3]:
        arms: list[int] = []
        with world(GREEDY | {"window": "150s", "rewardWait": "10s"}, seed) as one:
            assert asyncio.run(played()) >= 0.85


@pytest.mark.timeout(600)
def test_rewards_after_each_request_move_requests_to_the_preferred_policy() -> None:
    for seed in SEEDS[:3]:
        with world({"mode": "EpsilonGreedy", "epsilon": 0.1}, seed) as one:
            arms = asyncio.run(one.steps(3_000, lambda arm, _: float(arm == 1)))
        assert arms[-1_000:].count(1) >= 850
    with world({"mode": "EpsilonGreedy", "epsilon": 0.1}, 0) as one:
        arms = asyncio.run(one.steps(3_000, lambda _, earned: earned))
    # Nearly every step earns 1 whoever takes it, so that rewards by the step say little: it is reported, not asked for.
    print(
        f"\nplayed by the step: {arms[-1_000:].count(GOOD) / 1_000:.0%} of the last 1,000 requests to the good policy"
    )
