"""kopf's side: it starts and stops the operator, watches PolicyServers, and answers the liveness probe.

Its handlers are doors, not rooms: what a PolicyServer needs is decided by `reconcile`, from a queue.
"""

import asyncio
import itertools
import logging
import signal
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import kopf

from policy_operator import kinds, names
from policy_operator.cluster import Cluster
from policy_operator.runtime import Operator
from policy_operator.settings import Settings

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0


class EndlessBackoffs:
    """The API server may be away for as long as it likes. Permissions were asked for before, so 403 isn't for ever."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.2, 0.5, 1.0, 2.0), itertools.repeat(3.0))


def registry(cluster: Cluster, settings: Settings) -> kopf.OperatorRegistry:
    """The handlers of one operator."""
    handlers = kopf.OperatorRegistry()  # an empty one: kopf's own ways to log in would load a second client
    operator = Operator(cluster, settings)

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(**asdict(await cluster.connection()))

    @kopf.on.startup(registry=handlers)
    async def start(**_: Any) -> None:
        operator.start()

    @kopf.on.cleanup(registry=handlers)
    async def stop(**_: Any) -> None:
        await operator.stop()

    @kopf.on.probe(registry=handlers, id="operator")
    async def probe(**_: Any) -> str:
        if ailment := operator.ailment():
            raise kopf.PermanentError(ailment)  # answers 500
        return "ok"

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=handlers)
    async def changed(namespace: str | None, name: str, **_: Any) -> None:
        operator.changed(str(namespace), name)

    return handlers


def kopf_settings() -> kopf.OperatorSettings:
    """How kopf watches: nothing but what it is told to, patiently, and without writing anything."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.inactivity_timeout = 90
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = EndlessBackoffs()
    settings.queueing.exit_timeout = 0.1
    settings.queueing.idle_timeout = 1.0
    settings.process.ultimate_exiting_timeout = 20
    return settings


async def _wait_for_kind(cluster: Cluster) -> None:
    """Kopf asks once what kinds there are. An API server that has just started may not know ours yet."""
    while not await cluster.serves(kinds.POLICY_SERVER):  # noqa: ASYNC110  the API server tells nobody
        await asyncio.sleep(_PAUSE_SECONDS)


async def serve(cluster: Cluster, settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    for noisy in ("kopf", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    while True:
        try:
            await _wait_for_kind(cluster)
            await kopf.operator(
                registry=registry(cluster, settings),
                settings=kopf_settings(),
                clusterwide=settings.namespace is None,
                namespaces=[settings.namespace] if settings.namespace else [],
                liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz",
            )
        except Exception as error:  # noqa: BLE001  some answers of an API server that just starts are the end for kopf
            log.error("watching PolicyServers: %s; starting again", error)
            # kopf's own are of no use any more: until it starts again, a signal ends the process.
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().remove_signal_handler(number)
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return
