"""The Roles of manifests/install and the rights that the operator asks for are the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_operator import kinds
from policy_operator.kinds import Permission

INSTALL = Path(__file__).parents[3] / "manifests" / "install"


def granted(file: str, kind: str, name: str) -> set[tuple[str, str, str]]:
    """API group, resource and verb of all that a role in a file allows."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all((INSTALL / file).read_text()))
    (role,) = [one for one in documents if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(permissions: tuple[Permission, ...]) -> set[tuple[str, str, str]]:
    return {(one.kind.group, one.resource, verb) for one in permissions for verb in one.verbs}


@pytest.mark.parametrize(("file", "kind"), [("cluster.yaml", "ClusterRole"), ("namespaced.yaml", "Role")])
def test_a_role_allows_what_is_asked_for_and_no_more(file: str, kind: str) -> None:
    assert granted(file, kind, "policyserver-operator") == asked(kinds.PERMISSIONS)
    assert granted(file, "Role", "policyserver-operator-lease") == asked(kinds.LEASE_PERMISSIONS)


def test_the_operator_reads_no_secrets() -> None:
    assert "secrets" not in (INSTALL / "cluster.yaml").read_text() + (INSTALL / "namespaced.yaml").read_text()


def test_one_namespace_needs_nothing_of_the_cluster() -> None:
    documents = list(yaml.safe_load_all((INSTALL / "namespaced.yaml").read_text()))
    assert {one["kind"] for one in documents} == {"ServiceAccount", "Role", "RoleBinding", "Deployment"}


def test_both_run_the_same_operator_but_for_the_namespace() -> None:
    containers = []
    for file in ("cluster.yaml", "namespaced.yaml"):
        (deployment,) = [one for one in yaml.safe_load_all((INSTALL / file).read_text()) if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        container["env"] = [one for one in container["env"] if one["name"] != "POLICYSERVER_NAMESPACE"]
        containers.append(deployment["spec"])
    assert containers[0] == containers[1]
