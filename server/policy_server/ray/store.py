"""The embedded store of a router that runs in several processes of Ray: one actor has the file, all others ask it.

What is lost when the actor dies: nothing, for what it acknowledged is in the file; until Ray has started it again,
rewards are refused, and decisions go on from what is known. Where its node died and the file was on that node's own
disk, the new actor has a new file. Then the first process that asks hands it what it last read, at most about a second
old: what the policies earned goes on, but rewards that came after that are lost, as are those of episodes that go on,
and ids from before are no longer accepted.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import time
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from policy_server.router.arms import Arm
from policy_server.router.errors import StoreAway
from policy_server.router.horizon import Horizon
from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import Outcome, Pin, Reward, State, exported

_NAMESPACE = "policyserver"
_PATIENCE_SECONDS = 5.0


class StoreActor:
    """Has the file. Only who has begun with it is answered: it may know what a new file lacks.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._store = SqliteStore(Path(path))
        self._life = secrets.token_hex(8)

    async def begin(self, snapshot: str | None, now: float) -> str:
        """Takes a snapshot if nothing is known here; returns what tells this life of the actor from others."""
        if snapshot is not None:
            await self._store.restore(snapshot, now)
        return self._life

    async def ask(self, life: str, method: str, *arguments: Any) -> tuple[str, Any]:
        """Returns its life, and what a method of the store returns if it is the one that was asked."""
        if life != self._life:
            return self._life, None
        return life, await getattr(self._store, method)(*arguments)


class ActorStore:
    """The store that all processes share which name the same file, wherever in the cluster they are.

    Args:
        path: the file, as the actor finds it.
        clock: tells the time, in seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time) -> None:
        self._path = str(path)
        self._clock = clock
        self._actor: Any = None
        self._life = ""
        self._arms: Sequence[Arm] = ()
        self._state = State.alone()

    async def open(self, arms: Sequence[Arm], now: float) -> State:
        """See `Store`."""
        self._arms = list(arms)
        self._state = await self._ask("open", self._arms, now)
        return self._state

    async def read(self) -> State:
        """See `Store`."""
        self._state = await self._ask("read")
        return self._state

    async def record(self, reward: Reward) -> Outcome:
        """See `Store`."""
        outcome: Outcome = await self._ask("record", reward)
        return outcome

    async def count(self, batch: bytes, decided: Mapping[tuple[int, int], int], now: float) -> None:
        """See `Store`."""
        await self._ask("count", batch, dict(decided), now)

    async def tidy(self, horizon: Horizon, now: float, patience: float) -> None:
        """See `Store`."""
        await self._ask("tidy", horizon, now, patience)

    async def pin(self, episode: bytes, pin: Pin, seconds: float) -> tuple[Pin, bool]:
        """See `Store`."""
        made: tuple[Pin, bool] = await self._ask("pin", episode, pin, seconds)
        return made

    async def pinned(self, episode: bytes, now: float) -> Pin | None:
        """See `Store`."""
        pin: Pin | None = await self._ask("pinned", episode, now)
        return pin

    async def freeze(self, at: float | None) -> None:
        """See `Store`."""
        await self._ask("freeze", at)

    async def restore(self, text: str, now: float) -> bool:
        """See `Store`."""
        restored: bool = await self._ask("restore", text, now)
        return restored

    async def close(self) -> None:
        """Leaves the actor to the others."""

    async def _ask(self, method: str, *arguments: Any) -> Any:
        """Returns what the actor's store returns; raises StoreAway where it can't be asked, or raised that itself."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if self._actor is None:
                    self._actor = await asyncio.to_thread(self._found)
                while True:
                    known = self._life
                    life, answer = await self._actor.ask.remote(known, method, *arguments)
                    if life == known:
                        return answer
                    self._life = await self._actor.begin.remote(self._snapshot(), self._clock())
        except TimeoutError:
            raise StoreAway(f"the router's store gave no answer within {_PATIENCE_SECONDS:g} s") from None
        except RayTaskError as error:
            if isinstance(error.cause, StoreAway):
                raise StoreAway(str(error.cause)) from None
            raise
        except RayError as error:
            self._actor = None
            raise StoreAway(f"the router's store can't be asked ({type(error).__name__}): send it again") from None

    def _snapshot(self) -> str | None:
        """Returns what was read last, if it is worth to be handed over."""
        return exported(self._state, self._arms) if any(self._state.buckets.values()) else None

    def _found(self) -> Any:
        """Returns the actor, which is made where there is none, and outlives who made it."""
        return (
            ray.remote(StoreActor)
            .options(
                name=f"store {self._path}",
                namespace=_NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                num_cpus=0,
            )
            .remote(self._path)
        )
