"""The operator may do what it does, and does what it may."""

import os
from pathlib import Path

import pytest

from policy_operator import kinds
from tests.cluster.control_plane import ControlPlane
from tests.integration.operator_core import audit, kuberay
from tests.integration.operator_core.api_client import ApiClient, Namespace
from tests.integration.operator_core.operators import OperatorProcess, install, kubeconfig

LISTED = {
    (permission.kind.group, permission.resource, verb)
    for permission in (*kinds.PERMISSIONS, *kinds.LEASE_PERMISSIONS)
    for verb in permission.verbs
}
# What only clusters with KubeRay see; its kinds may be missing here.
OF_KUBERAY = {("apps", "deployments", "delete"), *(right for right in LISTED if right[0] == "ray.io")}
# Every user of a cluster may ask this about themselves.
SELF_REVIEW = ("authorization.k8s.io", "selfsubjectaccessreviews", "create")


def test_missing_permissions_are_named_in_one_line(api: ApiClient, namespace: Namespace, tmp_path: Path) -> None:
    documents = install(api, "namespaced.yaml", namespace.name)
    (role,) = [one for one in documents if one["kind"] == "Role" and one["metadata"]["name"] == "policyserver-operator"]
    role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["ingresses"]]
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace.name}/roles/policyserver-operator"
    api.request("PUT", path, json=role)
    credentials = kubeconfig(api, tmp_path, namespace.name)
    with OperatorProcess(credentials, tmp_path / "log", f"--namespace={namespace.name}") as operator:
        assert operator.wait(30) == 2
        said = operator.log.splitlines()
    assert len(said) == 1
    assert "get, list, watch, create, patch, delete ingresses.networking.k8s.io" in said[0]
    assert f"in namespace {namespace.name}" in said[0]


@pytest.mark.usefixtures("api")
def test_no_cluster_is_said_in_one_line(tmp_path: Path) -> None:
    with OperatorProcess(tmp_path / "absent", tmp_path / "log") as operator:
        assert operator.wait(30) == 2
        assert operator.log.startswith("error: not in a cluster")
        assert len(operator.log.splitlines()) == 1


def test_every_permission_is_used_and_no_other(plane: ControlPlane, request: pytest.FixtureRequest) -> None:
    """Runs last: what it judges is what all tests before it made the operators do."""
    ran = {item.path.name for item in request.session.items}
    needed = {
        "test_children.py",
        "test_digests.py",
        "test_ray.py",
        "test_replicas.py",
        "test_routers.py",
        "test_routes.py",
    }
    if not needed <= ran:
        pytest.skip("needs the other tests to have run")
    assert plane.audit_log is not None
    used = set(audit.permissions(plane.audit_log)) - {SELF_REVIEW}
    print(f"used but not in the Role: {sorted(used - LISTED)}; in the Role but not used: {sorted(LISTED - used)}")
    optional = set() if kuberay.VARIABLE in os.environ else OF_KUBERAY
    assert used - optional == LISTED - optional
    assert {verb for _, resource, verb in used if resource == "secrets"} == {"create"}
