"""How every store must put the rewards of an episode together."""

import asyncio
from dataclasses import replace

import pytest

from policy_server.router.horizon import Horizon, Window
from policy_server.router.modes import EpsilonGreedy
from policy_server.router.named_episodes import NamedEpisodes
from policy_server.router.rewards import Bucket, RewardRange
from policy_server.router.settings import RouterSettings
from policy_server.router.store import Fold, Outcome
from tests.unit.router.replicas import ONLY_ZERO, Opener, StoreTests
from tests.unit.router.routers import ARMS, NOW


class EpisodeContract(StoreTests):
    """Returns, steps, time-outs."""

    @pytest.mark.parametrize(("fold", "value"), [(Fold.SUM, 6), (Fold.MEAN, 2), (Fold.LAST, 3)])
    def test_an_episode_is_learned_from_by_its_return_once_it_is_done(
        self, opener: Opener, fold: Fold, value: float
    ) -> None:
        async def told() -> None:
            async with self.replica(opener, replace(ONLY_ZERO, fold=fold)) as one:
                first = one.router.decide(NOW)
                take = one.feedback.take
                for reward in (1, 2):
                    assert await take(first.id, reward, NOW, episode=True) == Outcome.KEPT
                await one.exchange.once(NOW)
                assert one.count == 0
                assert await take(first.id, 3, NOW, episode=True, done=True) == Outcome.LEARNED
                assert await take(first.id, 3, NOW, episode=True, done=True) == Outcome.REPEATED
                assert await take(first.id, 3, NOW, episode=True) == Outcome.LATE
                await one.exchange.once(NOW)
                assert (one.count, one.mean) == (1, value)

        asyncio.run(told())

    @pytest.mark.parametrize(("rewards", "value"), [((0.5, 0.75), 1), ((-1e15,), 0), ((-0.5, 1.25), 0.75)])
    @pytest.mark.parametrize("done", [True, False])
    def test_a_return_beyond_the_bounds_is_learned_as_the_nearer_one(
        self, opener: Opener, rewards: tuple[float, ...], value: float, done: bool
    ) -> None:
        async def told() -> None:
            bounded = replace(ONLY_ZERO, bounds=RewardRange(0, 1))
            async with self.replica(opener, bounded) as one:
                first = one.router.decide(NOW)
                for number, reward in enumerate(rewards, 1):
                    last = done and number == len(rewards)
                    await one.feedback.take(first.id, reward, NOW, episode=True, done=last)
                await one.exchange.once(NOW if done else NOW + 10_000)
                (bucket,) = (await one.store.read()).buckets[ARMS[0].tag].values()
                assert bucket == Bucket(1, 1, value, value**2)

        asyncio.run(told())

    @pytest.mark.parametrize("fold", [Fold.MEAN, Fold.LAST])
    def test_a_return_lies_within_the_bounds_of_its_last_reward(self, opener: Opener, fold: Fold) -> None:
        async def told() -> None:
            async with self.replica(opener, replace(ONLY_ZERO, fold=fold)) as one:
                first, other = one.router.decide(NOW), one.router.decide(NOW)
                for decision in (first, other):
                    await one.feedback.take(decision.id, 9, NOW, episode=True)
                one.router.reconfigure(replace(ONLY_ZERO, fold=fold, bounds=RewardRange(-1, 1)), NOW)
                await one.feedback.take(first.id, 1, NOW, episode=True)
                await one.exchange.once(NOW + 10_000)
                (bucket,) = (await one.store.read()).buckets[ARMS[0].tag].values()
                assert bucket == Bucket(2, 2, 1 + 9, 1 + 81)

        asyncio.run(told())

    def test_the_reward_of_a_named_episode_belongs_where_it_began(self, opener: Opener) -> None:
        async def told() -> None:
            settings = RouterSettings(EpsilonGreedy(0), Horizon(Window(600), wait=1), default=0.0)
            async with self.replica(opener, settings) as one, self.replica(opener, settings) as other:
                for replica, now in ((one, NOW), (other, NOW + 20)):
                    named = NamedEpisodes(replica.router, replica.store)
                    replica.router.answered(await named.asked("game", now), now)
                    await replica.exchange.once(now)
                begun = await NamedEpisodes(one.router, one.store).begun("game", NOW + 30)
                assert begun is not None
                assert one.router.sealer.opened(begun.id, NOW + 30, 60).time == int(1000 * NOW)
                await one.feedback.take(begun.id, 1, NOW + 30, done=True)
                await one.exchange.once(NOW + 60)
                assert (one.count, one.mean) == (1, 1), "the episode took the default reward, too"

        asyncio.run(told())

    def test_feedback_for_a_name_that_no_episode_had_is_not_known_however_often_it_comes(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener, RouterSettings(EpsilonGreedy(0.1))) as one:
                named = NamedEpisodes(one.router, one.store)
                for _ in range(2):
                    assert await named.begun("never", NOW) is None
                assert (await named.asked("never", NOW)).begins

        asyncio.run(told())

    def test_steps_of_an_episode_add_up_and_the_first_step_is_not_learned_twice(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                first = one.router.decide(NOW)
                assert (
                    await one.feedback.take(first.id, 10, NOW) == Outcome.LEARNED
                )  # nothing tells yet that it goes on
                second, third = (one.router.resume(first.id, NOW) for _ in range(2))
                for outcome in (Outcome.KEPT, Outcome.REPEATED):
                    assert await one.feedback.take(second.id, 20, NOW) == outcome
                await one.exchange.once(NOW)
                assert one.count == 0, "the first step's reward stands alone still"
                assert await one.feedback.take(first.id, 10, NOW) == Outcome.REPEATED
                assert await one.feedback.take(third.id, 30, NOW, done=True) == Outcome.LEARNED
                assert await one.feedback.take(third.id, 30, NOW, done=True) == Outcome.REPEATED
                await one.exchange.once(NOW)
                assert (one.count, one.mean) == (1, 60)
                assert one.router.statistics[0].squares == 3600

        asyncio.run(told())

    def test_a_first_step_whose_reward_comes_after_the_second_s_is_part_of_the_episode(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                first = one.router.decide(NOW)
                second = one.router.resume(first.id, NOW)
                assert await one.feedback.take(second.id, 1, NOW) == Outcome.KEPT
                assert await one.feedback.take(first.id, 1, NOW) == Outcome.KEPT
                assert await one.feedback.take(first.id, 1, NOW) == Outcome.REPEATED
                await one.exchange.once(NOW + 10_000)
                assert (one.count, one.mean) == (1, 2)

        asyncio.run(told())

    def test_rewards_of_an_episode_that_the_client_tells_apart_are_counted_once(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                first = one.router.decide(NOW)
                for part in ("a", "b", "a", "b", "c"):
                    await one.feedback.take(first.id, 1, NOW, episode=True, part=part)
                await one.feedback.take(first.id, 0, NOW, episode=True, done=True)
                await one.exchange.once(NOW)
                assert one.mean == 3

        asyncio.run(told())

    def test_an_episode_nothing_comes_for_is_over_after_its_patience(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener, replace(ONLY_ZERO, patience=100)) as one:
                first, other = one.router.decide(NOW), one.router.decide(NOW)
                await one.feedback.take(first.id, 4, NOW, episode=True)
                await one.feedback.take(other.id, 7, NOW + 50, episode=True)
                await one.exchange.once(NOW + 99)
                assert one.count == 0
                await one.exchange.once(NOW + 120)
                assert (one.count, one.mean) == (1, 4)
                assert await one.feedback.take(first.id, 1, NOW + 121, episode=True) == Outcome.LATE
                await one.exchange.once(NOW + 500)
                await one.exchange.once(NOW + 1000)
                assert await one.feedback.take(first.id, 1, NOW + 1001, episode=True) == Outcome.LATE
                await one.exchange.once(NOW + 1010)
                assert (one.count, one.mean) == (2, 5.5)

        asyncio.run(told())
