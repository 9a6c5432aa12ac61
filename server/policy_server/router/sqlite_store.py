"""The embedded store: one SQLite file, for the processes of one machine."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from policy_server.router import sqlite_tables as tables
from policy_server.router.arms import Arm
from policy_server.router.errors import StoreAway
from policy_server.router.horizon import Horizon
from policy_server.router.store import Outcome, Pin, Reward, State, imported

_BUSY_SECONDS = 5.0
"""How long another process may hold the file."""
Result = TypeVar("Result")


class SqliteStore:
    """Keeps what was learned in a file that survives the process, and the machine's sudden end.

    A reward is returned from `record` when the disk has it. Rewards that wait meanwhile share the next commit. SQLite
    runs in a thread of its own.

    Args:
        path: the file; its folder must be on a disk of this machine, for the write-ahead log needs shared memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "router-store")
        self._waiting: list[tuple[Reward, asyncio.Future[Outcome]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self, arms: Sequence[Arm], now: float) -> State:
        """Makes the file where it isn't there, and notes which models are served."""

        def work(connection: sqlite3.Connection) -> State:
            tables.serve(connection, list(arms), now)
            return tables.state(connection)

        return await self._transaction(work)

    async def read(self) -> State:
        """Returns all that was learned."""
        return await self._transaction(tables.state)

    async def record(self, reward: Reward) -> Outcome:
        """Counts a reward once, and returns when it is on the disk."""
        self._require_open()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((reward, outcome))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await outcome

    async def count(self, batch: bytes, decided: Mapping[tuple[int, int], int], now: float) -> None:
        """Adds decisions by tag and bucket."""
        await self._transaction(lambda connection: tables.count(connection, batch, decided, now))

    async def tidy(self, horizon: Horizon, now: float, patience: float) -> None:
        """Ends overdue episodes, merges old buckets, drops what expired."""
        await self._transaction(lambda connection: tables.tidy(connection, horizon, now, patience))

    async def pin(self, episode: bytes, pin: Pin, seconds: float) -> tuple[Pin, bool]:
        """Returns an episode's pin, and whether it was made now."""
        return await self._transaction(lambda connection: tables.pin(connection, episode, pin, seconds))

    async def pinned(self, episode: bytes, now: float) -> Pin | None:
        """Returns an episode's pin, if it has one."""
        return await self._transaction(lambda connection: tables.pinned(connection, episode, now))

    async def freeze(self, at: float | None) -> None:
        """Stops learning, or goes on with it."""

        def work(connection: sqlite3.Connection) -> None:
            if at is None:
                connection.execute("DELETE FROM router WHERE name = 'frozen'")
            else:
                connection.execute("INSERT OR IGNORE INTO router VALUES ('frozen', ?)", (at,))

        await self._transaction(work)

    async def restore(self, text: str, now: float) -> bool:
        """Takes a snapshot, if nothing was learned yet."""
        learned, frozen = imported(text)

        def work(connection: sqlite3.Connection) -> bool:
            if connection.execute("SELECT 1 FROM buckets").fetchone():
                return False
            tables.serve(connection, list(learned), now)
            rows = [(arm.tag, start, *bucket) for arm, buckets in learned.items() for start, bucket in buckets.items()]
            connection.executemany("INSERT INTO buckets VALUES (?, ?, ?, ?, ?, ?)", rows)
            tables.state(connection)
            connection.execute("UPDATE router SET value = ? WHERE name = 'epoch'", (secrets.randbits(32),))
            if frozen is not None:
                connection.execute("INSERT OR REPLACE INTO router VALUES ('frozen', ?)", (frozen,))
            return True

        return await self._transaction(work)

    async def close(self) -> None:
        """Writes what waits, and closes the file; whatever is asked from now on raises StoreAway."""
        if self._closed:
            return
        self._closed = True
        if self._writing is not None:
            await self._writing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _write(self) -> None:
        """Commits rewards, as many at once as have come during the last commit."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                outcomes = await self._committed(partial(_record_all, [reward for reward, _ in batch]))
            except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it is
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(error)
                continue
            for (_, waiting), outcome in zip(batch, outcomes, strict=True):
                if not waiting.done():
                    waiting.set_result(outcome)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreAway(f"the router's store {self._path} is closed, for the server ends: send it again")

    async def _transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        self._require_open()
        return await self._committed(work)

    async def _committed(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Returns what `work` returns once it is committed; where it raises, nothing has changed."""

        def run() -> Result:
            try:
                connection = self._connected()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    result = work(connection)
                except BaseException:
                    if connection.in_transaction:  # some errors end it themselves
                        connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                raise StoreAway(f"the router's store {self._path} can't be used: {error}") from error
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            # It holds the key under which ids are sealed; SQLite gives its other two files the same mode.
            self._path.touch(0o600)
            connection = sqlite3.connect(self._path, _BUSY_SECONDS, isolation_level=None)
            # FULL: a commit waits for the disk, so that what was acknowledged outlives a power cut.
            connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {tables.SCHEMA}")
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _record_all(rewards: Sequence[Reward], connection: sqlite3.Connection) -> list[Outcome]:
    return [tables.record(connection, reward) for reward in rewards]
