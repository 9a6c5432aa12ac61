"""What the operator does with all PolicyServers, and with the children of one, when something can't be done."""

import asyncio
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from policy_operator import kinds, runtime
from policy_operator.children import Children
from policy_operator.cluster import Cluster, Selection
from policy_operator.cluster_errors import Refused, Unavailable
from policy_operator.informer import Informer
from policy_operator.kinds import Kind
from policy_operator.reconcile import Reconciler
from policy_operator.runtime import Operator
from policy_operator.settings import Settings
from policy_operator.workqueue import Key
from tests.unit.operator_core.objects import Object

FROM_TEXTS: Any = {"schemaFrom": {"configMapKeyRef": {"name": "texts", "key": "schema.yaml"}}, "schema": None}


def server(name: str, created: int = 1, **spec: Any) -> Object:
    simplest = {
        "modelUri": "https://models.example/mouse.zip",
        "schema": {"observations": [{"name": "row", "type": "float"}]},
        "auth": "none",
    }
    made = {field: value for field, value in (simplest | spec).items() if value is not None}
    created_at = f"2026-01-0{created}T00:00:00Z"
    metadata = {"name": name, "namespace": "cats", "uid": name, "creationTimestamp": created_at, "generation": 1}
    head = {"apiVersion": kinds.POLICY_SERVER.api_version, "kind": kinds.POLICY_SERVER.name}
    return head | {"metadata": metadata, "spec": made}


class FakeCluster:
    """Holds PolicyServers, takes what is written, and refuses what a test says."""

    def __init__(self, *servers: Object) -> None:
        self.servers = {one["metadata"]["name"]: one for one in servers}
        self.written: list[Object] = []
        self.unreadable: Exception | None = None
        self.lists: list[Exception] = []
        self.before_write: Callable[[Object], Any] | None = None

    async def list(self, selection: Selection) -> tuple[list[Object], str]:
        if self.lists:
            raise self.lists.pop(0)
        return deepcopy([*self.servers.values()]), "1"

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        if kind == kinds.CONFIG_MAP and name == "texts" and self.unreadable:
            raise self.unreadable
        return deepcopy(self.servers.get(name)) if kind == kinds.POLICY_SERVER else None

    async def apply(self, wanted: Object, *, status: bool = False) -> Object:
        if self.before_write is not None:
            await self.before_write(wanted)
        self.written.append(wanted)
        applied = deepcopy(wanted)
        applied["metadata"] |= {"resourceVersion": "1", "generation": 1}
        return applied

    def route(self, name: str) -> Object:
        """The newest RouteReady that was told of a PolicyServer."""
        told = [one["status"] for one in self.written if "status" in one and one["metadata"]["name"] == name]
        found: Object = next(one for one in told[-1]["conditions"] if one["type"] == "RouteReady")
        return found

    def routed(self) -> Sequence[str]:
        return [one["metadata"]["name"] for one in self.written if one["kind"] == kinds.INGRESS.name]


def reconciler(fake: FakeCluster) -> tuple[Reconciler, list[Key]]:
    cluster, enqueued = cast("Cluster", fake), list[Key]()
    caches = {kind: Informer(cluster, Selection(kind), lambda _: None) for kind in kinds.WATCHED}
    return Reconciler(cluster, caches, Settings(), enqueued.append, lambda: datetime(2026, 1, 9, tzinfo=UTC)), enqueued


def test_a_config_map_that_cannot_be_read_keeps_nobody_else_from_being_looked_at() -> None:
    fake = FakeCluster(server("a", **FROM_TEXTS), server("b"))
    fake.unreadable = Refused("configmaps is forbidden")
    tested, enqueued = reconciler(fake)
    asyncio.run(tested.enqueue_all())
    assert enqueued == [("cats", "a"), ("cats", "b")]
    assert tested._paths.known() == {("cats", "b")}


def test_a_config_map_that_cannot_be_read_any_more_costs_nobody_their_path() -> None:
    fake = FakeCluster(server("a", **FROM_TEXTS, urlPath="zoo"))
    tested, _ = reconciler(fake)
    tested._paths.claim(("cats", "a"), "zoo", "1")
    fake.unreadable = Refused("configmaps is forbidden")
    asyncio.run(tested.enqueue_all())
    assert tested._paths.holder("zoo").key == ("cats", "a")


def test_nothing_is_kept_of_config_maps_that_nobody_reads() -> None:
    async def test() -> None:
        fake = FakeCluster(server("a", **FROM_TEXTS))
        tested, enqueued = reconciler(fake)
        await tested.enqueue_all()
        assert tested._readers == {("cats", "texts"): {("cats", "a")}}
        fake.servers = {}
        await tested.reconcile(("cats", "a"))
        assert tested._readers == {}
        tested.config_map_changed({"metadata": {"namespace": "cats", "name": "texts"}})
        assert enqueued == [("cats", "a")]

    asyncio.run(test())


def test_a_path_below_an_elders_gets_no_route_until_the_elder_goes() -> None:
    async def test() -> None:
        fake = FakeCluster(server("younger", 2, urlPath="team/m/predict"), server("elder", 1, urlPath="/team/m/"))
        tested, enqueued = reconciler(fake)
        await tested.enqueue_all()
        await tested.reconcile(("cats", "younger"))
        await tested.reconcile(("cats", "elder"))
        assert fake.routed() == ["elder"]
        route = fake.route("younger")
        assert (route["status"], route["reason"]) == ("False", "UrlPathTaken")
        assert "PolicyServer cats/elder, at team/m, has the url path team/m/predict;" in route["message"]
        del fake.servers["elder"]
        enqueued.clear()
        await tested.reconcile(("cats", "elder"))
        assert enqueued == [("cats", "younger")]
        await tested.reconcile(("cats", "younger"))
        assert fake.routed() == ["elder", "younger"]

    asyncio.run(test())


def test_no_write_goes_on_after_one_has_failed() -> None:
    async def test() -> None:
        fake = FakeCluster()
        cluster = cast("Cluster", fake)
        caches = {kind: Informer(cluster, Selection(kind), lambda _: None) for kind in kinds.WATCHED}

        async def before_write(wanted: Object) -> None:
            if wanted["metadata"]["name"] == "fails":
                raise Unavailable("away")
            await asyncio.sleep(0.01)

        fake.before_write = before_write
        service = {"apiVersion": "v1", "kind": "Service"}
        desired = [service | {"metadata": {"name": name, "namespace": "cats"}} for name in ("fails", "slow")]
        with pytest.raises(Unavailable, match="away"):
            await Children(cluster, caches, "cats", "mouse", "uid").apply(desired)
        after = len(fake.written)
        assert len(asyncio.all_tasks()) == 1
        await asyncio.sleep(0.02)
        assert len(fake.written) == after

    asyncio.run(test())


def test_nobody_is_worked_on_before_all_paths_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_LIST_AGAIN_SECONDS", 0.01)

    async def test() -> None:
        fake = FakeCluster(server("younger", 2, urlPath="team"), server("elder", 1, urlPath="team"))
        fake.lists = [Unavailable("away"), Unavailable("away")]
        operator = Operator(cast("Cluster", fake), Settings())
        for informer in operator._informers:
            informer.synced.set()
        operator.changed("cats", "younger")  # its event comes before the list
        leading = asyncio.create_task(operator._lead())
        async with asyncio.timeout(10):
            while len([one for one in fake.written if "status" in one]) < len(fake.servers):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert fake.routed() == ["elder"]
        assert fake.route("younger")["reason"] == "UrlPathTaken"
        leading.cancel()

    asyncio.run(test())
