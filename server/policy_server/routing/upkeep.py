"""What a router needs done beside its decisions, off the requests' path."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from math import inf

from policy_server.router.errors import StoreAway
from policy_server.router.report import ArmReport, RouterReport
from policy_server.routing.routing import Routing
from policy_server.tallies import Tallies

log = logging.getLogger(__name__)

_SECONDS = 0.5
_SOON, _LATEST = 0.2, 1.0
"""Between so many seconds from the last one, there is an exchange with the store."""


class Upkeep:
    """Follows the settings, exchanges with the store, loads policies again, compares shadows, reports.

    Each in a task of its own, so that none waits for another.

    Args:
        routing: what is kept up.
        tallies: take the reports.
        soon: whether there is one as soon as rewards have come; all replicas of a shared store would ask too often.
        tells: whether reports hold what was learned.
        store_away: why the store couldn't be used at first.
    """

    def __init__(
        self, routing: Routing, tallies: Tallies, *, soon: bool, tells: bool, store_away: str | None = None
    ) -> None:
        self._routing = routing
        self._tallies = tallies
        self._soon = soon
        self._rewards = 0
        self._exchanged = -inf
        self._working: Sequence[bool] = ()
        self._tells = tells
        self._store_away = store_away
        self._told: RouterReport | None = None
        self._report()

    async def run(self) -> None:
        """Goes on until it is cancelled; then hands over what is not yet stored or written, and lets go of both."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for pause, work in (
                    (_SOON, self.exchange_if_due),
                    (_SECONDS, self.follow_settings),
                    (_SECONDS, self.load_again),
                    (_SECONDS, self.compare_shadows),
                ):
                    tasks.create_task(self._repeat(pause, work))
        finally:
            await self._end()

    async def once(self) -> None:
        """Does all there is to do now."""
        await self.follow_settings()
        await self.load_again()
        await self.exchange()
        await self.compare_shadows()

    async def exchange_if_due(self) -> None:
        """Exchanges where it is time to, or there are rewards to learn from; reports at once when a policy is out."""
        routing = self._routing
        rewarded = self._soon and routing.feedback.recorded != self._rewards
        if rewarded or routing.clock() >= self._exchanged + _LATEST:
            await self.exchange()
        elif routing.router.availability.working != self._working:
            self._report()

    async def exchange(self) -> None:
        """Gives the store what was decided, takes what was learned, and reports."""
        self._rewards, self._exchanged = self._routing.feedback.recorded, self._routing.clock()
        try:
            await self._routing.exchange.once(self._exchanged)
        except StoreAway as error:
            if self._store_away is None:
                log.error("%s: %s; decisions go on from what is known, rewards are refused", self._routing.name, error)
            self._store_away = str(error)
        else:
            if self._store_away is not None:
                log.info("%s: the router's store is there again", self._routing.name)
            self._store_away = None
        self._report()

    async def follow_settings(self) -> None:
        """Follows the settings."""
        # Not in a thread: the file is small, and on no disk where there are pods.
        if self._routing.settings.changed():
            self._routing.reconfigure()
            self._report()
            log.info("%s: the router's settings have changed", self._routing.name)

    async def load_again(self) -> None:
        """Tries policies again that couldn't be loaded."""
        routing = self._routing
        if not routing.policies.troubles:
            return
        if await asyncio.to_thread(lambda: routing.policies.retry(routing.clock())):
            routing.reassemble()
            self._report()

    async def compare_shadows(self) -> None:
        """Compares shadows with what was decided."""
        if self._routing.shadows:
            await asyncio.to_thread(self._routing.shadows.compare)

    async def _repeat(self, pause: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(pause)
            try:
                await work()
            except Exception:
                log.exception("%s: a part of the router's upkeep failed; it goes on", self._routing.name)

    async def _end(self) -> None:
        routing = self._routing
        try:
            await self.exchange()
            await routing.store.close()
        finally:
            if self._tallies.reports.get(routing.name) is self._told:
                del self._tallies.reports[routing.name]
            await asyncio.to_thread(routing.decision_log.close)

    def _report(self) -> None:
        routing, router = self._routing, self._routing.router
        shares = router.propensities or [None] * len(router.arms)
        self._working = router.availability.working
        arms: dict[str, ArmReport] = {}
        for index, arm in enumerate(router.arms):
            buckets = router.state.buckets.get(arm.tag, {}).values()
            decided, rewarded, total = (sum(bucket[place] for bucket in buckets) for place in range(3))
            works = router.availability.working[index]
            arms[arm.name] = ArmReport(
                arm.name,
                arm.digest,
                state="Available" if works else "Out",
                detail=None if works else "it failed, and is tried again soon; the server's log says how",
                weight=shares[index],
                decisions=decided,
                rewards=rewarded,
                mean_reward=total / rewarded if rewarded else None,
            )
        for shadow in routing.policies.shadows:
            arms[shadow.name] = ArmReport(shadow.name, shadow.policy.manifest.model_sha256, shadow=True)
        for policy in routing.engine.config.policies:
            if policy.name in routing.policies.troubles:
                trouble = routing.policies.troubles[policy.name]
                arms[policy.name] = ArmReport(policy.name, None, policy.shadow, "NotLoaded", trouble)
        self._told = RouterReport(
            routing.clock(),
            routing.settings.told.router.mode,
            router.settings.freeze,
            self._store_away,
            [arms[policy.name] for policy in routing.engine.config.policies if policy.name in arms],
            (router.state, router.arms) if self._tells else None,
        )
        self._tallies.reports[routing.name] = self._told
