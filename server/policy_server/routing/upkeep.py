"""What a router needs done beside its decisions, off the requests' path."""

import asyncio
import logging

from policy_server.router.errors import StoreAway
from policy_server.router.report import ArmReport, RouterReport
from policy_server.routing.routing import Routing
from policy_server.tallies import Tallies

log = logging.getLogger(__name__)


class Upkeep:
    """Follows the settings, exchanges with the store, tries policies again, writes down, compares, reports.

    Args:
        routing: what is kept up.
        tallies: take the reports.
        pause: seconds between two rounds.
        embedded: whether only this machine has what is learned.
    """

    def __init__(self, routing: Routing, tallies: Tallies, pause: float, *, embedded: bool) -> None:
        self._routing = routing
        self._tallies = tallies
        self._pause = pause
        self._embedded = embedded
        self._store_away: str | None = None
        self._report()

    async def run(self) -> None:
        """Goes on until it is cancelled; then hands over what is not yet stored or written, and lets go of both."""
        try:
            while True:
                await asyncio.sleep(self._pause)
                try:
                    await self.once()
                except Exception:
                    log.exception("%s: the router's upkeep failed; it goes on", self._routing.name)
        finally:
            await self._end()

    async def once(self) -> None:
        """Does all there is to do now."""
        routing, now = self._routing, self._routing.clock()
        if await asyncio.to_thread(routing.settings.changed):
            routing.reconfigure()
            log.info("%s: the router's settings have changed", routing.name)
        if bool(routing.policies.troubles) and await asyncio.to_thread(routing.policies.retry, now):
            await self._exchange()  # what was decided so far is counted by the arms that decided it
            routing.reassemble()
        await self._exchange()
        if routing.shadows:
            await asyncio.to_thread(routing.shadows.compare)
        await asyncio.to_thread(routing.decision_log.write, routing.router.sealer, now)
        self._report()

    async def _exchange(self) -> None:
        try:
            await self._routing.exchange.once(self._routing.clock())
        except StoreAway as error:
            if self._store_away is None:
                log.error("%s: %s; decisions go on from what is known, rewards are refused", self._routing.name, error)
            self._store_away = str(error)
        else:
            if self._store_away is not None:
                log.info("%s: the router's store is there again", self._routing.name)
            self._store_away = None

    async def _end(self) -> None:
        await self._exchange()
        routing = self._routing
        await asyncio.to_thread(routing.decision_log.write, routing.router.sealer, routing.clock())
        routing.decision_log.close()
        await routing.store.close()
        self._tallies.reports.pop(routing.name, None)

    def _report(self) -> None:
        routing, router = self._routing, self._routing.router
        shares = router.propensities or [None] * len(router.arms)
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
        self._tallies.reports[routing.name] = RouterReport(
            routing.clock(),
            routing.settings.told.router.mode,
            router.settings.freeze,
            self._store_away,
            [arms[policy.name] for policy in routing.engine.config.policies if policy.name in arms],
            (router.state, router.arms) if self._embedded else None,
        )
