"""The running operator: its caches, its queue and its lease, from start to stop."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from policy_operator import kinds, metrics
from policy_operator.cluster import Cluster, Selection
from policy_operator.cluster_errors import ClusterError
from policy_operator.desired.metadata import INSTANCE, MANAGED_BY, Object
from policy_operator.informer import Informer
from policy_operator.leader import Leader
from policy_operator.reconcile import Reconciler
from policy_operator.settings import Settings
from policy_operator.workqueue import WorkQueue

log = logging.getLogger(__name__)

_LAST_WORK_SECONDS = 5.0
_LIST_AGAIN_SECONDS = 1.0


class Operator:
    """Every replica watches; the one that leads writes."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._settings = settings
        self._queue = WorkQueue()
        ours = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())
        self._caches = {
            kind: Informer(cluster, Selection(kind, settings.namespace, ours), self._child_changed)
            for kind in kinds.WATCHED
        }
        self._reconciler = Reconciler(cluster, self._caches, settings, self._queue.add, lambda: datetime.now(UTC))
        # A schema may be in any ConfigMap. Their names and versions are enough to know that one changed.
        every_config_map = Selection(kinds.CONFIG_MAP, settings.namespace, metadata_only=True)
        self._informers = [
            *self._caches.values(),
            Informer(cluster, every_config_map, self._reconciler.config_map_changed),
        ]
        self._leader = Leader(cluster, settings.operator_namespace, settings.identity)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts to watch, and to stand for election."""
        self._tasks = [_start(informer.run()) for informer in self._informers]
        self._tasks.append(_start(self._leader.run(self._lead)))

    async def stop(self) -> None:
        """Finishes what is being written, gives the lease up and ends."""
        await self._queue.close(_LAST_WORK_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def changed(self, namespace: str, name: str) -> None:
        """Takes note that a PolicyServer came, changed or went."""
        self._queue.add((namespace, name))

    def ailment(self) -> str | None:
        """What keeps the operator from its work and won't pass by itself."""
        for informer in self._informers:
            if informer.is_stale():
                return f"nothing is heard of {informer.selection.kind.plural}"
        if any(task.done() for task in self._tasks):
            return "a part of the operator has ended"
        return "a PolicyServer takes too long" if self._queue.is_stuck() else None

    async def _lead(self) -> None:
        with metrics.leading(self._queue.depth, self._queue.oldest_seconds):
            for informer in self._informers:
                await informer.synced.wait()
            # Before all url paths are known, a path might go to the younger of two that want it.
            await self._look_at_all()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._resync())
                for _ in range(self._settings.workers):
                    group.create_task(self._queue.work(self._reconciler.reconcile))

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        while True:
            try:
                await self._reconciler.enqueue_all()
            except ClusterError as error:
                log.warning("listing the PolicyServers: %s", error)
                await asyncio.sleep(_LIST_AGAIN_SECONDS)
            else:
                return

    def _child_changed(self, child: Object) -> None:
        server = child["metadata"].get("labels", {}).get(INSTANCE)
        if server:
            self._queue.add((child["metadata"]["namespace"], server))


def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a part of the operator has ended", exc_info=error)
