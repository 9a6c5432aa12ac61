"""A process that hands rewards to a store and says which are acknowledged: `id reward` lines in, ids out."""

import asyncio
import sys
from pathlib import Path

from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import Outcome
from tests.unit.router.replicas import Replica
from tests.unit.router.routers import ARMS, NOW


async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    replica = Replica(store, await store.open(ARMS, NOW))
    waiting = asyncio.Semaphore(4)

    async def take(sealed: str, reward: str) -> None:
        async with waiting:
            assert await replica.feedback.take(sealed, float(reward), NOW) in {Outcome.LEARNED, Outcome.REPEATED}
            sys.stdout.write(f"{sealed}\n")
            sys.stdout.flush()

    await asyncio.gather(*(take(*line.split()) for line in sys.stdin))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
