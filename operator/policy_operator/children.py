"""Makes the children of one PolicyServer what they should be, and touches nothing that isn't its own."""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TypeVar

from policy_operator import kinds, names
from policy_operator.cluster import Cluster
from policy_operator.cluster_errors import Conflict, NotFound, Refused
from policy_operator.desired.metadata import Object
from policy_operator.difference import difference, is_as, signed
from policy_operator.informer import Informer
from policy_operator.kinds import Kind
from policy_operator.ray_rollout import is_of_ray
from policy_operator.status import Trouble

log = logging.getLogger(__name__)

Caches = Mapping[Kind, Informer]
Result = TypeVar("Result")

_PRUNED_AT_ONCE = (kinds.INGRESS, kinds.DISRUPTION_BUDGET, kinds.STATEFUL_SET, kinds.SERVICE)
"""What may become superfluous while its PolicyServer lives, besides ConfigMaps and what makes pods."""
_NEEDED_BY_PODS = (kinds.SERVICE_ACCOUNT, kinds.CONFIG_MAP)


class Children:
    """The children of the PolicyServer with this uid, as they are now."""

    def __init__(self, cluster: Cluster, caches: Caches, namespace: str, server: str, uid: str) -> None:
        self._cluster = cluster
        self._caches = caches
        self._namespace = namespace
        self._server = server
        self._uid = uid

    def own(self, kind: Kind) -> list[Object]:
        """Those of a kind that it owns."""
        return [one for one in self._labelled(kind) if self._is_own(one)]

    def workloads(self) -> list[Object]:
        """What makes its pods: after a change of the engine there are two for a while."""
        return [one for kind in kinds.WORKLOADS for one in self.own(kind)]

    def pods(self) -> list[Object]:
        """The pods of its Deployment's ReplicaSets and of its RayService's clusters."""
        owners = {one["metadata"]["uid"] for one in self.replica_sets()}
        return [pod for pod in self._labelled(kinds.POD) if _owner(pod) in owners or is_of_ray(pod, self._server)]

    def replica_sets(self) -> list[Object]:
        """The ReplicaSets of its Deployment."""
        owners = {one["metadata"]["uid"] for one in self.own(kinds.DEPLOYMENT)}
        return [one for one in self._labelled(kinds.REPLICA_SET) if _owner(one) in owners]

    def store_pods(self) -> list[Object]:
        """The pods of its store."""
        owners = {one["metadata"]["uid"] for one in self.own(kinds.STATEFUL_SET)}
        return [pod for pod in self._labelled(kinds.POD) if _owner(pod) in owners]

    async def apply(self, desired: Sequence[Object]) -> tuple[dict[Kind, Object], list[Trouble]]:
        """Writes what isn't as desired; returns the objects as they are then, and what could not be written."""
        # A pod that is made before its ServiceAccount is refused, and tried again much later.
        order = sorted(desired, key=lambda one: _kind(one) not in _NEEDED_BY_PODS)
        first = sum(_kind(one) in _NEEDED_BY_PODS for one in desired)
        results = await _all(self._apply(one) for one in order[:first])
        if not any(isinstance(result, Trouble) for result in results):
            results += await _all(self._apply(one) for one in order[first:])
        troubles = [result for result in results if isinstance(result, Trouble)]
        return {_kind(result): result for result in results if not isinstance(result, Trouble)}, troubles

    async def prune(self, desired: Iterable[Object], workload: Object | None, *, replaced: bool) -> None:
        """Deletes what was desired once, unless pods, or a ReplicaSet, still need it.

        Args:
            desired: what there should be.
            workload: what makes the pods, as it is now.
            replaced: whether it has taken over from what made them before.
        """
        kept = {(_kind(one), one["metadata"]["name"]) for one in desired}
        # What was learned, nobody can make anew.
        kept.add((kinds.CONFIG_MAP, names.learned(self._server)))
        # Until its controller has seen it, there may be ReplicaSets that we don't know.
        observed = workload is not None and _is_observed(workload)
        pruned = (*_PRUNED_AT_ONCE, *([kinds.CONFIG_MAP] if observed else ()), *(kinds.WORKLOADS if replaced else ()))
        makes_pods = [one["spec"]["template"] for one in self.replica_sets()]
        for one in (*makes_pods, *self.pods()):
            for volume in one["spec"].get("volumes", ()):
                source = volume.get("configMap", {})
                if not source.get("optional"):
                    kept.add((kinds.CONFIG_MAP, source.get("name")))
        for kind in pruned:
            for one in self.own(kind):
                if (kind, one["metadata"]["name"]) not in kept and "deletionTimestamp" not in one["metadata"]:
                    await self.delete(kind, one, "no longer needed")

    async def create(self, new: Object) -> list[Trouble]:
        """Creates what can't be looked at, if it isn't there."""
        kind, name = new["kind"], new["metadata"]["name"]
        try:
            await self._cluster.create(new)
        except Conflict:
            return []
        except Refused as error:
            return [Trouble(kinds.SECRET, "Refused", f"{kind} {name} can't be written: {error}")]
        log.info("created %s %s/%s", kind, self._namespace, name)
        return []

    async def annotate(self, pods: Sequence[Object]) -> list[Trouble]:
        """Writes annotations of pods, those that are gone meanwhile left aside."""
        return [result for result in await _all(self._annotate(pod) for pod in pods) if result is not None]

    async def delete(self, kind: Kind, live: Object, why: str) -> None:
        """Deletes an object, and says so."""
        await self._cluster.delete(kind, live)
        log.info("deleted %s %s/%s: %s", kind, self._namespace, live["metadata"]["name"], why)

    async def _annotate(self, pod: Object) -> Trouble | None:
        try:
            await self._cluster.apply(pod)
        except (NotFound, Conflict):
            return None
        except Refused as error:
            return Trouble(kinds.POD, "Refused", f"Pod {pod['metadata']['name']} can't be annotated: {error}")
        return None

    async def _apply(self, desired: Object) -> Object | Trouble:
        kind, name = _kind(desired), desired["metadata"]["name"]
        live = self._caches[kind].children(self._namespace, self._server).get(name)
        if live is None:
            # Without our labels it isn't in the cache: it may be somebody else's.
            live = await self._cluster.get(kind, self._namespace, name)
        if live is not None and not self._is_own(live):
            return Trouble(
                kind, "NameTaken", f"{kind} {name} exists and isn't this PolicyServer's; rename or delete one of them"
            )
        if live is not None and "deletionTimestamp" in live["metadata"]:
            return live  # once it is gone, it will be made anew
        wanted = signed(desired)
        if live is not None and is_as(wanted, live):
            return live
        why = "was missing" if live is None else difference(desired, live) or "something is no longer wanted"
        try:
            applied = await self._cluster.apply(wanted)
        except Refused as error:
            return Trouble(kind, "Refused", f"{kind} {name} can't be written: {error}")
        if live is None or applied["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            log.info("applied %s %s/%s: %s", kind, self._namespace, name, why)
        return applied

    def _labelled(self, kind: Kind) -> list[Object]:
        return list(self._caches[kind].children(self._namespace, self._server).values())

    def _is_own(self, one: Object) -> bool:
        return _owner(one) == self._uid


async def _all(writes: Iterable[Awaitable[Result]]) -> list[Result]:
    """Writes all at once, and raises the first error when all have ended: none is still written afterwards."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _owner(one: Object) -> str | None:
    for reference in one["metadata"].get("ownerReferences", []):
        if reference.get("controller"):
            uid: str = reference["uid"]
            return uid
    return None


def _is_observed(workload: Object) -> bool:
    seen: int = workload.get("status", {}).get("observedGeneration", 0)
    return seen >= int(workload["metadata"]["generation"])


def _kind(one: Object) -> Kind:
    return kinds.BY_NAME[one["kind"]]
