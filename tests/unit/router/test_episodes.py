"""Episodes stay on their arm."""

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest

from policy_server.router.arms import Arm
from policy_server.router.errors import NotIssued
from policy_server.router.ids import NOBODY
from policy_server.router.modes import ABTest, EpsilonGreedy
from policy_server.router.named_episodes import NamedEpisodes
from policy_server.router.routed import Routed
from policy_server.router.router import Router
from policy_server.router.settings import RouterSettings
from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import State
from policy_server.router.thompson import ThompsonSampling
from policy_server.router.upper_bounds import UCB1
from tests.unit.router.routers import ARMS, KEY, NOW, router, state


def test_no_arm_changes_in_10000_sealed_episodes_over_4_replicas_while_weights_change() -> None:
    chance = random.Random(7)
    replicas = [router(ABTest((1, 1, 1)), seed=seed) for seed in range(4)]
    episodes = [chance.choice(replicas).decide(NOW) for _ in range(10_000)]
    changes = 0
    for step in range(5):
        for replica in replicas:
            weights = tuple(chance.choice((0, 1, 5, 100)) for _ in ARMS[:2])
            replica.reconfigure(RouterSettings(ABTest((*weights, 1))), NOW + step)
            if step == 3:
                replica.reconfigure(RouterSettings(EpsilonGreedy(0.1)), NOW + step)
                replica.refresh(state(*((9, chance.randrange(9)) for _ in ARMS)), NOW + step)
        for episode in episodes:
            resumed = chance.choice(replicas).resume(episode.id, NOW + step)
            changes += resumed.arm != episode.arm or resumed.moved
    assert changes == 0


def test_an_episode_goes_on_by_the_id_of_any_of_its_decisions() -> None:
    routed = router(ABTest((1, 1, 1)))
    first = routed.decide(NOW)
    second = routed.resume(first.id, NOW + 1)
    third = routed.resume(second.id, NOW + 2)
    assert third.arm == first.arm
    assert third.propensity == pytest.approx(first.propensity)
    assert len({first.id, second.id, third.id}) == 3
    assert first.episode == first.id == second.episode


def test_an_episode_whose_arm_is_gone_gets_a_new_arm_and_is_marked() -> None:
    first = router(ABTest((0, 0, 1))).decide(NOW)
    for gone in (ARMS[:2], [*ARMS[:2], Arm("two", "sha256:2")]):
        routed = router(ABTest((1, 1, 0)[: len(gone)]), arms=gone)
        moved = routed.resume(first.id, NOW)
        assert moved.moved
        assert moved.arm in {0, 1}
        assert moved.propensity == 0.5
        kept = routed.resume(moved.episode, NOW)
        assert (kept.arm, kept.moved) == (moved.arm, False)
        assert {routed.resume(first.id, NOW).arm for _ in range(20)} == {moved.arm}, "the old id chose anew each time"


def test_the_order_of_arms_may_change_under_an_episode() -> None:
    first = router(ABTest((0, 0, 1))).decide(NOW)
    turned = router(ABTest((1, 1, 1)), arms=ARMS[::-1])
    assert turned.arms[turned.resume(first.id, NOW).arm].name == "two"


def test_an_episode_that_is_too_old_or_of_another_epoch_is_moved_and_a_strange_id_is_refused() -> None:
    routed = router(ABTest((1, 1, 1)), longest_episode=100)
    first = routed.decide(NOW)
    assert routed.resume(first.id, NOW + 101).moved
    routed.refresh(State(KEY, 2, {}), NOW)
    assert routed.resume(first.id, NOW).moved
    for strange in ("game", router(ABTest((1, 1, 1)), state(key=bytes(32))).decide(NOW).id):
        with pytest.raises(NotIssued):
            routed.resume(strange, NOW)


def test_episodes_named_by_clients_have_one_arm_on_all_replicas_with_fixed_weights() -> None:
    replicas = [router(ABTest((3, 2, 1)), seed=seed) for seed in range(4)]
    for number in range(500):
        answers = [replica.named(f"game {number}", NOW) for replica in replicas]
        assert len({answer.arm for answer in answers}) == 1
        assert answers[0].propensity == pytest.approx((3 / 6, 2 / 6, 1 / 6)[answers[0].arm])
        issued = [replicas[0].sealer.opened(answer.id, NOW, 10) for answer in answers]
        assert len({one.nonce for one in issued}) == 1, "their rewards would not come together"
        assert len({one.step for one in issued}) == 4


@pytest.mark.parametrize("mode", [EpsilonGreedy(0.5), ThompsonSampling(), UCB1()])
def test_episodes_named_by_clients_are_pinned_in_the_store_where_rewards_move_weights(
    mode: EpsilonGreedy | ThompsonSampling | UCB1, tmp_path: Path
) -> None:
    async def told() -> None:
        stores = [SqliteStore(tmp_path / "router.db") for _ in range(4)]
        states = [await store.open(ARMS, NOW) for store in stores]
        routers = [
            Router(RouterSettings(mode), ARMS, state, np.random.default_rng(seed), NOW)
            for seed, state in enumerate(states)
        ]
        replicas = [NamedEpisodes(router, store) for router, store in zip(routers, stores, strict=True)]
        chance = random.Random(8)

        async def ask(at: int, episode: str) -> Routed:
            routed = replicas[at].known(episode, NOW) or await replicas[at].asked(episode, NOW)
            routers[at].answered(routed, NOW)
            return routed

        arms: dict[str, set[int]] = {}
        for _ in range(600):
            episode = f"game {chance.randrange(30)}"
            arms.setdefault(episode, set()).add((await ask(chance.randrange(4), episode)).arm)
            at = chance.randrange(4)
            learned = state(*((9, chance.randrange(9)) for _ in ARMS), key=states[at].key)
            routers[at].refresh(learned, NOW)
        assert all(len(seen) == 1 for seen in arms.values())
        assert len(set.union(*arms.values())) > 1
        assert sum(sum(router.uncounted().values()) for router in routers) == 30, "each episode counts once"
        for store in stores:
            await store.close()

    asyncio.run(told())


def test_what_the_fallback_answered_belongs_to_no_arm() -> None:
    routed = router(ABTest((1, 1, 1)))
    instead = routed.stand_in(1, routed.draw(NOW), NOW)
    issued = routed.sealer.opened(instead.id, NOW, 10)
    assert (issued.arm, issued.propensity) == (NOBODY, None)
    assert instead.episode == instead.id
    routed.answered(instead, NOW)
    assert routed.uncounted() == {}


def test_an_episode_whose_step_the_fallback_answered_keeps_its_name() -> None:
    routed = router(ABTest((1, 1, 1)))
    first = routed.decide(NOW)
    steps = routed.resume(first.id, NOW), routed.named("game", NOW)._replace(begins=True)
    for step, name in zip(steps, (first.id, "game"), strict=True):
        assert routed.stand_in(1, step, NOW).episode == name
