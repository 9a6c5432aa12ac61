"""A replica that hands rewards to the shared store and says which are acknowledged: `id reward` in, ids out."""

import asyncio
import sys

from policy_server.router.errors import StoreAway
from policy_server.router.redis_store import RedisStore
from policy_server.router.store import Outcome
from tests.unit.router.replicas import Replica
from tests.unit.router.routers import ARMS, NOW


async def main() -> None:
    store = RedisStore(sys.argv[1], "test", sys.argv[2])
    replica = Replica(store, await store.open(ARMS, NOW))
    waiting = asyncio.Semaphore(4)

    async def take(sealed: str, reward: str) -> None:
        async with waiting:
            try:
                outcome = await replica.feedback.take(sealed, float(reward), NOW)
            except StoreAway:
                return
            assert outcome in {Outcome.LEARNED, Outcome.REPEATED}
            sys.stdout.write(f"{sealed}\n")
            sys.stdout.flush()

    await asyncio.gather(*(take(*line.split()) for line in sys.stdin))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
