"""What the operator does for routers: settings without a rollout, a store, what they say and what they learned."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy_operator import kinds
from policy_operator.children import Children
from policy_operator.cluster import Cluster
from policy_operator.desired.learned import told
from policy_operator.kinds import Kind
from policy_operator.status import Trouble
from tests.cluster.control_plane import ControlPlane
from tests.integration.operator_core import audit, kubelet
from tests.integration.operator_core.api_client import Namespace, Object, conditions, version_of, wait_for
from tests.integration.operator_core.router_pods import RouterPod, arm, report
from tests.routing_cases import routed

pytestmark = pytest.mark.usefixtures("operator")

CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
SETTINGS = "policyserver.io/router"
MINE = {"redis": {"url": "redis://mine:6379/0"}}


@pytest.fixture
def router_pod() -> Iterator[RouterPod]:
    with RouterPod() as pod:
        yield pod


def serve(namespace: Namespace, replicas: int = 1, mode: str = "EpsilonGreedy", **router: Any) -> Object:
    return namespace.serve("mouse", replicas=replicas, **routed(mode=mode, **router))


def settings(namespace: Namespace) -> Object:
    """What routers are told."""
    told: Object = json.loads(namespace.wait_for(kinds.CONFIG_MAP, "mouse-router")["data"]["settings.json"])
    return told


def wait_until_all_are_told(namespace: Namespace, count: int, former: str | None = None) -> str:
    """Waits until all pods bear the same note of their settings, and another than the former."""

    def told() -> str | None:
        notes = {pod["metadata"]["annotations"].get(SETTINGS) for pod in namespace.wait_for_pods(count)}
        return notes.pop() if len(notes) == 1 and not notes & {None, former} else None

    return wait_for(told, "pods to be told of their router's settings")


def wait_until_nothing_is_written(plane: ControlPlane, namespace: Namespace) -> None:
    """Waits for four looks in a row at which nothing is even tried to be written."""
    log = plane.audit_log
    assert log is not None
    quiet: list[int] = []

    def still() -> bool:
        looks, written = audit.reconciliations(log, namespace.name, "mouse"), len(audit.writes(log, namespace.name))
        if not quiet or quiet[1] != written:
            quiet[:] = [looks, written]
        return looks >= quiet[0] + 4

    wait_for(still, "four looks without a write", 60)


def test_settings_reach_running_pods_without_a_rollout(namespace: Namespace, plane: ControlPlane) -> None:
    serve(namespace, replicas=2, store=MINE)
    for pod in namespace.wait_for_pods(2):
        kubelet.serves(namespace, pod)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    former = wait_until_all_are_told(namespace, 2)
    wait_until_nothing_is_written(plane, namespace)
    deployment = namespace.wait_for(kinds.DEPLOYMENT, "mouse")
    names = [pod["metadata"]["name"] for pod in namespace.wait_for_pods(2)]
    began = time.monotonic()
    serve(namespace, replicas=2, mode="ThompsonSampling", store=MINE)
    wait_until_all_are_told(namespace, 2, former)
    print(f"told after {time.monotonic() - began:.2f} s")
    assert settings(namespace)["router"]["mode"] == "ThompsonSampling"
    after = namespace.wait_for(kinds.DEPLOYMENT, "mouse")
    assert after["metadata"]["generation"] == deployment["metadata"]["generation"]
    assert [pod["metadata"]["name"] for pod in namespace.wait_for_pods(2)] == names
    assert len(namespace.every(kinds.REPLICA_SET)) == 1
    wait_until_nothing_is_written(plane, namespace)
    assert not namespace.every(kinds.STATEFUL_SET)


def test_one_replica_needs_no_store(namespace: Namespace) -> None:
    serve(namespace)
    (pod,) = namespace.wait_for_pods(1)
    assert {"router", "state", "learned"} <= {volume["name"] for volume in pod["spec"]["volumes"]}
    namespace.wait_for_condition("mouse", "StoreReady", "Unknown", "NotAsked")
    assert not namespace.every(kinds.STATEFUL_SET)
    assert not namespace.every(kinds.SECRET)


def store_pod(namespace: Namespace) -> Object:
    """The store's pod, once it is there."""
    return namespace.wait_for(kinds.POD, "mouse-store-0")


def test_several_replicas_get_a_store_that_stays_as_long_as_a_pod_uses_it(namespace: Namespace) -> None:
    uid = serve(namespace)["metadata"]["uid"]
    (alone,) = namespace.wait_for_pods(1)
    kubelet.serves(namespace, alone)
    serve(namespace, replicas=2)
    pod = store_pod(namespace)
    condition = namespace.wait_for_condition("mouse", "StoreReady", "False", "StoreNotReady")
    assert "StatefulSet mouse-store has no pod that is ready" in condition["message"]
    secret = namespace.wait_for(kinds.SECRET, "mouse-store")
    assert set(secret["data"]) == {"password"}
    claim = namespace.wait_for(CLAIM, "data-mouse-store-0")
    assert [owner["uid"] for owner in claim["metadata"]["ownerReferences"]] == [uid]
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [uid]
    kubelet.serves(namespace, pod)
    namespace.wait_for_condition("mouse", "StoreReady", "Unknown", "NotAsked")
    version = version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse"))
    for server in namespace.wait_for_pods(1, version):
        kubelet.serves(namespace, server)
    # Back to one: the pod that keeps what it learns itself comes first, the store goes with its last user.
    serve(namespace)
    version = namespace.wait_for_version_other_than(version, "mouse")
    (last,) = namespace.wait_for_pods(1, version)
    assert namespace.get(kinds.STATEFUL_SET, "mouse-store")
    kubelet.serves(namespace, last)
    namespace.wait_for_none(kinds.STATEFUL_SET, "mouse-store")
    namespace.wait_for_none(kinds.SERVICE, "mouse-store")
    namespace.wait_for(kinds.SERVICE, "mouse")
    namespace.wait_for_none(kinds.POD, "mouse-store-0")
    assert namespace.wait_for(CLAIM, "data-mouse-store-0")["metadata"]["uid"] == claim["metadata"]["uid"]
    # And again: what was learned is still there.
    serve(namespace, replicas=2)
    namespace.wait_for(kinds.STATEFUL_SET, "mouse-store")
    store_pod(namespace)
    after = namespace.wait_for(CLAIM, "data-mouse-store-0")["metadata"]
    assert (after["uid"], "deletionTimestamp" in after) == (claim["metadata"]["uid"], False)
    assert namespace.wait_for(kinds.SECRET, "mouse-store")["data"] == secret["data"]
    namespace.api.delete(kinds.POLICY_SERVER, namespace.name, "mouse")
    namespace.wait_for_none(kinds.STATEFUL_SET, "mouse-store", 120)
    namespace.wait_for_none(kinds.SECRET, "mouse-store", 120)
    namespace.wait_for_none(CLAIM, "data-mouse-store-0", 120)


def test_a_broken_store_is_told_in_its_own_words(namespace: Namespace) -> None:
    serve(namespace, replicas=2)
    said = "Can't open the append-only file: Permission denied"
    kubelet.fails(namespace, store_pod(namespace), "store", said)
    condition = namespace.wait_for_condition("mouse", "StoreReady", "False", "StoreNotReady")

    def told() -> bool:
        return said in conditions(namespace.server("mouse"))["StoreReady"]["message"]

    wait_for(told, f"the store's words in {condition}")
    assert "rewards are refused" in conditions(namespace.server("mouse"))["StoreReady"]["message"]


def test_a_ready_store_is_given_no_other_password(namespace: Namespace, plane: ControlPlane) -> None:
    serve(namespace, replicas=2)
    namespace.wait_for(kinds.SECRET, "mouse-store")
    kubelet.serves(namespace, store_pod(namespace))
    namespace.wait_for_condition("mouse", "StoreReady", "Unknown", "NotAsked")
    namespace.api.delete(kinds.SECRET, namespace.name, "mouse-store")
    wait_until_nothing_is_written(plane, namespace)
    assert not namespace.every(kinds.SECRET)


def test_what_a_router_says_is_told_and_what_it_learned_is_kept(
    namespace: Namespace, plane: ControlPlane, router_pod: RouterPod
) -> None:
    good = arm("a", weight=0.934, decisions=123, meanReward=0.81234)
    bad = arm("b", state="Out", detail="timed out 5 times", weight=0.066, decisions=7, meanReward=None)
    router_pod.answer = [report("other"), report("mouse", good, bad, snapshot='{"arms": "as learned"}')]
    serve(namespace)
    (pod,) = namespace.wait_for_pods(1)
    kubelet.serves(namespace, pod, address=router_pod.address)
    status = wait_for(lambda: namespace.server("mouse").get("status", {}).get("router"), "status.router")
    assert status == {
        "mode": "EpsilonGreedy",
        "arms": [
            {"name": "a", "state": "Available", "weight": "93.4%", "decisions": 123, "meanReward": "0.8123"},
            {"name": "b", "state": "Out", "weight": "6.6%", "decisions": 7},
        ],
    }
    assert namespace.wait_for(kinds.CONFIG_MAP, "mouse-learned")["data"] == {"router.json": '{"arms": "as learned"}'}
    namespace.wait_for_condition("mouse", "StoreReady", "True", "Kept")
    loaded = namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "PolicyOut")
    assert "timed out 5 times" in loaded["message"]
    assert namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    wait_until_nothing_is_written(plane, namespace)

    # New settings: it is asked again when it has taken them up, and nobody waits for a minute.
    asked = router_pod.asked
    router_pod.answer = [report("mouse", good, arm("b"), storeAway="disk full", snapshot="later")]
    serve(namespace, epsilon=0.2)
    namespace.wait_for_condition("mouse", "StoreReady", "False", "StoreAway")
    assert "disk full" in conditions(namespace.server("mouse"))["StoreReady"]["message"]
    # What it tells now isn't what its store has.
    assert namespace.wait_for(kinds.CONFIG_MAP, "mouse-learned")["data"] == {"router.json": '{"arms": "as learned"}'}
    assert namespace.wait_for_condition("mouse", "ModelsLoaded", "True", "Loaded")
    assert namespace.wait_for(kinds.DEPLOYMENT, "mouse")["metadata"]["generation"] == 1
    assert router_pod.asked <= asked + 2  # the settings, and perhaps the minute
    wait_until_nothing_is_written(plane, namespace)


def test_what_was_learned_stays_when_the_router_goes(namespace: Namespace, router_pod: RouterPod) -> None:
    router_pod.answer = [report("mouse", arm("a"), arm("b"), snapshot="learned")]
    serve(namespace)
    (pod,) = namespace.wait_for_pods(1)
    kubelet.serves(namespace, pod, address=router_pod.address)
    namespace.wait_for(kinds.CONFIG_MAP, "mouse-learned")
    version = version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse"))
    namespace.serve("mouse")  # one model, no router
    (pod,) = namespace.wait_for_pods(1, namespace.wait_for_version_other_than(version, "mouse"))
    kubelet.serves(namespace, pod)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    wait_for(lambda: "StoreReady" not in conditions(namespace.server("mouse")), "the end of StoreReady")
    assert "router" not in namespace.server("mouse")["status"]
    assert namespace.wait_for(kinds.CONFIG_MAP, "mouse-learned")["data"] == {"router.json": "learned"}


def test_a_pod_that_is_gone_meanwhile_is_not_made_anew(
    namespace: Namespace, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"metadata": {"name": "mouse-1", "namespace": namespace.name, "uid": str(uuid.uuid4())}}

    async def annotate() -> list[Trouble]:
        async with Cluster.connect() as cluster:
            return await Children(cluster, {}, namespace.name, "mouse", "uid").annotate([told(gone, "settings")])

    monkeypatch.setenv("KUBECONFIG", str(credentials))
    assert asyncio.run(annotate()) == []
    assert not namespace.every(kinds.POD)
