"""Episodes with ids of the client's own."""

from collections import OrderedDict

from policy_server.router.routed import Routed
from policy_server.router.router import Router
from policy_server.router.store import Pin, Store

REMEMBERED = 10_000
"""Pins that a process remembers, so that only an episode's first request, on each replica, asks the store."""


class NamedEpisodes:
    """Keeps an episode that the client named on its arm, on every replica.

    With fixed weights the name alone tells the arm, as long as they stay fixed. Where rewards move the weights, the
    arm is pinned in the store, which all replicas must share; an episode's first request waits for it.
    """

    def __init__(self, router: Router, store: Store) -> None:
        self._router = router
        self._store = store
        self._pins: OrderedDict[str, tuple[Pin, float]] = OrderedDict()

    def known(self, episode: str, now: float) -> Routed | None:
        """Returns the episode's next decision; None: only the store can tell its arm, see `asked`.

        Raises:
            NoArmLeft: none works.
        """
        if not self._router.settings.mode.learns:
            return self._router.named(episode, now)
        pin, expires = self._pins.get(episode, (None, 0.0))
        if pin is None or now >= expires:
            return None
        self._pins.move_to_end(episode)
        return self._routed(episode, pin, now)

    async def asked(self, episode: str, now: float) -> Routed:
        """Returns the episode's next decision, pinned from now on.

        Raises:
            NoArmLeft: none works.
            StoreAway: the arm can't be told.
        """
        routed, new = await self._pinned(episode, now)
        return routed._replace(begins=new)

    async def begun(self, episode: str, now: float) -> Routed | None:
        """Returns a decision of an episode that has begun; None: it hasn't, as far as can be told.

        Raises:
            NoArmLeft: none works.
            StoreAway: the arm can't be told.
        """
        if (known := self.known(episode, now)) is not None:
            return known
        routed, new = await self._pinned(episode, now)
        return None if new else routed

    async def _pinned(self, episode: str, now: float) -> tuple[Routed, bool]:
        """Returns a decision of the episode, pinned from now on, and whether it wasn't before."""
        drawn = self._router.named(episode, now)
        nonce = self._router.sealer.named(0, 0, None, episode).nonce
        seconds = self._router.settings.longest_episode
        wanted = Pin(self._router.arms[drawn.arm].tag, drawn.propensity)
        pin, new = await self._store.pin(nonce, wanted, now, seconds)
        # Half as long as in the store: asked again before it is forgotten there.
        self._pins[episode] = pin, now + seconds / 2
        while len(self._pins) > REMEMBERED:
            self._pins.popitem(last=False)
        return self._routed(episode, pin, now), new

    def _routed(self, episode: str, pin: Pin, now: float) -> Routed:
        arm = self._router.index(pin.arm)
        if arm is None:
            return self._router.named(episode, now)._replace(moved=True)
        return self._router.kept(episode, arm, pin.propensity, now)
