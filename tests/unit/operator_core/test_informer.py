"""A copy of objects that stays true through everything that happens to a watch."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from policy_operator import informer, kinds
from policy_operator.cluster import Cluster, Event, Selection
from policy_operator.cluster_errors import Expired, NotFound, Unavailable
from policy_operator.desired.metadata import INSTANCE, Object
from policy_operator.informer import Informer
from tests.unit.operator_core.fakes import FakeWatch


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informer, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(informer, "_ABSENT_KIND_PAUSE", 0.001)


def child(name: str, version: str = "1", server: str = "mouse") -> Object:
    labels = {INSTANCE: server}
    return {"metadata": {"namespace": "cats", "name": name, "resourceVersion": version, "labels": labels}}


class Watched:
    """An informer that runs, and what it told."""

    def __init__(self, watch: FakeWatch, kind: kinds.Kind = kinds.SERVICE) -> None:
        self.told: list[str] = []
        self.owners: list[str | None] = []
        self.informer = Informer(cast("Cluster", watch), Selection(kind), self._changed)
        self.task = asyncio.create_task(self.informer.run())

    def names(self) -> set[str]:
        return set(self.informer.children("cats", "mouse"))

    def _changed(self, one: Object) -> None:
        self.told.append(f"{one['metadata']['name']}@{one['metadata']['resourceVersion']}")
        self.owners.append(one["metadata"]["labels"].get(INSTANCE))


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(10):
            await test

    asyncio.run(limited())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  what is waited for knows nothing of tests
        await asyncio.sleep(0.001)


def test_what_comes_changes_and_goes_is_told() -> None:
    async def test() -> None:
        watch = FakeWatch()
        watch.lists = [[child("a")]]
        watched = Watched(watch)
        await watched.informer.synced.wait()
        assert watched.names() == {"a"}
        await watch.events.put(Event("ADDED", child("b", "101")))
        await watch.events.put(Event("MODIFIED", child("a", "102")))
        await watch.events.put(Event("DELETED", child("b", "103")))
        await until(lambda: len(watched.told) == 4)
        assert watched.told == ["a@1", "b@101", "a@102", "b@103"]
        assert watched.names() == {"a"}
        watched.task.cancel()

    run(test())


def test_a_watch_goes_on_where_it_broke_off() -> None:
    async def test() -> None:
        watch = FakeWatch()
        watch.lists = [[]]
        watched = Watched(watch)
        await watch.events.put(Event("ADDED", child("a", "101")))
        await watch.events.put(Event("BOOKMARK", {"metadata": {"resourceVersion": "150"}}))
        await watch.events.put(Unavailable("connection reset"))
        await watch.events.put(Event("ADDED", child("b", "151")))
        await watch.events.put(None)  # the API server ends every watch after a while
        await until(lambda: len(watch.watched_from) == 3)
        assert watch.watched_from == ["100", "150", "151"]
        assert watched.names() == {"a", "b"}
        watched.task.cancel()

    run(test())


def test_a_list_after_a_gap_tells_what_changed_in_it_and_nothing_else() -> None:
    async def test() -> None:
        watch = FakeWatch()
        before = [child("same"), child("changes"), child("goes")]
        after = [child("same"), child("changes", "2"), child("comes", "3")]
        watch.lists = [before, after]
        watched = Watched(watch)
        await watched.informer.synced.wait()
        watched.told.clear()
        await watch.events.put(Expired("too old resource version"))
        await until(lambda: len(watched.told) == 3)
        assert sorted(watched.told) == ["changes@2", "comes@3", "goes@1"]
        assert watched.names() == {"same", "changes", "comes"}
        watched.task.cancel()

    run(test())


def test_the_api_server_may_be_away_from_the_beginning() -> None:
    async def test() -> None:
        watch = FakeWatch()
        watch.lists = [Unavailable("away"), NotFound("not yet"), [child("a")]]
        watched = Watched(watch)
        await watched.informer.synced.wait()
        assert watched.names() == {"a"}
        watched.task.cancel()

    run(test())


def test_a_kind_that_a_cluster_may_lack_comes_later_and_goes_again() -> None:
    async def test() -> None:
        watch = FakeWatch()
        watch.lists = [NotFound("no such kind"), [child("a")], NotFound("no such kind"), []]
        watched = Watched(watch, kinds.SERVICE_MONITOR)
        await watched.informer.synced.wait()
        assert not watched.informer.kind_exists
        await until(lambda: watched.informer.kind_exists)
        assert watched.names() == {"a"}
        await watch.events.put(NotFound("no such kind"))
        await until(lambda: watched.names() == set())
        watched.task.cancel()

    run(test())


def test_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        watch = FakeWatch()
        watch.lists = [[]]
        watched = Watched(watch)
        await watched.informer.synced.wait()
        assert not watched.informer.is_stale()
        monkeypatch.setattr(informer, "_SILENCE", -1.0)
        assert watched.informer.is_stale()
        watched.task.cancel()

    run(test())


def test_a_child_that_is_labelled_as_anothers_is_told_to_both() -> None:
    async def test() -> None:
        watch = FakeWatch()
        watch.lists = [[child("a")]]
        watched = Watched(watch)
        await watched.informer.synced.wait()
        await watch.events.put(Event("MODIFIED", child("a", "101", "rat")))
        await until(lambda: len(watched.told) == 3)
        assert watched.told == ["a@1", "a@1", "a@101"]
        assert watched.owners == ["mouse", "mouse", "rat"]
        assert watched.names() == set()
        assert set(watched.informer.children("cats", "rat")) == {"a"}
        unlabelled = child("a", "102")
        unlabelled["metadata"]["labels"] = {}
        await watch.events.put(Event("MODIFIED", unlabelled))
        await until(lambda: len(watched.told) == 5)
        assert watched.owners[3:] == ["rat", None]
        assert not watched.informer._by_instance
        watched.task.cancel()

    run(test())
