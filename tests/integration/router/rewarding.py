"""A replica that hands rewards to the shared store and says which are acknowledged: `id reward` in, ids out.

It says first that it is ready. After some rewards it kills the process that it is told, or itself: who reads its
output would be late.
"""

import asyncio
import os
import signal
import sys

from policy_server.router.errors import StoreAway
from policy_server.router.redis_store import RedisStore
from policy_server.router.store import Outcome
from tests.unit.router.replicas import Replica
from tests.unit.router.routers import ARMS, NOW

BEFORE_KILL = 20


async def main(url: str, password: str, victim: str) -> None:
    store = RedisStore(url, "test", lambda: password, patience=30)
    replica = Replica(store, await store.open(ARMS, NOW))
    print("ready", flush=True)
    waiting = asyncio.Semaphore(4)
    acknowledged = 0

    async def take(sealed: str, reward: str) -> None:
        nonlocal acknowledged
        async with waiting:
            try:
                outcome = await replica.feedback.take(sealed, float(reward), NOW)
            except StoreAway:
                return
            assert outcome in {Outcome.LEARNED, Outcome.REPEATED}
            print(sealed, flush=True)
            acknowledged += 1
            if acknowledged == BEFORE_KILL and victim != "nobody":
                os.kill(os.getpid() if victim == "itself" else int(victim), signal.SIGKILL)

    await asyncio.gather(*(take(*line.split()) for line in sys.stdin))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
