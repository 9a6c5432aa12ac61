"""What every store must do."""

import asyncio
from dataclasses import replace

import pytest

from policy_server.router.arms import Arm
from policy_server.router.errors import NotIssued, OtherEpoch, StoreAway
from policy_server.router.horizon import EVER, Horizon, Window
from policy_server.router.modes import EpsilonGreedy
from policy_server.router.rewards import Bucket, RewardRange
from policy_server.router.settings import RouterSettings
from policy_server.router.store import FORGOTTEN_AFTER, Outcome, Pin, Reward, exported
from tests.unit.router.replicas import ONLY_ZERO, Opener, StoreTests
from tests.unit.router.routers import ARMS, NOW


class StoreContract(StoreTests):
    """Rewards, decisions, buckets, snapshots."""

    def test_what_one_replica_learns_all_know_after_an_exchange(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one, self.replica(opener) as other:
                for reward in (1.0, 0.0, 0.5, 0.5):
                    decision = one.router.decide(NOW)
                    assert await other.feedback.take(decision.id, reward, NOW) == Outcome.LEARNED
                for replica in (one, other):
                    await replica.exchange.once(NOW)
                    assert (replica.count, replica.mean) == (4, 0.5)
                    assert replica.router.statistics[0].squares == 1.5
                await other.exchange.once(NOW)
                (bucket,) = (await one.store.read()).buckets[ARMS[0].tag].values()
                assert bucket == Bucket(4, 4, 2, 1.5)

        asyncio.run(told())

    def test_a_repeat_changes_nothing_even_on_other_replicas_at_the_same_time(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one, self.replica(opener) as other:
                for _ in range(20):
                    decision = one.router.decide(NOW)
                    both = [replica.feedback.take(decision.id, 1, NOW) for replica in (one, other) for _ in range(5)]
                    outcomes = await asyncio.gather(*both)
                    assert sorted(outcomes) == [Outcome.LEARNED, *[Outcome.REPEATED] * 9]
                await one.exchange.once(NOW)
                assert one.count == 20

        asyncio.run(told())

    def test_learned_state_and_ids_outlive_the_process(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as before:
                decided = [before.router.decide(NOW) for _ in range(3)]
                await before.feedback.take(decided[0].id, 1, NOW)
            async with self.replica(opener) as after:
                assert after.count == 1
                assert await after.feedback.take(decided[0].id, 1, NOW) == Outcome.REPEATED
                assert await after.feedback.take(decided[1].id, 0, NOW) == Outcome.LEARNED
                assert not after.router.resume(decided[2].id, NOW).moved

        asyncio.run(told())

    def test_a_pin_is_kept_as_it_was_made_first_and_reading_makes_none(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one, self.replica(opener) as other:
                at = int(1000 * NOW)
                pins = [Pin(ARMS[0].tag, 1 / 3, at), Pin(ARMS[1].tag, None, at + 7)]
                for number, wanted in enumerate(pins):
                    name = f"name {number}".encode()
                    for _ in range(2):
                        assert await other.store.pinned(name, NOW) is None
                    assert await one.store.pin(name, wanted, 60) == (wanted, True)
                    assert await other.store.pinned(name, NOW + 1) == wanted
                    later = Pin(ARMS[2].tag, 0.5, at + 1000)
                    assert await other.store.pin(name, later, 60) == (wanted, False)
                    assert await one.store.pinned(name, NOW + 2) == wanted

        asyncio.run(told())

    def test_decisions_are_counted_once_however_often_their_batch_is_sent(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                place = {(ARMS[0].tag, 1000): 5, (ARMS[1].tag, 1000): 2}
                for _ in range(3):
                    await one.store.count(b"batch one", place, NOW)
                await one.store.count(b"batch two", {(ARMS[0].tag, 1000): 1}, NOW)
                buckets = (await one.store.read()).buckets
                assert buckets[ARMS[0].tag][1000].decided == 6
                assert buckets[ARMS[1].tag][1000].decided == 2

        asyncio.run(told())

    def test_late_foreign_and_unroutable_rewards_are_told_apart(self, opener: Opener) -> None:
        async def told() -> None:
            settings = replace(ONLY_ZERO, horizon=Horizon(wait=60), bounds=RewardRange(0, 1))
            async with self.replica(opener, settings) as one:
                decision = one.router.decide(NOW)
                assert await one.feedback.take(decision.id, 1, NOW + 61) == Outcome.LATE
                instead = one.router.stand_in(1, decision, NOW)
                assert await one.feedback.take(instead.id, 1, NOW) == Outcome.UNROUTED
                assert await one.feedback.take(decision.id, 1, NOW + 10**6, episode=True) == Outcome.LATE
                with pytest.raises(NotIssued):
                    await one.feedback.take(decision.id[::-1], 1, NOW)
                await one.exchange.once(NOW)
                assert one.count == 0

        asyncio.run(told())

    def test_a_client_that_echoes_only_the_arm_is_learned_from(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                for _ in range(3):
                    assert await one.feedback.take_for_arm(0, 1, NOW) == Outcome.LEARNED
                for missing in (3, -1):
                    with pytest.raises(IndexError):
                        await one.feedback.take_for_arm(missing, 1, NOW)
                await one.exchange.once(NOW)
                assert one.count == 3

        asyncio.run(told())

    def test_an_arm_s_state_is_reset_only_when_its_own_digest_changes(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                for arm in range(3):
                    await one.feedback.take_for_arm(arm, 1, NOW)
            newer = [ARMS[2], Arm("one", "sha256:2"), ARMS[0]]
            async with opener() as store:
                learned = (await store.open(newer, NOW + 60)).buckets
                assert [sum(b.rewarded for b in learned.get(arm.tag, {}).values()) for arm in newer] == [1, 0, 1]
                # While replicas with the old model still run, theirs is not lost either.
                assert ARMS[1].tag in learned
                later = (await store.open(newer, NOW + FORGOTTEN_AFTER + 60)).buckets
                assert ARMS[1].tag not in later
                assert {arm.tag for arm in newer} >= set(later) == {ARMS[0].tag, ARMS[2].tag}

        asyncio.run(told())

    def test_a_frozen_router_changes_nothing_and_goes_on_where_it_stopped(self, opener: Opener) -> None:
        async def told() -> None:
            settings = RouterSettings(EpsilonGreedy(0), Horizon(Window(100), wait=10), default=1.0)
            async with self.replica(opener, settings) as one, self.replica(opener, settings) as other:
                await one.feedback.take(one.router.decide(NOW).id, 1, NOW)
                one.router.reconfigure(replace(settings, freeze=True), NOW)
                await one.exchange.once(NOW + 1)
                frozen = one.router.statistics
                for second in range(2, 1000, 50):
                    decision = other.router.decide(NOW + second)
                    assert await other.feedback.take(decision.id, 0, NOW + second) == Outcome.FROZEN
                    await one.exchange.once(NOW + second)
                    assert one.router.statistics == frozen
                one.router.reconfigure(settings, NOW + 1000)
                await one.exchange.once(NOW + 1000)
                decision = one.router.decide(NOW + 1000)
                assert await one.feedback.take(decision.id, 0, NOW + 1000) == Outcome.LEARNED
                await one.exchange.once(NOW + 1000)
                assert (one.count, one.mean) == (1, 0), "decisions made while frozen took the default reward"

        asyncio.run(told())

    def test_a_decision_whose_reward_does_not_come_takes_the_default_reward(self, opener: Opener) -> None:
        async def told() -> None:
            settings = replace(ONLY_ZERO, horizon=Horizon(wait=60), default=0.25)
            async with self.replica(opener, settings) as one, self.replica(opener, settings) as other:
                answered, _ = one.router.decide(NOW), other.router.decide(NOW)
                await other.feedback.take(answered.id, 0.75, NOW)
                for after, count, mean in ((30, 1, 0.75), (80, 2, 0.5), (10_000, 2, 0.5), (10**6, 2, 0.5)):
                    await one.exchange.once(NOW + after)
                    await other.exchange.once(NOW + after)
                    assert (other.count, other.mean) == (count, mean)

        asyncio.run(told())

    def test_old_buckets_are_merged_and_nothing_is_lost(self, opener: Opener) -> None:
        async def told() -> None:
            settings = replace(ONLY_ZERO, horizon=Horizon(Window(600), wait=5))
            async with self.replica(opener, settings) as one:
                for second in range(0, 2000, 3):
                    await one.feedback.take(one.router.decide(NOW + second).id, 1, NOW + second)
                    if second % 100 == 0:
                        await one.exchange.once(NOW + second)
                await one.exchange.once(NOW + 2000)
                await one.exchange.once(NOW + 2020)
                buckets = (await one.store.read()).buckets[ARMS[0].tag]
                assert len(buckets) < 80
                assert sum(bucket.rewarded for bucket in buckets.values()) == 667
                assert sum(bucket.decided for bucket in buckets.values()) == 667
                assert buckets[EVER].rewarded > 400
                assert one.count == pytest.approx(200, abs=10)

        asyncio.run(told())

    def test_a_snapshot_is_taken_by_an_empty_store_only_and_old_ids_are_not_counted_again(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                decision = one.router.decide(NOW)
                await one.feedback.take(decision.id, 0.25, NOW)
                await one.exchange.once(NOW)
                text = exported(await one.store.read(), ARMS)
                assert not await one.store.restore(text, NOW)
                # An empty store with the same key: the models are others, until the old ones are forgotten.
                await one.store.open([Arm("new", "sha256:9")], NOW + FORGOTTEN_AFTER + 1)
                assert await one.store.restore(text, NOW)
                assert not await one.store.restore(text, NOW)
                await one.exchange.once(NOW)
                assert (one.count, one.mean) == (1, 0.25)
                with pytest.raises(OtherEpoch):
                    await one.feedback.take(decision.id, 0.25, NOW)
                for wrong in ("", "{}", '{"version":2}', text.replace("0.25", "null"), "[]"):
                    with pytest.raises(StoreAway, match="snapshot"):
                        await one.store.restore(wrong, NOW)

        asyncio.run(told())

    def test_a_frozen_router_stays_frozen_through_a_snapshot(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                await one.feedback.take_for_arm(0, 1, NOW)
                await one.store.freeze(NOW + 5)
                await one.store.freeze(NOW + 9)
                text = exported(await one.store.read(), ARMS)
                await one.store.freeze(None)
                await one.store.open([Arm("new", "sha256:9")], NOW + FORGOTTEN_AFTER + 1)
                assert await one.store.restore(text, NOW)
                assert (await one.store.read()).frozen == NOW + 5

        asyncio.run(told())

    def test_the_key_is_not_in_the_snapshot(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                state = await one.store.read()
                text = exported(state, ARMS)
                assert len(state.key) == 32
                assert state.key.hex() not in text
                assert str(state.epoch) not in text
                assert state.key.hex() not in repr(state)
                assert repr(state.key) not in repr(state)

        asyncio.run(told())

    def test_rewards_of_many_clients_at_once_are_all_counted(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one, self.replica(opener) as other:
                decided = [one.router.decide(NOW) for _ in range(1000)]
                takes = [(one, other)[n % 2].feedback.take(d.id, n % 4, NOW) for n, d in enumerate(decided)]
                assert set(await asyncio.gather(*takes)) == {Outcome.LEARNED}
                await other.exchange.once(NOW)
                assert (other.count, other.mean) == (1000, 1.5)

        asyncio.run(told())

    def test_expired_memories_are_dropped(self, opener: Opener) -> None:
        async def told() -> None:
            async with self.replica(opener) as one:
                reward = Reward(b"12345678", ARMS[0].tag, 0, 1.0, int(1000 * NOW), int(1000 * NOW) + 5000)
                assert await one.store.record(reward) == Outcome.LEARNED
                await one.store.tidy(Horizon(), NOW + 4, 60)
                assert await one.store.record(reward) == Outcome.REPEATED

        asyncio.run(told())
