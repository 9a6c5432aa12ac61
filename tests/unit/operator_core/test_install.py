"""The Roles of manifests/install and the rights that the operator asks for are the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_operator import kinds
from tests.permissions import asked, granted

INSTALL = Path(__file__).parents[3] / "manifests" / "install"


def documents(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((INSTALL / file).read_text()))


@pytest.mark.parametrize(("file", "kind"), [("cluster.yaml", "ClusterRole"), ("namespaced.yaml", "Role")])
def test_a_role_allows_what_is_asked_for_and_no_more(file: str, kind: str) -> None:
    assert granted(documents(file), kind, "policyserver-operator") == asked(kinds.PERMISSIONS)
    assert granted(documents(file), "Role", "policyserver-operator-lease") == asked(kinds.LEASE_PERMISSIONS)


@pytest.mark.parametrize(("file", "kind"), [("cluster.yaml", "ClusterRole"), ("namespaced.yaml", "Role")])
def test_the_operator_may_make_secrets_and_not_read_them(file: str, kind: str) -> None:
    rights = granted(documents(file), kind, "policyserver-operator")
    assert {verb for _, resource, verb in rights if resource in ("secrets", "*")} == {"create"}


def test_one_namespace_needs_nothing_of_the_cluster() -> None:
    made = {one["kind"] for one in documents("namespaced.yaml")}
    assert made == {"ServiceAccount", "Role", "RoleBinding", "Deployment"}


def test_both_run_the_same_operator_but_for_the_namespace() -> None:
    containers = []
    for file in ("cluster.yaml", "namespaced.yaml"):
        (deployment,) = [one for one in documents(file) if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        container["env"] = [one for one in container["env"] if one["name"] != "POLICYSERVER_NAMESPACE"]
        containers.append(deployment["spec"])
    assert containers[0] == containers[1]
