"""Engine RayServe on many nodes: the RayService that the operator makes, and what it makes of KubeRay's words."""

from collections.abc import Iterator
from typing import Any

import pytest

from policy_operator import kinds
from tests.cluster.control_plane import ControlPlane
from tests.integration.operator_core import audit, kubelet, kuberay
from tests.integration.operator_core.api_client import ApiClient, Namespace, Object, conditions, version_of, wait_for
from tests.integration.operator_core.kuberay import (
    ENDPOINTS_GONE,
    INITIALIZING,
    NO_UPGRADE,
    NOT_READY,
    ROLLS_BACK,
    SERVES,
    SUSPENDED,
    SUSPENDS,
    UPGRADES,
    KubeRay,
)
from tests.routing_cases import routed

pytestmark = pytest.mark.usefixtures("kinds_of_kuberay", "operator")

LIMITS = {"limits": {"cpu": 2, "memory": "4Gi"}}


@pytest.fixture(scope="module")
def kinds_of_kuberay(api: ApiClient) -> Iterator[None]:
    """Before the operator starts, which looks for kinds that are missing but once a minute."""
    kuberay.install(api)
    yield
    kuberay.uninstall(api)


def serve(namespace: Namespace, workers: Object | None = None, **spec: Any) -> KubeRay:
    """A PolicyServer on two workers, or as many as are said."""
    namespace.serve("mouse", engine="RayServe", ray={"workers": workers or {"replicas": 2}}, **spec)
    return KubeRay(namespace, "mouse")


def ready(namespace: Namespace, status: str, reason: str) -> None:
    """Waits for the condition Ready with this status and reason."""
    namespace.wait_for_condition("mouse", "Ready", status, reason)


def wait_until_told(namespace: Namespace, kind: str, words: str) -> None:
    wait_for(lambda: words in conditions(namespace.server("mouse")).get(kind, {}).get("message", ""), words)


def configurations(namespace: Namespace) -> int:
    """How many configurations there are."""
    return sum(one["metadata"]["name"].startswith("mouse-config-") for one in namespace.every(kinds.CONFIG_MAP))


@pytest.mark.parametrize(
    "spec",
    [
        {"workers": {"replicas": 2}},
        {"workers": {"minReplicas": 1, "maxReplicas": 3, "resources": LIMITS}, "replicas": 0},
        routed(mode="UCB1")
        | {"workers": {"minReplicas": 2, "maxReplicas": 3}, "apiKeySecret": {"name": "k"}, "auth": None},
    ],
    ids=["fixed", "suspended", "routed, as many as needed"],
)
def test_kuberays_kinds_take_what_is_made_and_it_is_written_once(
    namespace: Namespace, plane: ControlPlane, spec: dict[str, Any]
) -> None:
    cluster = serve(namespace, **spec)
    service = cluster.service()
    assert not namespace.every(kinds.DEPLOYMENT)
    assert service["metadata"]["ownerReferences"][0]["uid"] == namespace.server("mouse")["metadata"]["uid"]
    log = plane.audit_log
    assert log is not None

    def looks(more: int) -> None:
        before = audit.reconciliations(log, namespace.name, "mouse")
        wait_for(lambda: audit.reconciliations(log, namespace.name, "mouse") >= before + more, "looks", 60)

    looks(2)
    written = audit.writes(log, namespace.name)
    looks(3)
    assert audit.writes(log, namespace.name) == written
    assert written.count(("patch", "rayservices", "mouse-ray")) == 1
    assert cluster.service()["metadata"]["resourceVersion"] == service["metadata"]["resourceVersion"]


def test_the_pods_that_kuberay_makes_are_let_in_where_pods_are_restricted(namespace: Namespace) -> None:
    cluster = serve(namespace, {"minReplicas": 1, "maxReplicas": 2}, **routed(mode="UCB1"))
    (worker,) = cluster.make_cluster("first")
    selector = namespace.wait_for(kinds.SERVICE, "mouse")["spec"]["selector"]
    found = [pod["metadata"]["name"] for pod in namespace.every(kinds.POD) if selector.items() <= _labels(pod).items()]
    assert found == [worker["metadata"]["name"]]
    head = namespace.wait_for(kinds.POD, "mouse-ray-first-head")
    mounted = {
        one["name"]: any(mount["mountPath"].startswith("/var/run/secrets") for mount in one["volumeMounts"])
        for one in (*head["spec"]["initContainers"], *head["spec"]["containers"])
    }
    assert [name for name, token in mounted.items() if token] == ["autoscaler"]


def _labels(pod: Object) -> dict[str, str]:
    labels: dict[str, str] = pod["metadata"]["labels"]
    return labels


def test_conditions_follow_kuberay_from_the_first_cluster_to_the_next(namespace: Namespace) -> None:
    cluster = serve(namespace)
    cluster.service()
    ready(namespace, "False", "RolloutInProgress")
    wait_until_told(namespace, "Ready", "KubeRay has not looked at it yet")
    workers = cluster.make_cluster("first")
    cluster.tell(INITIALIZING, pending="first")
    wait_until_told(namespace, "Ready", "KubeRay: Initializing, RayService is initializing")
    namespace.wait_for_condition("mouse", "Progressing", "True", "RolloutInProgress")
    namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "Loading")
    for pod in workers:
        kubelet.serves(namespace, pod)
    cluster.tell(SERVES, NO_UPGRADE, active="first", endpoints=2)
    ready(namespace, "True", "Serving")
    wait_until_told(namespace, "Ready", "2 of 2 pods of the current version serve")
    namespace.wait_for_condition("mouse", "Progressing", "False", "Complete")
    loaded = namespace.wait_for_condition("mouse", "ModelsLoaded", "True", "Loaded")
    assert kubelet.DIGEST in loaded["message"]
    status = namespace.server("mouse")["status"]
    assert (status["replicas"], status["loadedPolicies"]) == (2, "1/1")
    assert namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")["data"]

    # The next version: what KubeRay says of the former cluster is no word about this one.
    version = cluster.version()
    serve(namespace, urlPath=f"{namespace.name}/next")
    cluster.wait_for_version_other_than(version)
    ready(namespace, "False", "RolloutInProgress")
    wait_until_told(namespace, "Ready", "2 pods of the former version go on serving")
    next_workers = cluster.make_cluster("second")
    cluster.tell(SERVES, UPGRADES, active="first", pending="second", endpoints=2)
    wait_until_told(namespace, "Ready", "KubeRay: UpgradeInProgress, Both active and pending Ray clusters exist")
    wait_until_told(namespace, "Progressing", "0 of 2 pods of the current version serve")
    for pod in next_workers:
        kubelet.serves(namespace, pod)
    wait_until_told(namespace, "Ready", "2 of 2 pods of the current version serve")
    assert conditions(namespace.server("mouse"))["Ready"]["status"] == "False"
    cluster.tell(SERVES, NO_UPGRADE, active="second", endpoints=2)
    ready(namespace, "True", "Serving")
    assert configurations(namespace) == 2  # the first has pods yet
    cluster.delete_cluster("first")
    wait_for(lambda: configurations(namespace) == 1, "the end of the former configuration")
    ready(namespace, "True", "Serving")


def test_a_version_that_does_not_come_up_is_told_in_ray_serves_words_and_the_former_goes_on(
    namespace: Namespace,
) -> None:
    cluster = serve(namespace)
    cluster.serve("first")
    ready(namespace, "True", "Serving")
    version = cluster.version()
    serve(namespace, urlPath=f"{namespace.name}/next")
    cluster.wait_for_version_other_than(version)
    (broken, _) = cluster.make_cluster("second")
    deployments = {"mouse": {"status": "UNHEALTHY", "message": "no node has 64 CPUs"}, "app": {"status": "HEALTHY"}}
    applications = {
        "policyserver": {"status": "DEPLOY_FAILED", "message": "gave up", "serveDeploymentStatuses": deployments}
    }
    cluster.tell(SERVES, UPGRADES, active="first", pending="second", endpoints=2, applications=applications)
    ready(namespace, "False", "RolloutFailed")
    wait_until_told(namespace, "Ready", "ServeFailed: Ray Serve, DEPLOY_FAILED: gave up; mouse: no node has 64 CPUs")
    wait_until_told(namespace, "Ready", "2 pods of the former version go on serving")
    namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "ServeFailed")
    # What a pod says is nearer to the cause, once Ray Serve has nothing to say.
    cluster.tell(SERVES, UPGRADES, active="first", pending="second", endpoints=2)
    kubelet.fails(namespace, broken, "fetch", "error: HTTP 404")
    namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "FetchFailed")
    cluster.tell(SERVES, UPGRADES, ROLLS_BACK, active="first", pending="second", endpoints=2)
    wait_until_told(namespace, "Ready", "RollbackInProgress: RayService mouse-ray goes back to its former version")


def test_what_kuberay_refuses_is_told(namespace: Namespace) -> None:
    cluster = serve(namespace)
    refused = kuberay.condition("Ready", "False", "ValidationFailed", "the RayService spec is invalid")
    cluster.tell(refused)
    wait_until_told(namespace, "Ready", "ValidationFailed: RayService mouse-ray: the RayService spec is invalid")
    namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "ValidationFailed")


def test_endpoints_that_are_gone_are_told(namespace: Namespace) -> None:
    cluster = serve(namespace)
    workers = cluster.serve("first")
    ready(namespace, "True", "Serving")
    for pod in workers:
        kubelet.fails(namespace, pod, "server", "error: out of memory")
        namespace.api.merge(kinds.POD, namespace.name, pod["metadata"]["name"], _not_ready(), "status")
    cluster.tell(ENDPOINTS_GONE, NO_UPGRADE, active="first")
    wait_until_told(namespace, "Ready", "KubeRay: ZeroServeEndpoints")
    wait_until_told(namespace, "Ready", "ServerFailed: pod mouse-ray-first-worker-0")
    ready(namespace, "False", "PodsNotReady")


def _not_ready() -> Object:
    return {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}


def test_no_replicas_suspend_it_and_nobody_else_does(namespace: Namespace) -> None:
    cluster = serve(namespace)
    cluster.serve("first")
    ready(namespace, "True", "Serving")
    serve(namespace, replicas=0)
    wait_for(lambda: cluster.service()["spec"]["suspend"], "the RayService to be suspended")
    cluster.tell(NOT_READY, SUSPENDS)
    cluster.delete_cluster("first")
    cluster.tell(NOT_READY, SUSPENDED)
    ready(namespace, "False", "ScaledToZero")
    serve(namespace)
    wait_for(lambda: not cluster.service()["spec"]["suspend"], "the RayService to go on")
    wait_until_told(namespace, "Ready", "KubeRay: SuspendComplete, RayService is suspended.")
    cluster.tell(INITIALIZING)
    cluster.serve("second")
    ready(namespace, "True", "Serving")
    namespace.api.merge(kinds.RAY_SERVICE, namespace.name, "mouse-ray", {"spec": {"suspend": True}})
    wait_for(lambda: not cluster.service()["spec"]["suspend"], "its repair")


def test_a_change_of_the_engine_loses_nothing_and_leaves_nothing(namespace: Namespace) -> None:
    namespace.serve("mouse", replicas=2)
    former = namespace.wait_for_pods(2)
    for pod in former:
        kubelet.serves(namespace, pod)
    ready(namespace, "True", "Serving")
    addressed = namespace.wait_for(kinds.SERVICE, "mouse")
    cluster = serve(namespace)
    cluster.service()
    ready(namespace, "False", "RolloutInProgress")
    wait_until_told(namespace, "Ready", "2 pods of the former version go on serving")
    workers = cluster.make_cluster("first")
    cluster.tell(INITIALIZING, pending="first")
    wait_until_told(namespace, "Ready", "KubeRay: Initializing")
    assert len(namespace.wait_for_pods(4)) == 4
    assert namespace.get(kinds.DEPLOYMENT, "mouse")
    for pod in workers:
        kubelet.serves(namespace, pod)
    cluster.tell(SERVES, NO_UPGRADE, active="first", endpoints=2)
    namespace.wait_for_none(kinds.DEPLOYMENT, "mouse")
    ready(namespace, "True", "Serving")
    # The Service is the one that clients know, and finds the workers as it found the pods.
    service = namespace.wait_for(kinds.SERVICE, "mouse")
    assert service["spec"] == addressed["spec"]
    assert all(service["spec"]["selector"].items() <= _labels(pod).items() for pod in workers)
    wait_for(lambda: {*_names(namespace)} == {*_names_of(workers)}, "the end of the Deployment's pods", 60)

    namespace.serve("mouse")
    version = version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse"))
    (pod,) = namespace.wait_for_pods(1, version)
    ready(namespace, "False", "RolloutInProgress")
    wait_until_told(namespace, "Ready", "2 pods of the former version go on serving")
    assert cluster.service()
    kubelet.serves(namespace, pod)
    namespace.wait_for_none(kinds.RAY_SERVICE, "mouse-ray")
    cluster.delete_cluster("first")
    ready(namespace, "True", "Serving")
    wait_for(lambda: configurations(namespace) == 1, "the end of the other engines' configurations")
    assert namespace.get(kinds.DISRUPTION_BUDGET, "mouse") is None


def _names(namespace: Namespace) -> list[str]:
    return _names_of(namespace.wait_for_pods(2))


def _names_of(pods: list[Object]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


def test_one_that_is_deleted_by_hand_comes_back_and_goes_with_its_policy_server(namespace: Namespace) -> None:
    cluster = serve(namespace)
    uid = cluster.service()["metadata"]["uid"]
    namespace.api.delete(kinds.RAY_SERVICE, namespace.name, "mouse-ray")
    wait_for(
        lambda: (namespace.get(kinds.RAY_SERVICE, "mouse-ray") or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid,
        "it",
    )
    namespace.api.merge(kinds.RAY_SERVICE, namespace.name, "mouse-ray", {"spec": {"serveConfigV2": "other"}})
    wait_for(lambda: "policy_server.ray" in cluster.service()["spec"]["serveConfigV2"], "its repair")
    namespace.api.delete(kinds.POLICY_SERVER, namespace.name, "mouse")
    namespace.wait_for_none(kinds.RAY_SERVICE, "mouse-ray", 120)
