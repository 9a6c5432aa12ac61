"""Keeps a copy of some objects up to date, and tells who should know when one changes."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping

from policy_operator import kinds
from policy_operator.cluster import Cluster, Selection
from policy_operator.cluster_errors import ClusterError, Expired, NotFound
from policy_operator.desired.metadata import INSTANCE, Object

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_ABSENT_KIND_PAUSE = 60.0
_SILENCE = 150.0


class Informer:
    """A list, then a watch that goes on where it broke off, and a list again where it can't.

    Whatever a list shows to have changed, come or gone since the last is reported like an event.
    """

    def __init__(self, cluster: Cluster, selection: Selection, changed: Callable[[Object], None]) -> None:
        self.selection = selection
        self.synced = asyncio.Event()
        """Set once the copy is complete, or known to stay empty."""
        self.kind_exists = True
        self._cluster = cluster
        self._changed = changed
        self._objects: dict[tuple[str, str], Object] = {}
        self._by_instance: dict[tuple[str, str], dict[str, Object]] = {}
        self._alive = time.monotonic()

    def children(self, namespace: str, server: str) -> Mapping[str, Object]:
        """The objects that carry the labels of a PolicyServer, by name."""
        return self._by_instance.get((namespace, server), {})

    def is_stale(self) -> bool:
        """Whether nothing was heard for so long, neither events nor errors, that this can't be right any more."""
        longest = _SILENCE + (0 if self.kind_exists else _ABSENT_KIND_PAUSE)
        return time.monotonic() - self._alive > longest

    async def run(self) -> None:
        """Watches until cancelled. The API server may come and go."""
        pause, version = _FIRST_PAUSE, None
        while True:
            try:
                if version is None:
                    version = await self._list()
                async for event in self._cluster.watch(self.selection, version):
                    self._alive, pause = time.monotonic(), _FIRST_PAUSE
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type == "DELETED":
                        self._remove(event.object)
                    elif event.type != "BOOKMARK":
                        self._store(event.object)
                continue  # the API server ends every watch after a while
            except Expired:
                log.debug("%s: listing again", self.selection.kind.plural)
                version = None
            except NotFound:
                # The kind isn't there, or the API server, just started, doesn't know it yet.
                version, pause = None, self._without_kind(pause)
            except ClusterError as error:
                # Once is enough, however often it is tried until the API server is back.
                level = logging.WARNING if pause == _FIRST_PAUSE else logging.DEBUG
                log.log(level, "watching %s: %s", self.selection.kind.plural, error)
            self._alive = time.monotonic()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _list(self) -> str:
        objects, version = await self._cluster.list(self.selection)
        kind = self.selection.kind
        # What comes in a list doesn't say what it is.
        objects = [{"apiVersion": kind.api_version, "kind": kind.name} | one for one in objects]
        self._alive, self.kind_exists = time.monotonic(), True
        listed = {_name(one) for one in objects}
        for name in self._objects.keys() - listed:
            self._remove(self._objects[name])
        for one in objects:
            known = self._objects.get(_name(one))
            if known is None or known["metadata"]["resourceVersion"] != one["metadata"]["resourceVersion"]:
                self._store(one)
        self.synced.set()
        return version

    def _without_kind(self, pause: float) -> float:
        if self.selection.kind not in kinds.OPTIONAL:
            log.warning("the API server doesn't know %s", self.selection.kind.plural)
            return pause
        for one in list(self._objects.values()):
            self._remove(one)
        self.kind_exists = False
        self.synced.set()
        return _ABSENT_KIND_PAUSE

    def _store(self, new: Object) -> None:
        new["metadata"].pop("managedFields", None)  # the largest part, and never looked at
        if self.selection.metadata_only:
            new["metadata"].pop("annotations", None)  # kubectl keeps a copy of all the data here
        old = self._objects.get(_name(new))
        self._objects[_name(new)] = new
        if old is not None:
            self._unindex(old)
        for instance in _instance(new):
            self._by_instance.setdefault(instance, {})[new["metadata"]["name"]] = new
        if old is not None and [*_instance(old)] != [*_instance(new)]:
            self._changed(old)  # whoever had it has lost it
        self._changed(new)

    def _remove(self, old: Object) -> None:
        self._unindex(self._objects.pop(_name(old), old))
        self._changed(old)

    def _unindex(self, old: Object) -> None:
        for instance in _instance(old):
            children = self._by_instance.get(instance, {})
            children.pop(old["metadata"]["name"], None)
            if not children:
                self._by_instance.pop(instance, None)


def _name(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], one["metadata"]["name"]


def _instance(one: Object) -> Iterator[tuple[str, str]]:
    """Namespace and name of the PolicyServer whose labels the object carries."""
    server = one["metadata"].get("labels", {}).get(INSTANCE)
    if server:
        yield one["metadata"]["namespace"], server
