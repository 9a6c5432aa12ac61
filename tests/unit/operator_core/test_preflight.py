"""What is missing is named before anything starts."""

import asyncio
from typing import Any, cast

import pytest

from policy_operator import kinds
from policy_operator.cluster import Cluster
from policy_operator.preflight import NotPrepared, require_prepared
from policy_operator.settings import Settings


class FakeReviews:
    """An API server that allows all but some verbs of some resources."""

    def __init__(self, refused: set[tuple[str, str]], *, has_kind: bool = True) -> None:
        self.asked: list[dict[str, str]] = []
        self._refused = refused
        self._has_kind = has_kind

    async def create(self, review: dict[str, Any]) -> dict[str, Any]:
        attributes = review["spec"]["resourceAttributes"]
        self.asked.append(attributes)
        return {"status": {"allowed": (attributes["verb"], attributes["resource"]) not in self._refused}}

    async def serves(self, kind: kinds.Kind) -> bool:
        return self._has_kind


def check(cluster: FakeReviews, namespace: str | None = None) -> None:
    settings = Settings(namespace=namespace, operator_namespace="system")
    asyncio.run(require_prepared(cast("Cluster", cluster), settings))


def test_every_permission_is_asked_for_where_it_is_needed() -> None:
    cluster = FakeReviews(set())
    check(cluster, "cats")
    wanted = sum(len(one.verbs) for one in (*kinds.PERMISSIONS, *kinds.LEASE_PERMISSIONS))
    assert len(cluster.asked) == wanted
    assert {one["namespace"] for one in cluster.asked if one["resource"] != "leases"} == {"cats"}
    assert {one["namespace"] for one in cluster.asked if one["resource"] == "leases"} == {"system"}
    # The Role names the Lease.
    assert {one["name"] for one in cluster.asked if one["resource"] == "leases" and one["verb"] != "create"} == {
        "policyserver-operator"
    }


def test_the_missing_ones_are_named() -> None:
    with pytest.raises(NotPrepared) as caught:
        check(FakeReviews({("list", "pods"), ("watch", "pods"), ("update", "leases")}))
    assert str(caught.value).startswith(
        "not allowed: list, watch pods in all namespaces; update leases.coordination.k8s.io in namespace system. apply"
    )


def test_a_missing_kind_is_named_with_its_remedy() -> None:
    with pytest.raises(NotPrepared, match=r"no kind PolicyServer: kubectl apply -f crds/policyservers\.yaml"):
        check(FakeReviews(set(), has_kind=False))
