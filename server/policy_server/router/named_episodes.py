"""Episodes with ids of the client's own."""

from typing import NamedTuple

from policy_server.router.recent import Recent
from policy_server.router.routed import Routed
from policy_server.router.router import Router
from policy_server.router.store import Pin, Store


class _Known(NamedTuple):
    """A pin; `expires` in seconds since 1970, `new`: it was made by this process."""

    pin: Pin
    expires: float
    new: bool


class NamedEpisodes:
    """Keeps an episode that the client named on its arm, on every replica.

    With fixed weights the name alone tells the arm, as long as they stay fixed. Where rewards move the weights, the
    arm is pinned in the store, which all replicas must share; an episode's first request on each waits for it.
    """

    def __init__(self, router: Router, store: Store) -> None:
        self._router = router
        self._store = store
        self._pins: Recent[_Known] = Recent()

    def known(self, episode: str, now: float) -> Routed | None:
        """Returns the episode's next decision; None: only the store can tell its arm, see `asked`.

        Raises:
            NoArmLeft: none works.
        """
        if not self._router.settings.mode.learns:
            routed = self._router.named(episode, now)
            return routed._replace(begins=not self._router.has_counted(episode, now))
        return self._remembered(episode, now)

    async def asked(self, episode: str, now: float) -> Routed:
        """Returns the episode's next decision, pinned from now on.

        Raises:
            NoArmLeft: none works.
            StoreAway: the arm can't be told.
        """
        drawn = self._router.named(episode, now)
        wanted = Pin(self._router.arms[drawn.arm].tag, drawn.propensity, int(1000 * now))
        pin, new = await self._store.pin(self._nonce(episode), wanted, self._router.settings.longest_episode)
        return self._routed(episode, self._remember(episode, pin, new=new), now)

    async def begun(self, episode: str, now: float) -> Routed | None:
        """Returns a decision of an episode that has begun, to reward it; None: it hasn't, as far as can be told.

        Raises:
            NoArmLeft: none works.
            StoreAway: the arm can't be told.
        """
        if not self._router.settings.mode.learns:
            return self._router.named(episode, now)
        if (remembered := self._remembered(episode, now)) is not None:
            return remembered
        pin = await self._store.pinned(self._nonce(episode), now)
        return None if pin is None else self._routed(episode, self._remember(episode, pin, new=False), now)

    def _nonce(self, episode: str) -> bytes:
        return self._router.sealer.named(0, 0, None, episode).nonce

    def _remember(self, episode: str, pin: Pin, *, new: bool) -> _Known:
        known = _Known(pin, pin.time / 1000 + self._router.settings.longest_episode, new)
        self._pins.put(episode, known)
        return known

    def _remembered(self, episode: str, now: float) -> Routed | None:
        known = self._pins.get(episode)
        return None if known is None or now >= known.expires else self._routed(episode, known, now)

    def _routed(self, episode: str, known: _Known, now: float) -> Routed:
        pin, _, new = known
        arm = self._router.index(pin.arm)
        if arm is None:
            return self._router.moved(episode, pin.time, now)
        routed = self._router.kept(episode, arm, pin.propensity, pin.time)
        return routed._replace(begins=new and not self._router.has_counted(episode, now))
