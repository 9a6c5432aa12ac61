"""The shared store, on a real server: what every store must do, and what happens while it is away."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from policy_server.router.errors import OtherEpoch, StoreAway
from policy_server.router.horizon import Horizon, Window
from policy_server.router.redis_store import RedisStore
from policy_server.router.rewards import RewardRange
from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import Fold, Outcome, Reward, Store
from tests.integration.router.redis_server import PASSWORD, RedisServer
from tests.unit.router.episode_contract import EpisodeContract
from tests.unit.router.replicas import Opener, Replica
from tests.unit.router.routers import ARMS, NOW
from tests.unit.router.store_contract import StoreContract

DECISIONS = 400
ROUND = 100


def _password() -> str:
    return PASSWORD


class TestRedisStore(StoreContract, EpisodeContract):
    @pytest.fixture
    def opener(self, shared_server: RedisServer, request: pytest.FixtureRequest) -> Opener:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Store]:
            store = RedisStore(shared_server.url, request.node.name, _password)
            yield store
            await store.close()

        return opened


async def opened(server: RedisServer, patience: float = 30) -> Replica:
    store = RedisStore(server.url, "test", _password, patience)
    return Replica(store, await store.open(ARMS, NOW))


def rewarding(server: RedisServer, victim: str) -> "subprocess.Popen[str]":
    """Starts a replica that takes rewards, and kills the victim meanwhile."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.router.rewarding", server.url, PASSWORD, victim],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_every_acknowledged_reward_is_counted_once_though_replicas_and_the_server_are_killed(
    server: RedisServer,
) -> None:
    """5 % of the rewards are sent twice, by two replicas; twice one of them is killed, and twice the server."""

    async def decided() -> list[str]:
        replica = await opened(server)
        ids = [replica.router.decide(NOW).id for _ in range(DECISIONS)]
        await replica.store.close()
        return ids

    async def learned() -> tuple[float, float]:
        replica = await opened(server)
        await replica.store.close()
        return replica.count, replica.router.statistics[0].total

    ids = asyncio.run(decided())
    sent = [(sealed, float(n)) for n, sealed in enumerate(ids) for _ in range(1 + (n % 20 == 0))]
    acknowledged: set[str] = set()
    killed = 0
    while todo := [reward for reward in sent if reward[0] not in acknowledged][:ROUND]:
        victim = ("itself", str(server.pid), "itself", str(server.pid), "nobody")[min(killed, 4)]
        killer, other = rewarding(server, victim), rewarding(server, "nobody")
        for process in (killer, other):
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process, half in ((killer, todo[::2]), (other, todo[1::2])):
            assert process.stdin
            process.stdin.writelines(f"{sealed} {reward}\n" for sealed, reward in half)
            process.stdin.close()
        for process in (killer, other):
            assert process.stdout
            acknowledged.update(line.strip() for line in process.stdout)
            process.stdout.close()
            process.wait(60)
        assert other.returncode == 0
        assert killer.returncode == (-signal.SIGKILL if victim == "itself" else 0)
        killed += victim != "nobody"
        server.stop()
        server.start()
    assert killed == 4
    assert asyncio.run(learned()) == (DECISIONS, sum(range(DECISIONS)))


def test_while_the_server_is_away_decisions_go_on_and_afterwards_nothing_is_missing(server: RedisServer) -> None:
    async def told() -> None:
        replica = await opened(server)
        await replica.feedback.take(replica.router.decide(NOW).id, 1, NOW)
        await replica.exchange.once(NOW)
        server.kill()
        decision = replica.router.decide(NOW)
        with pytest.raises(StoreAway, match=r"127\.0\.0\.1") as away:
            await replica.feedback.take(decision.id, 0, NOW)
        assert PASSWORD not in str(away.value)
        for _ in range(3):
            with pytest.raises(StoreAway):
                await replica.exchange.once(NOW)
            replica.router.decide(NOW)
        assert replica.count == 1
        server.start()
        assert await replica.feedback.take(decision.id, 0, NOW) == Outcome.LEARNED
        await replica.exchange.once(NOW)
        assert (replica.count, replica.mean) == (2, 0.5)
        (bucket,) = (await replica.store.read()).buckets[ARMS[0].tag].values()
        assert bucket.decided == 5
        await replica.store.close()

    asyncio.run(told())


def test_a_server_that_does_not_answer_is_away_after_the_patience_and_rewards_are_not_counted_twice(
    server: RedisServer,
) -> None:
    async def told() -> None:
        replica = await opened(server, patience=0.5)
        decision = replica.router.decide(NOW)
        server.freeze()
        began = time.monotonic()
        with pytest.raises(StoreAway):
            await replica.feedback.take(decision.id, 1, NOW)
        # One more attempt is made, on a new connection.
        assert time.monotonic() - began < 10 * 0.5
        await replica.store.close()
        server.thaw()
        replica = await opened(server)
        # The server had read the reward, or hadn't.
        assert await replica.feedback.take(decision.id, 1, NOW) in {Outcome.LEARNED, Outcome.REPEATED}
        await replica.exchange.once(NOW)
        assert replica.count == 1
        await replica.store.close()

    asyncio.run(told())


def test_a_server_that_lost_everything_is_begun_anew(server: RedisServer) -> None:
    async def told() -> None:
        replica = await opened(server)
        before = replica.router.decide(NOW)
        await replica.feedback.take(before.id, 1, NOW)
        await replica.exchange.once(NOW)
        await replica.store._client.flushall()  # type: ignore[attr-defined]
        await replica.exchange.once(NOW)
        assert replica.count == 0
        with pytest.raises(OtherEpoch):
            await replica.feedback.take(before.id, 1, NOW)
        assert await replica.feedback.take(replica.router.decide(NOW).id, 1, NOW) == Outcome.LEARNED
        await replica.store.close()

    asyncio.run(told())


def test_it_does_with_any_rewards_what_the_embedded_store_does(server: RedisServer, tmp_path: Path) -> None:
    chance = random.Random(10)

    def any_reward() -> Reward:
        return Reward(
            nonce=bytes([chance.randrange(12)]) * 8,
            arm=chance.choice(ARMS).tag,
            bucket=chance.choice((0, 60_000, 120_000)),
            value=chance.choice((0.0, 1.0, -0.1, 1e-7, 12345.678901234567, chance.random())),
            now=int(1000 * NOW) + chance.randrange(1000),
            expires=int(1000 * NOW) + 600_000,
            episode=chance.random() < 0.6,
            part=bytes([chance.randrange(4)]) if chance.random() < 0.8 else b"",
            done=chance.random() < 0.1,
            fold=chance.choice(list(Fold)),
            bounds=chance.choice((None, RewardRange(0, 1), RewardRange(-0.05, 12000.1))),
        )

    async def told() -> None:
        shared, embedded = RedisStore(server.url, "test", _password), SqliteStore(tmp_path / "router.db")
        try:
            await compared([shared, embedded])
        finally:
            await shared.close()
            await embedded.close()

    async def compared(stores: Sequence[Store]) -> None:
        for store in stores:
            await store.open(ARMS, NOW)
        seen = set()
        for number in range(3000):
            reward = any_reward()
            if number % 40 == 0:
                reward = reward._replace(nonce=chance.randbytes(8))
            outcomes = [await store.record(reward) for store in stores]
            # Of an episode that is over, the one may still know which rewards it had when the other has forgotten.
            unchanged = set(outcomes) == {Outcome.REPEATED, Outcome.LATE}
            assert outcomes[0] == outcomes[1] or unchanged, (number, reward)
            seen.add(outcomes[0])
            if number % 200 == 0:
                for store in stores:
                    await store.tidy(Horizon(Window(600), wait=10), NOW + number / 1000, patience=0.5)
        assert seen == {Outcome.LEARNED, Outcome.KEPT, Outcome.REPEATED, Outcome.LATE}
        shared, embedded = [(await store.read()).buckets for store in stores]
        for arm in ARMS:
            assert shared[arm.tag].keys() == embedded[arm.tag].keys()
            for start, bucket in embedded[arm.tag].items():
                assert shared[arm.tag][start] == pytest.approx(bucket, rel=1e-12)

    asyncio.run(told())


def test_a_wrong_password_is_said(server: RedisServer) -> None:
    async def told() -> None:
        store = RedisStore(server.url, "test", lambda: "wrong")
        with pytest.raises(StoreAway, match="password"):
            await store.open(ARMS, NOW)
        await store.close()

    asyncio.run(told())


def test_a_new_password_is_read_for_new_connections(server: RedisServer) -> None:
    """A Secret may be another one by the time that the store is back."""
    known = [PASSWORD]

    async def told() -> None:
        url = server.url.replace("//", "//default@")  # the user is kept
        store = RedisStore(url, "test", lambda: known[-1])
        await store.open(ARMS, NOW)
        client = store._client
        await client.config_set("requirepass", "another")
        await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        with pytest.raises(StoreAway, match="password"):
            await store.read()
        known.append("another")
        await store.read()
        await store.close()

    asyncio.run(told())


def test_all_of_a_router_s_keys_lie_in_one_slot_and_expire_or_are_bounded(server: RedisServer) -> None:
    async def told() -> None:
        replica = await opened(server)
        first = replica.router.decide(NOW)
        await replica.feedback.take(first.id, 1, NOW, episode=True)
        await replica.feedback.take(replica.router.decide(NOW).id, 1, NOW)
        await replica.exchange.once(NOW)
        client = replica.store._client  # type: ignore[attr-defined]
        lasting = set()
        for key in await client.keys("*"):
            assert key.startswith(b"policyserver:{test}:")
            if await client.pttl(key) < 0:
                lasting.add(key.decode().rpartition(":")[2])
        assert lasting == {"router", "arms", "buckets", "open"}
        await replica.store.close()

    asyncio.run(told())
