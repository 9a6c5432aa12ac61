"""The operator's rights: what it used of them in all that the other tests made it do. Runs last."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e import installation
from tests.e2e.bundles import preferring
from tests.e2e.routed import Routed
from tests.e2e.space import SCHEMA, Space
from tests.e2e.target import Target
from tests.integration.operator_core import audit

Right = tuple[str, str, str]
# KubeRay isn't there; what it is needed for is tested without pods, in tests/integration/operator_core/test_ray.py.
OF_KUBERAY = {("apps", "deployments", "delete")} | {
    ("ray.io", "rayservices", verb) for verb in ("get", "list", "watch", "create", "patch", "delete")
}

# Every user of a cluster may ask these about themselves, and read what kinds there are.
ANYONES = {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}
NEEDED = {f"test_{name}.py" for name in ("deletion", "examples", "healing", "keys", "models", "rollouts", "routers")}


def granted() -> set[Right]:
    """API group, resource and verb of all that the operator's Roles allow."""
    roles = [one for one in yaml.safe_load_all(installation.INSTALL.read_text()) if one["kind"].endswith("Role")]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_a_url_path_that_is_taken_is_told_and_given_up(space: Space, tmp_path: Path) -> None:
    uri = space.tools.serve("path.zip", preferring(1, tmp_path / "bundle"))
    space.serve("a-first", uri, urlPath=f"{space.name}/path")
    space.serve("b-second", uri)  # by name, should both be made in one second
    for name in ("a-first", "b-second"):
        space.wait_for(lambda name=name: space.kubectl.get("ingress", name, space.name), f"the Ingress {name}")  # type: ignore[misc]
    space.serve("b-second", uri, urlPath=f"{space.name}/path")
    space.wait_for(lambda: space.condition("b-second", "RouteReady").get("reason") == "UrlPathTaken", "UrlPathTaken")
    assert f"{space.name}/a-first" in space.condition("b-second", "RouteReady")["message"]
    space.wait_for(lambda: not space.kubectl.get("ingress", "b-second", space.name), "the end of its Ingress")


def test_configurations_that_no_pod_needs_any_more_are_gone(space: Space, tmp_path: Path) -> None:
    uri = space.tools.serve("former.zip", preferring(1, tmp_path / "bundle"))

    def configurations() -> set[str]:
        found = (one["metadata"]["name"] for one in space.kubectl.every("configmaps", space.name))
        return {name for name in found if "-config-" in name}

    first: set[str] = set()
    for number in range(4):  # one more than the Deployment remembers
        space.serve("former", uri, urlPath=f"{space.name}/v{number}")
        space.wait_until_ready("former")
        first = first or configurations()
    assert len(first) == 1
    space.wait_for(lambda: not first & configurations(), "the end of the first configuration")


def test_a_store_that_no_replica_needs_any_more_is_gone(space: Space, tmp_path: Path) -> None:
    uri = space.tools.serve("store.zip", preferring(1, tmp_path / "bundle"))
    Routed(space, "shrunk", {"one": uri, "two": uri}, schema=SCHEMA, replicas=2).apply({"mode": "UCB1"})

    def store() -> list[str]:
        told = space.kubectl("get", "statefulsets,services", f"--namespace={space.name}", "--output=name")
        return [name for name in told.split() if name.endswith("/shrunk-store")]

    space.wait_for(lambda: len(store()) == 2, "the store")
    space.wait_until_ready("shrunk")
    space.kubectl("scale", "policyserver/shrunk", "--replicas=1", f"--namespace={space.name}")
    space.wait_for(lambda: not store(), "its end")


def test_the_operator_used_all_of_its_role_and_nothing_else(
    operator: Target, audit_start: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if operator.cluster is None:
        pytest.skip("the audit log of this cluster isn't ours to read")
    if missing := NEEDED - {item.path.name for item in request.session.items}:
        pytest.skip(f"needs the other tests to have run: {', '.join(sorted(missing))}")
    with operator.cluster.audit_log.open("rb") as log:
        log.seek(audit_start)
        (tmp_path / "audit.log").write_bytes(log.read())
    used, allowed = set(audit.permissions(tmp_path / "audit.log")) - ANYONES, granted()
    print(f"used but not in the Role: {sorted(used - allowed)}; in the Role but not used: {sorted(allowed - used)}")
    assert used - allowed == set()
    assert allowed - used - OF_KUBERAY == set()
