"""What the operator makes of a PolicyServer, and keeps as it should be."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from policy_operator import kinds
from tests.cluster.control_plane import ControlPlane
from tests.integration.operator_core import audit, kubelet
from tests.integration.operator_core.api_client import Namespace, version_of, wait_for

pytestmark = pytest.mark.usefixtures("operator")

CHILDREN = (
    *(kinds.SERVICE_ACCOUNT, kinds.DEPLOYMENT, kinds.SERVICE, kinds.INGRESS, kinds.SERVICE_MONITOR),
    kinds.DISRUPTION_BUDGET,
)


def wait_for_children(namespace: Namespace, name: str) -> None:
    """Waits for every child and for the status."""
    for kind in CHILDREN:
        namespace.wait_for(kind, name)
    wait_for(lambda: namespace.server(name).get("status"), "a status")


def versions(namespace: Namespace) -> dict[str, str]:
    """The resource version of everything that the operator writes."""
    written = [(kind, one) for kind in (*kinds.APPLIED, kinds.POLICY_SERVER) for one in namespace.every(kind)]
    return {f"{kind} {one['metadata']['name']}": one["metadata"]["resourceVersion"] for kind, one in written}


def wait_until_looked_at_again(plane: ControlPlane, namespace: Namespace, name: str, times: int = 4) -> None:
    """Waits for so many more reconciliations; all but the last are certainly over then."""
    assert plane.audit_log is not None
    log, before = plane.audit_log, audit.reconciliations(plane.audit_log, namespace.name, name)
    wait_for(lambda: audit.reconciliations(log, namespace.name, name) >= before + times, f"{times} more looks")


def test_children_are_there_in_two_seconds(namespace: Namespace, record_property: Callable[[str, Any], None]) -> None:
    began = time.monotonic()
    namespace.serve("mouse", replicas=2)
    wait_for_children(namespace, "mouse")
    seconds = time.monotonic() - began
    record_property("seconds_to_children", seconds)
    print(f"children after {seconds:.2f} s")
    assert len(namespace.wait_for_pods(2)) == 2  # a namespace with restricted Pod Security let them in


def test_nothing_is_written_when_nothing_changed(namespace: Namespace, plane: ControlPlane) -> None:
    namespace.serve("mouse", replicas=2)
    wait_for_children(namespace, "mouse")
    for pod in namespace.wait_for_pods(2):
        kubelet.serves(namespace, pod)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    wait_until_looked_at_again(plane, namespace, "mouse")
    assert plane.audit_log is not None
    before, asked = versions(namespace), audit.writes(plane.audit_log, namespace.name)
    namespace.serve("mouse", replicas=2)  # the same again, as `kubectl apply` does
    wait_until_looked_at_again(plane, namespace, "mouse")
    assert versions(namespace) == before
    assert audit.writes(plane.audit_log, namespace.name) == asked  # not even tried


def test_an_edit_of_replicas_reaches_the_children_without_a_rollout(namespace: Namespace) -> None:
    namespace.serve("mouse", replicas=2)
    wait_for_children(namespace, "mouse")
    version = version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse"))
    # What `kubectl scale` does.
    namespace.api.merge(kinds.POLICY_SERVER, namespace.name, "mouse", {"spec": {"replicas": 1}}, "scale")
    namespace.wait_for_pods(1)
    namespace.wait_for_none(kinds.DISRUPTION_BUDGET, "mouse")
    assert version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse")) == version
    wait_for(lambda: namespace.server("mouse")["status"]["replicas"] == 1, "status.replicas")
    assert namespace.server("mouse")["status"]["selector"] == (
        "app.kubernetes.io/name=policyserver,app.kubernetes.io/instance=mouse"
    )


def test_an_edit_of_the_url_path_reaches_route_and_configuration(namespace: Namespace) -> None:
    namespace.serve("mouse", replicas=2)
    wait_for_children(namespace, "mouse")
    version = version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse"))
    path = f"{namespace.name}/v2"
    namespace.serve("mouse", replicas=2, urlPath=path)

    def routed() -> bool:
        rule = namespace.wait_for(kinds.INGRESS, "mouse")["spec"]["rules"][0]
        return bool(rule["http"]["paths"][0]["path"] == f"/{path}")

    wait_for(routed, "the new path")
    namespace.wait_for_version_other_than(version, "mouse")
    url = f"http://mouse.{namespace.name}.svc/{path}/"
    wait_for(lambda: namespace.server("mouse")["status"]["url"] == url, url)


def test_former_configurations_go_when_no_replica_set_needs_them(namespace: Namespace) -> None:
    version = ""
    for number in range(5):  # more than revisionHistoryLimit keeps
        namespace.serve("mouse", urlPath=f"{namespace.name}/v{number}")
        version = namespace.wait_for_version_other_than(version, "mouse")
        (pod,) = namespace.wait_for_pods(1, version)
        kubelet.serves(namespace, pod)
        namespace.wait_for_condition("mouse", "Ready", "True", "Serving")

    def left() -> list[str]:
        names = [one["metadata"]["name"] for one in namespace.every(kinds.CONFIG_MAP)]
        return [name for name in names if name.startswith("mouse-config-")]

    wait_for(lambda: len(left()) == 3, "three configurations, of the current version and two to go back to")
    replica_sets = namespace.every(kinds.REPLICA_SET)
    volumes = [volume for one in replica_sets for volume in one["spec"]["template"]["spec"]["volumes"]]
    assert {volume["configMap"]["name"] for volume in volumes if volume["name"] == "config"} == set(left())


def test_one_that_is_deleted_and_made_again_gets_children_of_its_own(namespace: Namespace) -> None:
    namespace.serve("mouse")
    wait_for(lambda: namespace.server("mouse").get("status"), "a status")
    namespace.api.delete(kinds.POLICY_SERVER, namespace.name, "mouse")
    uid = namespace.serve("mouse")["metadata"]["uid"]

    def owned() -> bool:
        found = [namespace.get(kind, "mouse") for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.INGRESS)]
        return all(one and one["metadata"]["ownerReferences"][0]["uid"] == uid for one in found)

    # Kubernetes collects the former children first.
    wait_for(owned, "children of its own", 120)
    namespace.wait_for_condition("mouse", "RouteReady", "True", "RoutedInCluster")


def test_deletion_takes_everything(namespace: Namespace) -> None:
    namespace.serve("mouse", replicas=2)
    wait_for_children(namespace, "mouse")
    for pod in namespace.wait_for_pods(2):
        kubelet.serves(namespace, pod)
    namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")
    namespace.api.delete(kinds.POLICY_SERVER, namespace.name, "mouse")

    def nothing() -> bool:
        left = [one for kind in kinds.WATCHED for one in namespace.every(kind)]
        ours = [one for one in left if "app.kubernetes.io/managed-by" in one["metadata"].get("labels", {})]
        return not ours

    # The garbage collector looks for new kinds, as ours is here, every half minute.
    wait_for(nothing, "the end of all children", 120)


@pytest.mark.parametrize("kind", CHILDREN, ids=str)
def test_a_deleted_child_comes_back(namespace: Namespace, kind: kinds.Kind) -> None:
    namespace.serve("mouse", replicas=2)
    wait_for_children(namespace, "mouse")
    uid = namespace.wait_for(kind, "mouse")["metadata"]["uid"]
    began = time.monotonic()
    namespace.api.delete(kind, namespace.name, "mouse")
    wait_for(lambda: (namespace.get(kind, "mouse") or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid, str(kind))
    print(f"{kind} back after {time.monotonic() - began:.2f} s")


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        (kinds.DEPLOYMENT, {"spec": {"replicas": 5}}),
        (kinds.DEPLOYMENT, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 90}}}}),
        (kinds.DEPLOYMENT, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
        (kinds.SERVICE, {"spec": {"selector": {"app.kubernetes.io/instance": "other"}}}),
        (kinds.INGRESS, {"spec": {"rules": [{"host": "other.example"}]}}),
        (kinds.SERVICE_ACCOUNT, {"automountServiceAccountToken": True}),
        (kinds.SERVICE_MONITOR, {"spec": {"endpoints": []}}),
        (kinds.DISRUPTION_BUDGET, {"spec": {"maxUnavailable": 2}}),
    ],
    ids=lambda value: str(value) if isinstance(value, kinds.Kind) else ",".join(value),
)
def test_a_child_edited_by_hand_is_repaired(namespace: Namespace, kind: kinds.Kind, edit: dict[str, Any]) -> None:
    namespace.serve("mouse", replicas=2)
    wait_for_children(namespace, "mouse")

    def written() -> Any:
        one = namespace.wait_for(kind, "mouse")
        ours = ("labels", "annotations")
        return one.get("spec"), one.get("automountServiceAccountToken"), {n: one["metadata"].get(n) for n in ours}

    def without_what_others_write(state: Any) -> Any:
        state[2].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
        return state

    before = without_what_others_write(written())
    namespace.api.merge(kind, namespace.name, "mouse", edit)
    wait_for(lambda: without_what_others_write(written()) == before, f"the repair of {kind}")


def test_what_others_add_to_a_child_stays(namespace: Namespace, plane: ControlPlane) -> None:
    namespace.serve("mouse", replicas=2)
    wait_for_children(namespace, "mouse")
    namespace.api.merge(kinds.SERVICE, namespace.name, "mouse", {"metadata": {"labels": {"team": "cats"}}})
    wait_until_looked_at_again(plane, namespace, "mouse")
    assert namespace.wait_for(kinds.SERVICE, "mouse")["metadata"]["labels"]["team"] == "cats"


def test_a_child_takes_over_no_foreign_object(namespace: Namespace) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "mouse", "namespace": namespace.name},
        "spec": {"ports": [{"port": 1}]},
    }
    namespace.api.create(kinds.SERVICE.path(namespace.name), foreign)
    namespace.serve("mouse")
    condition = namespace.wait_for_condition("mouse", "RouteReady", "False", "NameTaken")
    assert "Service mouse exists and isn't this PolicyServer's" in condition["message"]
    assert namespace.wait_for_condition("mouse", "Ready", "False", "NameTaken")
    assert namespace.wait_for(kinds.SERVICE, "mouse")["spec"]["ports"][0]["port"] == 1
    assert "labels" not in namespace.wait_for(kinds.SERVICE, "mouse")["metadata"]
    # Once it is out of the way, the PolicyServer gets its Service, without anybody's help.
    namespace.api.delete(kinds.SERVICE, namespace.name, "mouse")
    wait_for(lambda: (namespace.get(kinds.SERVICE, "mouse") or {}).get("metadata", {}).get("labels"), "our Service", 60)
    wait_for(lambda: namespace.server("mouse")["status"]["conditions"][2]["status"] == "True", "RouteReady")
