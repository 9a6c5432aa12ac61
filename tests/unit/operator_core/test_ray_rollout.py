"""What RayServices and the pods of their clusters say."""

from typing import Any

import pytest

from policy_operator.ray_rollout import is_of_ray, ray_rollout_of
from policy_operator.rollout import Failure, Rollout
from policy_operator.routers import pod_to_ask
from policy_operator.workloads import state_of
from tests.integration.operator_core.kuberay import INITIALIZING, NO_UPGRADE, ROLLS_BACK, SERVES, UPGRADES, condition
from tests.unit.operator_core.objects import MODEL, Object, container, deployment, ended, pod

VALIDATION = condition("Ready", "False", "ValidationFailed", "no")


def service(*conditions: Object, suspend: bool = False, observed: bool = True, **status: Any) -> Object:
    """A RayService whose template makes pods of `v2`."""
    annotations = {"policyserver.io/version": "v2", "policyserver.io/model": "uri"}
    group = {"template": {"metadata": {"annotations": annotations}}}
    return {
        "metadata": {"name": "mouse-ray", "generation": 3},
        "spec": {"suspend": suspend, "rayClusterConfig": {"workerGroupSpecs": [group]}},
        "status": {"observedGeneration": 3 if observed else 2, "conditions": list(conditions)} | status,
    }


def worker(name: str, version: str = "v2", app: str = "policyserver", **more: Any) -> Object:
    """A pod of a cluster."""
    made = pod(name, version, **more)
    made["metadata"]["labels"] = {"app.kubernetes.io/name": app}
    return made


def head(version: str = "v2", **more: Any) -> Object:
    """The head of a cluster, which is ready long before anything serves."""
    return worker("head", version, "policyserver-ray-head", ready=True, **more)


ACTIVE: Object = {"activeServiceStatus": {"rayClusterName": "mouse-ray-a"}}
BOTH: Object = ACTIVE | {"pendingServiceStatus": {"rayClusterName": "mouse-ray-b"}}
FORMER = [head("v1"), worker("o1", "v1", ready=True), worker("o2", "v1", ready=True)]
CURRENT = [head(), worker("w1", ready=True, digest=MODEL), worker("w2", ready=True, digest=MODEL)]


def states(rollout: Rollout) -> tuple[int, int, int, bool, bool]:
    return rollout.ready, rollout.wanted, rollout.former, rollout.complete, rollout.settled


@pytest.mark.parametrize(
    ("live", "pods", "expected"),
    [
        (service(observed=False), [], (0, 1, 0, False, False)),
        (service(INITIALIZING), [head(), worker("w1")], (0, 1, 0, False, False)),
        (service(SERVES, NO_UPGRADE, numServeEndpoints=2, **ACTIVE), CURRENT, (2, 2, 0, True, True)),
        # A worker for which Ray has nothing to do never gets ready.
        (service(SERVES, numServeEndpoints=2, **ACTIVE), [*CURRENT, worker("idle")], (2, 2, 0, True, True)),
        (service(SERVES, numServeEndpoints=2, observed=False, **ACTIVE), CURRENT, (2, 2, 0, False, False)),
        (service(SERVES, UPGRADES, numServeEndpoints=2, **BOTH), [*FORMER, head()], (0, 2, 2, False, False)),
        # Endpoints are told of before the pods are seen.
        (service(SERVES, NO_UPGRADE, numServeEndpoints=2, **ACTIVE), FORMER, (0, 2, 2, False, True)),
        (service(suspend=True), [head()], (0, 0, 0, False, False)),
        (service(suspend=True), [], (0, 0, 0, True, False)),
    ],
)
def test_it_is_complete_when_kuberay_has_gone_over_to_pods_that_serve(
    live: Object, pods: list[Object], expected: tuple[int, int, int, bool, bool]
) -> None:
    assert states(ray_rollout_of(live, "mouse", pods)) == expected


def test_pods_are_counted_without_heads() -> None:
    rollout = ray_rollout_of(service(SERVES, numServeEndpoints=2, **ACTIVE), "mouse", [*CURRENT, *FORMER])
    assert (rollout.pods, rollout.former) == (4, 2)
    assert [(one.name, one.digests) for one in rollout.policies] == [("mouse", (MODEL,))]
    assert state_of(deployment(), "mouse", [head()]).former == 0


def application(status: str, message: str, **deployments: Object) -> Object:
    return {"policyserver": {"status": status, "message": message, "serveDeploymentStatuses": deployments}}


@pytest.mark.parametrize(
    ("live", "failure"),
    [
        (service(VALIDATION), Failure("ValidationFailed", "RayService mouse-ray: no")),
        (
            service(SERVES, UPGRADES, ROLLS_BACK, **BOTH),
            Failure(
                "RollbackInProgress",
                "RayService mouse-ray goes back to its former version: the desired cluster changed",
            ),
        ),
        (
            service(
                INITIALIZING,
                pendingServiceStatus={
                    "rayClusterName": "mouse-ray-b",
                    "applicationStatuses": application(
                        "DEPLOY_FAILED", "", mouse={"status": "UNHEALTHY", "message": "no"}, app={"status": "HEALTHY"}
                    ),
                },
            ),
            Failure("ServeFailed", "Ray Serve, DEPLOY_FAILED: mouse: no"),
        ),
        # What the former cluster's application is like says nothing of the next one.
        (
            service(
                SERVES,
                UPGRADES,
                activeServiceStatus={
                    "rayClusterName": "mouse-ray-a",
                    "applicationStatuses": application("UNHEALTHY", "no"),
                },
                pendingServiceStatus={"rayClusterName": "mouse-ray-b"},
            ),
            None,
        ),
        (service(INITIALIZING, pendingServiceStatus={"applicationStatuses": application("DEPLOYING", "")}), None),
    ],
)
def test_a_failure_is_told_in_kuberays_and_ray_serves_words(live: Object, failure: Failure | None) -> None:
    assert ray_rollout_of(live, "mouse", []).failure == failure


def test_a_pod_that_fails_is_told_as_those_of_a_deployment_are() -> None:
    failing = [head(initContainerStatuses=[]), worker("w", containerStatuses=[container("server", ended("error: x"))])]
    failure = ray_rollout_of(service(INITIALIZING), "mouse", failing).failure
    assert failure == Failure("ServerFailed", "pod w, container server: error: x")
    serves = service(SERVES, NO_UPGRADE, numServeEndpoints=2, **ACTIVE)
    assert ray_rollout_of(serves, "mouse", [*CURRENT, *failing[1:]]).failure is None


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ([], "KubeRay has not looked at it yet: is its operator running?"),
        ([INITIALIZING], "KubeRay: Initializing, RayService is initializing"),
        ([SERVES, UPGRADES], "KubeRay: UpgradeInProgress, Both active and pending Ray clusters exist"),
        ([SERVES, NO_UPGRADE], ""),
    ],
)
def test_what_kuberay_does_is_told(conditions: list[Object], told: str) -> None:
    assert ray_rollout_of(service(*conditions), "mouse", []).told == told


def test_a_head_has_no_router_to_ask() -> None:
    serving = worker("w", ready=True, created="2026-01-02T00:00:00Z", podIP="10.0.0.2")
    first = head(podIP="10.0.0.1")
    template = service()["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]
    assert pod_to_ask([first, serving], template) is serving
    assert pod_to_ask([first], template) is None


@pytest.mark.parametrize(
    ("owner", "ours"),
    [
        ({"kind": "RayCluster", "name": "mouse-ray-x2x4z", "controller": True}, True),
        ({"kind": "RayCluster", "name": "mouse-ray-x2x4z"}, False),
        ({"kind": "RayCluster", "name": "other-ray-x2x4z", "controller": True}, False),
        ({"kind": "ReplicaSet", "name": "mouse-ray-x2x4z", "controller": True}, False),
    ],
)
def test_pods_are_known_by_the_cluster_that_they_are_of(owner: Object, ours: bool) -> None:
    assert is_of_ray({"metadata": {"ownerReferences": [owner]}}, "mouse") is ours
