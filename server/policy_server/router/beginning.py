"""A store that begins with what was learned in another one."""

import logging
from collections.abc import Callable, Mapping, Sequence

from policy_server.router.arms import Arm
from policy_server.router.horizon import Horizon
from policy_server.router.store import Outcome, Pin, Reward, State, Store

log = logging.getLogger(__name__)


class Beginning:
    """Gives a store its snapshot before anything else, however late it can be reached.

    Args:
        store: does everything; where something was learned already, it goes on from that.
        snapshot: what `exported` wrote, of something that was learned.
        clock: tells the time, in seconds since 1970.
    """

    def __init__(self, store: Store, snapshot: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._snapshot: str | None = snapshot
        self._clock = clock

    async def open(self, arms: Sequence[Arm], now: float) -> State:
        """See `Store`."""
        return await (await self._begun()).open(arms, now)

    async def read(self) -> State:
        """See `Store`."""
        return await (await self._begun()).read()

    async def record(self, reward: Reward) -> Outcome:
        """See `Store`."""
        return await (await self._begun()).record(reward)

    async def count(self, batch: bytes, decided: Mapping[tuple[int, int], int], now: float) -> None:
        """See `Store`."""
        await (await self._begun()).count(batch, decided, now)

    async def tidy(self, horizon: Horizon, now: float, patience: float) -> None:
        """See `Store`."""
        await (await self._begun()).tidy(horizon, now, patience)

    async def pin(self, episode: bytes, pin: Pin, seconds: float) -> tuple[Pin, bool]:
        """See `Store`."""
        return await (await self._begun()).pin(episode, pin, seconds)

    async def pinned(self, episode: bytes, now: float) -> Pin | None:
        """See `Store`."""
        return await (await self._begun()).pinned(episode, now)

    async def freeze(self, at: float | None) -> None:
        """See `Store`."""
        await (await self._begun()).freeze(at)

    async def restore(self, text: str, now: float) -> bool:
        """See `Store`."""
        return await (await self._begun()).restore(text, now)

    async def close(self) -> None:
        """See `Store`."""
        await self._store.close()

    async def _begun(self) -> Store:
        if self._snapshot is not None:
            if await self._store.restore(self._snapshot, self._clock()):
                log.info("what was learned before is there again, from a snapshot")
            self._snapshot = None
        return self._store
