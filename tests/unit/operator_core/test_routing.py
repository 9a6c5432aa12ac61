"""When a store is given a password, and what of a cluster's refusal is told."""

import asyncio
from typing import Any, cast

from policy_operator import kinds
from policy_operator.children import Caches, Children
from policy_operator.cluster import Cluster, Selection
from policy_operator.cluster_errors import ClusterError, Conflict, Refused
from policy_operator.informer import Informer
from policy_operator.routing import Routing
from policy_operator.status import Trouble
from tests.unit.operator_core.objects import Object
from tests.unit.operator_core.test_routers import REDIS, server


class FakeSecrets:
    """Takes one Secret, and refuses what a test says."""

    def __init__(self) -> None:
        self.tries = 0
        self.made: list[Object] = []
        self.error: ClusterError | None = None

    async def create(self, new: Object) -> Object:
        self.tries += 1
        if self.error is not None:
            raise self.error
        if self.made:
            raise Conflict("exists")
        self.made.append(new)
        return new


class Store:
    """The routing of one PolicyServer whose store is as a test says."""

    def __init__(self) -> None:
        self.secrets, self.time = FakeSecrets(), 1000.0
        self.routing = Routing(lambda: self.time)
        self.caches = {
            kind: Informer(cast("Cluster", self.secrets), Selection(kind), lambda _: None) for kind in kinds.WATCHED
        }

    def has(self, ready: int) -> None:
        """There is the StatefulSet, with so many pods that are ready."""
        labels = {"app.kubernetes.io/instance": "mouse"}
        owners = [{"uid": "uid", "controller": True}]
        metadata = {"name": "mouse-store", "namespace": "default", "labels": labels, "ownerReferences": owners}
        self.caches[kinds.STATEFUL_SET]._store({"metadata": metadata, "status": {"readyReplicas": ready}})

    def prepare(self, replicas: int = 2, **router: Any) -> list[Trouble]:
        cluster, caches = cast("Cluster", self.secrets), cast("Caches", self.caches)
        children = Children(cluster, caches, "default", "mouse", "uid")
        return asyncio.run(self.routing.prepare(server(replicas, **router), children))


def test_a_store_gets_a_password_that_nobody_can_guess() -> None:
    passwords = set()
    for _ in range(2):
        store = Store()
        assert store.prepare() == []
        (secret,) = store.secrets.made
        assert (secret["kind"], secret["metadata"]["name"]) == ("Secret", "mouse-store")
        passwords.add(secret["stringData"]["password"])
    assert {len(password) for password in passwords} == {43}
    assert len(passwords) == 2


def test_only_the_operators_own_store_gets_one() -> None:
    store = Store()
    store.prepare(replicas=1)
    store.prepare(**REDIS)
    assert store.secrets.tries == 0


def test_it_is_not_tried_again_at_each_look() -> None:
    store = Store()
    for _ in range(3):
        store.prepare()
    assert store.secrets.tries == 1


def test_a_store_that_is_ready_has_one() -> None:
    store = Store()
    store.has(ready=1)
    for _ in range(3):
        store.prepare()
        store.time += 3600
    assert store.secrets.tries == 0


def test_one_that_was_deleted_is_made_anew_when_the_store_needs_it() -> None:
    store = Store()
    store.prepare()
    store.has(ready=1)
    store.secrets.made.clear()
    store.time += 3600
    store.prepare()
    assert store.secrets.made == []
    store.has(ready=0)
    store.prepare()
    assert len(store.secrets.made) == 1


def test_a_refusal_is_told_and_tried_again() -> None:
    store = Store()
    store.secrets.error = Refused("exceeded quota")
    for _ in range(2):
        (trouble,) = store.prepare()
        assert trouble == Trouble(kinds.SECRET, "Refused", "Secret mouse-store can't be written: exceeded quota")
    store.secrets.error = None
    assert store.prepare() == []
    assert len(store.secrets.made) == 1


def test_a_new_policy_server_of_the_same_name_gets_its_own() -> None:
    store = Store()
    store.prepare()
    store.routing.forget(("default", "mouse"))
    store.secrets.made.clear()  # Kubernetes has collected it with its owner
    store.prepare()
    assert len(store.secrets.made) == 1
