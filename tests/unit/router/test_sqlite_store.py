import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from policy_server.router.errors import StoreAway
from policy_server.router.horizon import Horizon
from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import Outcome, Pin, Store, exported
from tests.unit.router.episode_contract import EpisodeContract
from tests.unit.router.replicas import Opener, Replica
from tests.unit.router.routers import ARMS, NOW
from tests.unit.router.store_contract import StoreContract

DECISIONS = 400


class TestSqliteStore(StoreContract, EpisodeContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Store]:
            store = SqliteStore(tmp_path / "router.db")
            yield store
            await store.close()

        return opened


def test_every_reward_that_was_acknowledged_is_counted_once_though_the_process_is_killed(tmp_path: Path) -> None:
    """5 % of the rewards are sent twice, and those that a killed process didn't acknowledge are sent again."""
    path = tmp_path / "router.db"

    async def decided() -> list[str]:
        store = SqliteStore(path)
        replica = Replica(store, await store.open(ARMS, NOW))
        ids = [replica.router.decide(NOW).id for _ in range(DECISIONS)]
        await store.close()
        return ids

    async def learned() -> tuple[float, float]:
        store = SqliteStore(path)
        replica = Replica(store, await store.open(ARMS, NOW))
        await store.close()
        return replica.count, replica.router.statistics[0].total

    ids = asyncio.run(decided())
    rewards = [(sealed, float(number)) for number, sealed in enumerate(ids)]
    sent = [reward for number, reward in enumerate(rewards) for _ in range(1 + (number % 20 == 0))]
    acknowledged: set[str] = set()
    kills = 0
    while todo := [reward for reward in sent if reward[0] not in acknowledged]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.router.rewarding", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        process.stdin.writelines(f"{sealed} {reward}\n" for sealed, reward in todo)
        process.stdin.close()
        for number, line in enumerate(process.stdout):
            acknowledged.add(line.strip())
            if number == 80:
                process.send_signal(signal.SIGKILL)
        kills += process.wait(60) == -signal.SIGKILL
        process.stdout.close()
        assert process.returncode in {0, -signal.SIGKILL}
    assert kills >= 2
    assert asyncio.run(learned()) == (DECISIONS, sum(range(DECISIONS)))


def test_the_file_that_holds_the_key_is_the_user_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "router.db"

    async def told() -> None:
        store = SqliteStore(path)
        await store.open(ARMS, NOW)
        assert modes() == {"router.db": 0o600, "router.db-wal": 0o600, "router.db-shm": 0o600}
        await store.close()

    def modes() -> dict[str, int]:
        return {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    asyncio.run(told())


def test_a_store_that_another_holds_or_that_is_damaged_is_away_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("policy_server.router.sqlite_store._BUSY_SECONDS", 0.1)
    path = tmp_path / "router.db"

    async def told() -> None:
        store = SqliteStore(path)
        replica = Replica(store, await store.open(ARMS, NOW))
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        decision = replica.router.decide(NOW)
        with pytest.raises(StoreAway, match=r"router\.db"):
            await replica.feedback.take(decision.id, 1, NOW)
        with pytest.raises(StoreAway):
            await replica.exchange.once(NOW)
        assert replica.router.decide(NOW).propensity == 1, "decisions stopped"
        holder.execute("ROLLBACK")
        holder.close()
        await replica.feedback.take(decision.id, 1, NOW)
        await replica.exchange.once(NOW)
        assert replica.count == 1
        (bucket,) = (await store.read()).buckets[ARMS[0].tag].values()
        assert bucket.decided == 2, "decisions were lost, or counted twice, while the store was away"
        await store.close()
        path.write_bytes(os.urandom(100_000))
        with pytest.raises(StoreAway, match="not a database"):
            await SqliteStore(path).read()

    asyncio.run(told())


def test_a_closed_store_is_away_and_what_was_under_way_is_answered(tmp_path: Path) -> None:
    async def told() -> None:
        store = SqliteStore(tmp_path / "router.db")
        replica = Replica(store, await store.open(ARMS, NOW))
        ids = [replica.router.decide(NOW).id for _ in range(20)]
        takes = [asyncio.create_task(replica.feedback.take(sealed, 1, NOW)) for sealed in ids]
        await asyncio.sleep(0)  # each of them gets as far as to the store
        await store.close()
        assert set(await asyncio.gather(*takes)) == {Outcome.LEARNED}
        await store.close()
        snapshot = exported(replica.router.state, ARMS)
        pin = Pin(ARMS[0].tag, 1.0, int(1000 * NOW))
        for asked in (
            store.open(ARMS, NOW),
            store.read(),
            replica.feedback.take(ids[0], 1, NOW),
            store.count(b"batch", {}, NOW),
            store.tidy(Horizon(), NOW, 600),
            store.pin(b"episode", pin, 60),
            store.pinned(b"episode", NOW),
            store.freeze(NOW),
            store.restore(snapshot, NOW),
        ):
            with pytest.raises(StoreAway, match="closed"):
                await asked
        after = SqliteStore(tmp_path / "router.db")
        assert sum(bucket.rewarded for bucket in (await after.read()).buckets[ARMS[0].tag].values()) == 20
        await after.close()

    asyncio.run(told())


def test_memories_that_nobody_can_ask_for_any_more_take_no_space(tmp_path: Path) -> None:
    path = tmp_path / "router.db"

    async def told() -> None:
        store = SqliteStore(path)
        replica = Replica(store, await store.open(ARMS, NOW))
        for number in range(50):
            first = replica.router.decide(NOW)
            if number % 2:
                await replica.feedback.take(first.id, 1, NOW)
            else:
                await replica.feedback.take(first.id, 1, NOW, episode=True, part="a")
        await store.count(b"batch", {}, NOW)
        await store.pin(b"episode", Pin(ARMS[0].tag, 1.0, int(1000 * NOW)), 86_400)
        await store.tidy(Horizon(), NOW + 1000, 600)
        await store.tidy(Horizon(), NOW + 2000, 600)
        await store.tidy(Horizon(), NOW + 100_000, 600)
        await store.close()

    asyncio.run(told())
    with sqlite3.connect(path) as connection:
        for table in ("alone", "episodes", "parts", "pins", "batches"):
            rows = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - one of five of our own words
            assert rows.fetchone() == (0,), table
    connection.close()
