"""Which PolicyServers to look at next: each at most once at a time, and again where that failed."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from policy_operator import metrics
from policy_operator.cluster_errors import ClusterError, Unavailable

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name of a PolicyServer."""

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 60.0
_LONGEST_PAUSE_AWAY = 5.0
"""While the API server is away; nothing is wrong with the PolicyServer."""
_LONGEST_WORK = 180.0


class WorkQueue:
    """Keys that wait. Added while it waits, a key still waits once; added while it is worked on, it comes once more."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: dict[Key, float] = {}
        self._active: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    def add(self, key: Key) -> None:
        """Has the key looked at as soon as possible."""
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = time.monotonic()
            self._queue.put_nowait(key)

    def add_later(self, key: Key, seconds: float) -> None:
        """Has the key looked at after so many seconds; of several times the last that was asked for holds."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._due, key)

    async def work(self, reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
        """Takes one key after another, until the queue is closed or this is cancelled.

        What `reconcile` returns is when it wants to see the key again, in seconds.
        """
        while True:
            key = await self._queue.get()
            del self._waiting[key]
            if self._closed:
                return
            await self._work_on(key, reconcile)

    async def close(self, seconds: float) -> None:
        """Hands out no more keys, and waits so long for those under way."""
        self._closed = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("stopping in the middle of %d PolicyServers", len(self._active))

    def is_stuck(self) -> bool:
        """Whether one key takes so long that this can't be right any more."""
        return any(time.monotonic() - began > _LONGEST_WORK for began in self._active.values())

    def depth(self) -> int:
        """How many keys wait."""
        return len(self._waiting)

    def oldest_seconds(self) -> float:
        """How long the oldest of the keys that wait has waited; may be asked from another thread."""
        return max((time.monotonic() - since for since in self._waiting.copy().values()), default=0.0)

    async def _work_on(self, key: Key, reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
        self._active[key] = time.monotonic()
        self._idle.clear()
        try:
            later = await reconcile(key)
            self._failures.pop(key, None)
            metrics.RECONCILES.labels("success").inc()
        except Exception as error:  # one PolicyServer must not stop the others, whatever is wrong with it
            later = self._pause(key, _LONGEST_PAUSE_AWAY if isinstance(error, Unavailable) else _LONGEST_PAUSE)
            metrics.RECONCILES.labels("error").inc()
            metrics.ERRORS.labels(metrics.reason_of(error)).inc()
            # Only what nobody has thought of needs a traceback.
            unforeseen = None if isinstance(error, ClusterError) else error
            log.warning("PolicyServer %s/%s: %s; again in %.1f s", *key, error, later, exc_info=unforeseen)
        finally:
            metrics.RECONCILE_SECONDS.observe(time.monotonic() - self._active.pop(key))
            if not self._active:
                self._idle.set()
            if key in self._again:
                self._again.discard(key)
                self.add(key)
        if later is not None:
            self.add_later(key, later)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _pause(self, key: Key, longest: float) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 16), longest)
