"""Moves what was decided to the store, and what was learned back, off the requests' path."""

import secrets
from math import inf

from policy_server.router.ids import NONCE_BYTES
from policy_server.router.router import Router
from policy_server.router.store import Store

TIDY_SECONDS = 10.0
"""How often each process looks for episodes that are overdue and for buckets to merge."""
SERVE_SECONDS = 3_600.0
"""How often each process says which models it serves, so that what was learned of them isn't forgotten."""


class Exchange:
    """One process's exchange with the store."""

    def __init__(self, router: Router, store: Store) -> None:
        self._router = router
        self._store = store
        self._unsent: dict[tuple[int, int], int] = {}
        self._batch = b""
        self._tidied = -inf
        self._served = -inf

    def follow(self, router: Router) -> None:
        """Goes on with the router that took the former one's place; what that one decided is still sent."""
        self._router = router
        self._served = -inf  # it may have other arms

    async def once(self, now: float) -> None:
        """Exchanges what there is; called about once a second, never twice at a time.

        Raises:
            StoreAway: the router goes on from what it knows; nothing is lost, or counted twice by the next call.
        """
        told = self._router.settings
        await self._count(now)
        if now >= self._tidied + TIDY_SECONDS:
            await self._store.tidy(told.horizon, now, told.patience)
            self._tidied = now
        if now >= self._served + SERVE_SECONDS:
            state = await self._store.open(self._router.arms, now)
            self._served = now
        else:
            state = await self._store.read()
        if told.freeze != (state.frozen is not None):
            await self._store.freeze(now if told.freeze else None)
            state = await self._store.read()
        self._router.refresh(state, now)

    async def _count(self, now: float) -> None:
        """Sends what was decided: first, under its old name, the batch that may have reached the store already.

        What is decided meanwhile is sent the next time: under load, there is always some.
        """
        await self._send(now)
        self._unsent = self._router.uncounted()
        self._batch = secrets.token_bytes(NONCE_BYTES)
        await self._send(now)

    async def _send(self, now: float) -> None:
        if self._unsent:
            await self._store.count(self._batch, self._unsent, now)
            self._unsent = {}
