"""Makes the cluster what one PolicyServer says: observe, compute what should be, apply, prune, tell."""

import logging
from collections.abc import Callable
from datetime import datetime

from policy_operator import kinds, metrics
from policy_operator.api import PolicyServer, parse
from policy_operator.children import Caches, Children
from policy_operator.claims import Claim, UrlPaths
from policy_operator.cluster import Cluster, Selection
from policy_operator.cluster_errors import ClusterError, NotFound
from policy_operator.desired import Desired, desired_objects
from policy_operator.desired.configuration import digests_name
from policy_operator.desired.metadata import Object
from policy_operator.desired.models import key_of_model, model_keys
from policy_operator.desired.route import routed_path
from policy_operator.desired.store import uses_store
from policy_operator.errors import InvalidPolicyServerError
from policy_operator.pinning import mismatched, pinned
from policy_operator.retries import attempt
from policy_operator.rollout import Rollout
from policy_operator.routing import Routing
from policy_operator.server_config import ResolvedSchema, resolve_schema, url_path
from policy_operator.settings import Settings
from policy_operator.status import Seen, Trouble, status_of
from policy_operator.workloads import state_of, template_of, workload_kind
from policy_operator.workqueue import Key

log = logging.getLogger(__name__)

_RETRY_TROUBLE = 15.0
"""Seconds; nothing tells us when an object that isn't ours goes away, or a quota is raised."""
NO_KUBERAY = Trouble(
    kinds.RAY_SERVICE,
    "KubeRayMissing",
    "the cluster has no kind RayService, which spec.ray.workers needs: install KubeRay's operator, v1.7 or newer (its"
    " Helm chart is kuberay-operator), or remove spec.ray.workers to serve by Ray in one pod",
)


class Reconciler:
    """Looks at one PolicyServer at a time.

    What it remembers of all of them are only their url paths, the ConfigMaps they name, the digests it has pinned, and
    what their routers said last.
    """

    def __init__(
        self,
        cluster: Cluster,
        caches: Caches,
        settings: Settings,
        enqueue: Callable[[Key], None],
        now: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._settings = settings
        self._enqueue = enqueue
        self._now = now
        self._paths = UrlPaths()
        self._readers: dict[Key, set[Key]] = {}
        self._pins: dict[Key, tuple[str, dict[str, str]]] = {}
        self._routing = Routing()

    async def enqueue_all(self) -> None:
        """Has every PolicyServer looked at, after noting all their url paths: only who knows them all can judge."""
        servers, _ = await self._cluster.list(Selection(kinds.POLICY_SERVER, self._settings.namespace))
        for live in servers:
            key = live["metadata"]["namespace"], live["metadata"]["name"]
            try:
                path: str | None = url_path(*await self._resolved(key, live))
            except InvalidPolicyServerError:
                path = self._path_of_last_valid(key)
            except ClusterError as error:  # what can't be read for one must not keep us from the others
                log.warning("PolicyServer %s/%s: reading its schema: %s", *key, error)
                path = None if key in self._paths.known() else self._path_of_last_valid(key)
            if path is not None:
                self._paths.claim(key, path, live["metadata"]["creationTimestamp"])
            self._enqueue(key)
        # Those whose end nobody told us.
        for key in self._paths.known() - {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in servers}:
            self._enqueue(key)

    def config_map_changed(self, config_map: Object) -> None:
        """Has the PolicyServers looked at whose schema is in this ConfigMap."""
        for key in self._readers.get((config_map["metadata"]["namespace"], config_map["metadata"]["name"]), ()):
            self._enqueue(key)

    async def reconcile(self, key: Key) -> float | None:
        """Does all there is to do for one PolicyServer now; returns in how many seconds to come back, if at all."""
        live = await self._cluster.get(kinds.POLICY_SERVER, *key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            self._forget(key)  # its children are Kubernetes' to collect
            return None
        children = Children(self._cluster, self._caches, *key, live["metadata"]["uid"])
        again: float | None = None
        try:
            server, resolved = await self._resolved(key, live)
            path = url_path(server, resolved)
        except InvalidPolicyServerError as error:
            seen = self._last_valid(key, children, error)
        else:
            rivals = self._paths.claim(key, path, live["metadata"]["creationTimestamp"])
            try:
                seen = await self._realise(key, server, resolved, path, children)
            finally:
                for rival in rivals:
                    self._enqueue(rival)
            again = self._routing.seconds_left(server)
        for trouble in seen.troubles:
            metrics.ERRORS.labels(trouble.reason).inc()
        await self._tell(live, seen)
        return min(_RETRY_TROUBLE, again or _RETRY_TROUBLE) if seen.troubles else again

    async def _realise(
        self, key: Key, server: PolicyServer, resolved: ResolvedSchema, path: str, children: Children
    ) -> Seen:
        holder = self._paths.holder(path)
        pods = children.pods()
        pins = self._pinned(key, server, children, pods)
        kind = workload_kind(server)
        tried = [
            attempt(template_of(one), state_of(one, key[1], pods), pods, self._now()) for one in children.own(kind)
        ]
        given = Desired(
            pins=pins,
            attempt=tried[0] if tried else None,
            store_in_use=uses_store(pods, key[1]),
            routed=holder.key == key,
            monitored=self._caches[kinds.SERVICE_MONITOR].kind_exists,
            kuberay=self._caches[kinds.RAY_SERVICE].kind_exists,
        )
        desired = desired_objects(server, resolved, self._settings, given)
        troubles = await self._routing.prepare(server, children)
        if kind == kinds.RAY_SERVICE and not given.kuberay:
            troubles.append(NO_KUBERAY)
        applied, not_applied = await children.apply(desired)
        for pod in mismatched(pods, pins):
            await children.delete(kinds.POD, pod, "its model isn't the one that was first served from the URI")
        workload = applied.get(kind)
        rollout = state_of(workload, key[1], pods) if workload is not None else None
        await children.prune(desired, workload, replaced=rollout is not None and rollout.complete)
        tended = await self._routing.tend(server, children)
        return Seen(
            url_path=path,
            path_holder=None if holder.key == key else _holder_of(path, holder),
            address=_address(applied.get(kinds.INGRESS)),
            host=self._host(key),
            troubles=(*troubles, *not_applied, *tended.troubles),
            rollout=rollout or _rollout(key, children, pods),
            router=tended.router,
            out=tended.out,
            store=tended.store,
        )

    def _last_valid(self, key: Key, children: Children, error: InvalidPolicyServerError) -> Seen:
        """Leaves all as it is: a mistake in a new spec must not end what the last one made."""
        ingresses = children.own(kinds.INGRESS)
        return Seen(
            problems=error.problems,
            url_path=self._path_of_last_valid(key),
            address=_address(ingresses[0]) if ingresses else None,
            host=self._host(key),
            rollout=_rollout(key, children, children.pods()),
        )

    async def _resolved(self, key: Key, live: Object) -> tuple[PolicyServer, ResolvedSchema]:
        server = parse(live)
        source = server.spec.schema_from
        config_map: Object | None = None
        self._reads_nothing(key)
        if source is not None:
            named = key[0], source.config_map_key_ref.name
            # Noted before it is read: a change in between is not missed.
            self._readers.setdefault(named, set()).add(key)
            config_map = await self._cluster.get(kinds.CONFIG_MAP, *named)
        return server, resolve_schema(server, config_map and config_map.get("data", {}))

    def _pinned(self, key: Key, server: PolicyServer, children: Children, pods: list[Object]) -> dict[str, str]:
        uid = server.metadata.uid or ""
        known_uid, known = self._pins.get(key, ("", {}))
        if known_uid != uid:  # after a restart, the ConfigMap remembers
            name = digests_name(server.metadata.name)
            known = next(
                (one.get("data", {}) for one in children.own(kinds.CONFIG_MAP) if one["metadata"]["name"] == name), {}
            )
        templates = [one["spec"]["template"] for one in children.replica_sets()]
        in_use = {key for one in (*templates, *pods) for key in model_keys(one).values()}
        pins = pinned(known, pods, in_use | {key_of_model(policy) for policy in server.policies})
        self._pins[key] = uid, pins
        return pins

    async def _tell(self, live: Object, seen: Seen) -> None:
        status = status_of(live, seen, self._now())
        ready = status["conditions"][-1]
        metrics.READINESS.note((live["metadata"]["namespace"], live["metadata"]["name"]), ready["status"] == "True")
        if status == live.get("status"):
            return
        metadata = {name: live["metadata"][name] for name in ("namespace", "name", "uid")}
        head = {"apiVersion": kinds.POLICY_SERVER.api_version, "kind": kinds.POLICY_SERVER.name}
        try:
            await self._cluster.apply(head | {"metadata": metadata, "status": status}, status=True)
        except NotFound:
            return  # deleted meanwhile
        former = [one for one in live.get("status", {}).get("conditions", []) if one["type"] == ready["type"]]
        if [ready["reason"]] != [one["reason"] for one in former]:
            words = metadata["namespace"], metadata["name"], ready["status"], ready["reason"], ready["message"]
            log.info("PolicyServer %s/%s: Ready %s, %s: %s", *words)

    def _path_of_last_valid(self, key: Key) -> str | None:
        ingresses = self._caches[kinds.INGRESS].children(*key)
        return next((path for one in ingresses.values() if (path := routed_path(one))), None)

    def _host(self, key: Key) -> str:
        namespace, name = key
        domain = f".{self._settings.cluster_domain}" if self._settings.cluster_domain else ""
        return f"{name}.{namespace}.svc{domain}"

    def _forget(self, key: Key) -> None:
        self._reads_nothing(key)
        self._pins.pop(key, None)
        self._routing.forget(key)
        metrics.READINESS.forget(key)
        for rival in self._paths.release(key):
            self._enqueue(rival)

    def _reads_nothing(self, key: Key) -> None:
        for config_map in [one for one, readers in self._readers.items() if key in readers]:
            self._readers[config_map].discard(key)
            if not self._readers[config_map]:
                del self._readers[config_map]


def _rollout(key: Key, children: Children, pods: list[Object]) -> Rollout | None:
    """What made the pods so far, where what should make them isn't there."""
    return next((state_of(one, key[1], pods) for one in children.workloads()), None)


def _holder_of(path: str, claim: Claim) -> str:
    name = "/".join(claim.key)
    return name if claim.path == path else f"{name}, at {claim.path},"


def _address(ingress: Object | None) -> str | None:
    balancers = (ingress or {}).get("status", {}).get("loadBalancer", {}).get("ingress", [])
    if not balancers:
        return None
    host: str | None = balancers[0].get("hostname")
    ip: str = balancers[0].get("ip", "")
    return host or (f"[{ip}]" if ":" in ip else ip) or None
