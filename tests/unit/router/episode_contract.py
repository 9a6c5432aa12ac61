"""How every store must put the rewards of an episode together."""

import asyncio
from dataclasses import replace

import pytest

from policy_server.router.store import Fold, Outcome
from tests.unit.router.replicas import ONLY_ZERO, Opener, StoreTests
from tests.unit.router.routers import NOW


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
