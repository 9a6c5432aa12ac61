"""The store that is an actor of Ray: what every store must do, and what happens when it dies."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from policy_server.router.errors import NotIssued, OtherEpoch, StoreAway
from policy_server.router.store import Outcome, Store
from tests.integration.ray.ray_processes import STORE, alive, titled
from tests.unit.router.episode_contract import EpisodeContract
from tests.unit.router.replicas import Opener, Replica
from tests.unit.router.routers import ARMS, NOW
from tests.unit.router.store_contract import StoreContract

pytestmark = pytest.mark.usefixtures("ray_runs")
Result = TypeVar("Result")
SECONDS = 60.0


def actor_store(path: Path) -> Store:
    # It imports Ray, which must have its settings before; those are `one_machine`'s.
    from policy_server.ray.store import ActorStore  # noqa: PLC0415 -- as said

    return ActorStore(path)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A file, whose actor ends with the test."""
    import ray  # noqa: PLC0415 -- as below

    path = tmp_path / "router.db"
    yield path
    ray.kill(ray.get_actor(f"store {path}", namespace="policyserver"), no_restart=True)


class TestActorStore(StoreContract, EpisodeContract):
    @pytest.fixture
    def opener(self, path: Path) -> Opener:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Store]:
            store = actor_store(path)
            yield store
            await store.close()

        return opened


async def replica(path: Path) -> Replica:
    store = actor_store(path)
    return Replica(store, await store.open(ARMS, NOW))


async def once_there(ask: Callable[[], Awaitable[Result]]) -> Result:
    """Returns what is answered as soon as the store is there again."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return await ask()
        except StoreAway:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


def kill(before: set[int], path: Path | None = None) -> None:
    """Kills the actor that wasn't there before; with its file, if that is lost with it."""
    (pid,) = set(titled(os.getpid(), STORE)) - before
    os.kill(pid, signal.SIGKILL)
    if path is not None:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
    while alive(pid):
        time.sleep(0.01)


def test_what_was_acknowledged_outlives_the_actor(path: Path) -> None:
    async def told() -> None:
        before = set(titled(os.getpid(), STORE))
        one = await replica(path)
        ids = [one.router.decide(NOW).id for _ in range(3)]
        assert await one.feedback.take(ids[0], 1, NOW) == Outcome.LEARNED
        kill(before)
        assert await once_there(lambda: one.feedback.take(ids[0], 1, NOW)) == Outcome.REPEATED
        assert await one.feedback.take(ids[1], 1, NOW) == Outcome.LEARNED
        await one.exchange.once(NOW)
        assert (one.count, one.mean) == (2, 1)

    asyncio.run(told())


def test_where_the_file_is_lost_with_its_node_what_was_last_read_goes_on(path: Path) -> None:
    async def told() -> None:
        before = set(titled(os.getpid(), STORE))
        one, other = await replica(path), await replica(path)
        ids = [one.router.decide(NOW).id for _ in range(3)]
        for sealed in ids[:2]:
            await one.feedback.take(sealed, 1, NOW)
        await one.exchange.once(NOW)
        kill(before, path)
        await once_there(lambda: one.exchange.once(NOW))
        await other.exchange.once(NOW)
        assert (one.count, other.count) == (2, 2)
        for each in (one, other):
            with pytest.raises((NotIssued, OtherEpoch)):
                await each.feedback.take(ids[0], 1, NOW)
        assert await other.feedback.take(one.router.decide(NOW).id, 0, NOW) == Outcome.LEARNED

    asyncio.run(told())
