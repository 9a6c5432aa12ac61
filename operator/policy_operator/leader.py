"""Elects one writer among the operator's replicas, by the algorithm of Kubernetes' own client-go.

Whoever is named in a Lease and renews it leads. Clocks may differ: a Lease counts as given up when *we* saw no change
of it for its duration, whatever times it holds. The leader stops before that, when it couldn't renew for a while.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from policy_operator.cluster import Cluster
from policy_operator.cluster_errors import ClusterError, Conflict
from policy_operator.desired.metadata import Object
from policy_operator.kinds import LEASE
from policy_operator.settings import LEASE_NAME

log = logging.getLogger(__name__)

LEASE_SECONDS = 15
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0
_RELEASE_SECONDS = 3.0


class Leader:
    """One candidate."""

    def __init__(self, cluster: Cluster, namespace: str, identity: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._identity = identity
        self._observed: Object | None = None
        self._observed_at = 0.0

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs `lead` whenever this candidate is the leader, and cancels it when it no longer is.

        Cancelled itself, it gives the lease up, so that the next leader needn't wait for its end.
        """
        while True:
            await self._acquire()
            log.info("%s leads", self._identity)
            work = asyncio.create_task(lead())
            try:
                await self._renew_while(work)
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await self._release()
            log.warning("%s leads no longer", self._identity)

    async def _acquire(self) -> None:
        waits = False
        while not await self._try():
            if not waits and self._observed is not None:
                log.info("%s waits; the leader is %s", self._identity, self._holder())
                waits = True
            await asyncio.sleep(RETRY_SECONDS * random.uniform(1, 2.2))  # noqa: S311  no secret; client-go's jitter

    async def _renew_while(self, work: asyncio.Task[None]) -> None:
        """Returns when the lease is lost; raises what `work` raised."""
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(RENEW_SECONDS):
                    while not await self._try():
                        if self._observed is not None and self._holder() != self._identity:
                            return
                        await asyncio.sleep(RETRY_SECONDS)
                done, _ = await asyncio.wait([work], timeout=RETRY_SECONDS)
                if done:
                    work.result()
                    return

    async def _try(self) -> bool:
        """Whether the lease is ours now."""
        try:
            return await self._take_or_renew()
        except Conflict:
            return False  # another candidate was faster
        except ClusterError as error:
            log.warning("the lease: %s", error)
            return False

    async def _take_or_renew(self) -> bool:
        lease = await self._cluster.get(LEASE, self._namespace, LEASE_NAME)
        now = _now()
        if lease is None:
            spec = self._spec(now, now, 0)
            metadata = {"name": LEASE_NAME, "namespace": self._namespace}
            self._observe(
                await self._cluster.create(
                    {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata, "spec": spec}
                )
            )
            return True
        if self._observed is None or lease["spec"] != self._observed["spec"]:
            self._observe(lease)
        spec = lease["spec"]
        holder = spec.get("holderIdentity")
        if holder == self._identity:
            new = self._spec(spec["acquireTime"], now, spec.get("leaseTransitions", 0))
        elif holder and time.monotonic() - self._observed_at < spec.get("leaseDurationSeconds", LEASE_SECONDS):
            return False
        else:
            new = self._spec(now, now, spec.get("leaseTransitions", 0) + 1)
        self._observe(await self._cluster.replace(lease | {"spec": new}))
        return True

    async def _release(self) -> None:
        """Gives the lease up if it is ours; else, or if that fails, it just ends."""
        if self._observed is None or self._holder() != self._identity:
            return
        now = _now()
        spec = self._observed["spec"] | {"holderIdentity": "", "renewTime": now, "leaseDurationSeconds": 1}
        with suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._cluster.replace(self._observed | {"spec": spec})
                log.info("%s gave the lease up", self._identity)
        self._observed = None

    def _observe(self, lease: Object) -> None:
        self._observed, self._observed_at = lease, time.monotonic()

    def _holder(self) -> str:
        holder: str = self._observed["spec"].get("holderIdentity", "") if self._observed else ""
        return holder

    def _spec(self, acquired: str, renewed: str, transitions: int) -> Object:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": acquired,
            "renewTime": renewed,
            "leaseTransitions": transitions,
        }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
