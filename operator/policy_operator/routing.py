"""What running routers need besides their objects: a password for their store, new settings at once, a memory."""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from policy_operator import kinds, names
from policy_operator.api import PolicyServer
from policy_operator.children import Children
from policy_operator.desired import learned, store
from policy_operator.desired.metadata import Object
from policy_operator.rollout import Failure
from policy_operator.router_status import out_of, router_status, serves, snapshot_of, store_ready
from policy_operator.routers import PAUSE_SECONDS, Routers, pod_to_ask
from policy_operator.server_config import store_of
from policy_operator.status import Judgement, Trouble
from policy_operator.workloads import template_of, workload_of
from policy_operator.workqueue import Key

log = logging.getLogger(__name__)

_PASSWORD_SECONDS = 60.0


@dataclass(frozen=True)
class Tended:
    """What was seen of a router, as the status has it."""

    router: Object | None = None
    out: Mapping[str, Failure] = field(default_factory=dict)
    store: Judgement | None = None
    troubles: tuple[Trouble, ...] = ()


class Routing:
    """Tends the routers of all PolicyServers.

    Args:
        now: returns the seconds of a clock that is never set.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._routers = Routers(now)
        self._passwords: dict[Key, tuple[str | None, float]] = {}

    async def prepare(self, server: PolicyServer, children: Children) -> list[Trouble]:
        """Makes the password of a store that the operator runs, where it may be missing.

        Nobody here may see whether it is there. A store that is ready has it. Should it be deleted then, all that runs
        goes on, and there is a new one when the store needs it.
        """
        shared = store_of(server)
        if shared is None or not shared.own or serves(_first(children.own(kinds.STATEFUL_SET))):
            return []
        uid, tried = self._passwords.get(server.key, (None, 0.0))
        if uid == server.metadata.uid and self._now() - tried < _PASSWORD_SECONDS:
            return []
        troubles = await children.create(store.password(server, secrets.token_urlsafe(32)))
        if not troubles:
            self._passwords[server.key] = server.metadata.uid, self._now()
        return troubles

    async def tend(self, server: PolicyServer, children: Children) -> Tended:
        """Has pods read new settings, asks the router how it is when it is time to, and keeps what it has learned."""
        if not server.is_routed:
            self.forget(server.key)
            return Tended()
        troubles = await self._tell_settings(server, children)
        workload = workload_of(server, children.workloads())
        pod = pod_to_ask(children.pods(), template_of(workload)) if workload else None
        new = await self._routers.ask(server.key, pod)
        if new is not None and (snapshot := snapshot_of(new)) is not None:
            name = names.learned(server.metadata.name)
            former = next((one for one in children.own(kinds.CONFIG_MAP) if one["metadata"]["name"] == name), None)
            whole = learned.completed(snapshot, former, {policy.name for policy in server.policies})
            troubles += (await children.apply([learned.learned(server, whole)]))[1]
        known = self._routers.report(server.key)
        stateful_set = _first(children.own(kinds.STATEFUL_SET))
        return Tended(
            router=router_status(new) if new else None,
            out=out_of(known) if known else {},
            store=store_ready(server, known, stateful_set, children.store_pods()),
            troubles=tuple(troubles),
        )

    def seconds_left(self, server: PolicyServer) -> float | None:
        """In how many seconds to come back to a router: within a minute, for policies may be due to be tried again."""
        return min(PAUSE_SECONDS, self._routers.seconds_left(server.key)) if server.is_routed else None

    def forget(self, key: Key) -> None:
        """Knows nothing of a PolicyServer any more."""
        self._routers.forget(key)
        self._passwords.pop(key, None)

    async def _tell_settings(self, server: PolicyServer, children: Children) -> list[Trouble]:
        name = names.router_settings(server.metadata.name)
        # Not as they were just written, but as others see them now: nodes have been told of them too.
        config_map = next((one for one in children.own(kinds.CONFIG_MAP) if one["metadata"]["name"] == name), None)
        if config_map is None:
            return []
        settings = learned.settings_hash(config_map)
        pods = learned.untold(children.pods(), name, settings)
        if pods:
            self._routers.expect_change(server.key)
        return await children.annotate([learned.told(pod, settings) for pod in pods])


def _first(objects: list[Object]) -> Object | None:
    return next(iter(objects), None)
