"""A replica as tests see it, and what every test of a store needs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import numpy as np
import pytest

from policy_server.router.exchange import Exchange
from policy_server.router.feedback import Feedback
from policy_server.router.modes import ABTest
from policy_server.router.router import Router
from policy_server.router.settings import RouterSettings
from policy_server.router.store import State, Store
from tests.unit.router.routers import ARMS, NOW

ONLY_ZERO = RouterSettings(ABTest((1, 0, 0)))
Opener = Callable[[], AbstractAsyncContextManager[Store]]


class Replica:
    """A router, its store, and what goes between."""

    def __init__(self, store: Store, state: State, settings: RouterSettings = ONLY_ZERO, seed: int = 1) -> None:
        self.store = store
        self.router = Router(settings, ARMS, state, np.random.default_rng(seed), NOW)
        self.feedback = Feedback(self.router, store)
        self.exchange = Exchange(self.router, store)

    @property
    def mean(self) -> float:
        return self.router.statistics[0].mean

    @property
    def count(self) -> float:
        return self.router.statistics[0].count


class StoreTests:
    """`opener` opens the same store each time."""

    @pytest.fixture
    def opener(self) -> Opener:
        raise NotImplementedError

    @asynccontextmanager
    async def replica(
        self, opener: Opener, settings: RouterSettings = ONLY_ZERO, seed: int = 1
    ) -> AsyncIterator[Replica]:
        async with opener() as store:
            yield Replica(store, await store.open(ARMS, NOW), settings, seed)
