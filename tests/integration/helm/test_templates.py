"""What the chart makes of values, as files to read and to compare with.

    REFRESH_GOLDEN=1 pytest tests/integration/helm

writes them anew; `git diff` then shows what a change changes in the cluster.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_operator import kinds
from policy_operator.kubernetes_yaml import dump
from tests.integration.helm.chart import (
    OPERATOR,
    REPOSITORY,
    SYSTEM_NAMESPACE,
    Helm,
    Object,
    container,
    environment,
    one,
)
from tests.permissions import asked, granted

GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "namespaced": {"watchNamespace": "cats"},
    "air-gapped": {
        "global": {"imageRegistry": "registry.example:5000/mirror"},
        "image": {
            "tag": "1.2.3",
            "pullPolicy": "Always",
            "server": {"digest": f"sha256:{'a' * 64}"},
        },
        "imagePullSecrets": [{"name": "mirror"}],
        "allowPrivateModelAddresses": True,
        "clusterDomain": "cluster.example",
        "extraEnv": [{"name": "POLICYSERVER_WORKERS", "value": "16"}],
        "replicas": 3,
        "serviceAccount": {"name": "operator", "annotations": {"team": "cats"}},
        "resources": {"limits": {"memory": "1Gi"}},
        "nodeSelector": {"zone": "inside"},
        "tolerations": [{"key": "inside", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
        "priorityClassName": "system-cluster-critical",
        "networkPolicy": {"enabled": True, "apiServerPorts": [8443], "apiServerCIDRs": ["10.1.2.3/32"]},
        "commonLabels": {"team": "cats", "cost": "1"},
        "podLabels": {"team": "mice"},
        "podAnnotations": {"note": "of the pods"},
    },
}


@pytest.mark.parametrize("name", CASES)
def test_objects_are_those_of_the_golden_file(helm: Helm, name: str) -> None:
    """The kind, the dashboards, and what `helm test` runs, have tests of their own."""
    options = ("--skip-tests", "--set=crds.install=false,monitoring.dashboards.enabled=false")
    text = dump(helm.render(*options, **CASES[name]))
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("REFRESH_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_every_golden_file_has_its_case() -> None:
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == set(CASES)


@pytest.mark.parametrize(("values", "kind"), [({}, "ClusterRole"), ({"watchNamespace": "cats"}, "Role")])
def test_a_role_allows_what_is_asked_for_and_no_more(helm: Helm, values: dict[str, Any], kind: str) -> None:
    documents = helm.render("--skip-tests", **values)
    assert granted(documents, kind, OPERATOR) == asked(kinds.PERMISSIONS)
    assert granted(documents, "Role", f"{OPERATOR}-lease") == asked(kinds.LEASE_PERMISSIONS)


def test_one_namespace_needs_nothing_of_the_cluster(helm: Helm) -> None:
    documents = helm.render("--set=crds.install=false", watchNamespace="cats")
    assert not [each for each in documents if "namespace" not in each["metadata"]]
    assert {each["metadata"]["namespace"] for each in documents} == {"cats", SYSTEM_NAMESPACE}


@pytest.mark.parametrize(
    ("file", "values"), [("cluster.yaml", {}), ("namespaced.yaml", {"watchNamespace": SYSTEM_NAMESPACE})]
)
def test_what_is_applied_without_helm_is_the_same(helm: Helm, file: str, values: dict[str, Any]) -> None:
    text = (REPOSITORY / "manifests" / "install" / file).read_text()
    by_hand = [each for each in yaml.safe_load_all(text) if each["kind"] != "Namespace"]
    chart = helm.render("--skip-tests", "--set=crds.install=false,image.tag=latest", **values)
    assert _named(chart).keys() - _named(by_hand).keys() == {
        ("PodDisruptionBudget", SYSTEM_NAMESPACE, OPERATOR),
        ("Service", SYSTEM_NAMESPACE, OPERATOR),
        ("ConfigMap", SYSTEM_NAMESPACE, "policyserver-dashboards"),
    }
    for key, wanted in _named(by_hand).items():
        assert _named(chart)[key] == wanted, key


def _named(documents: list[Object]) -> dict[tuple[str, str | None, str], Object]:
    """By kind, namespace and name: all but the labels; of a Deployment, what the variables are."""
    found = {}
    for each in documents:
        metadata = each["metadata"]
        rest = {key: value for key, value in each.items() if key != "metadata"}
        if each["kind"] == "Deployment":
            pods = each["spec"]["template"]
            own = {**container(each), "env": environment(each)}
            template = {**pods, "spec": {**pods["spec"], "containers": [own]}}
            rest["spec"] = {**each["spec"], "template": template}
        found[each["kind"], metadata.get("namespace"), metadata["name"]] = rest
    return found


@pytest.mark.parametrize("keep", [True, False])
def test_the_kind_is_the_generated_one_and_kept_on_request(helm: Helm, keep: bool) -> None:
    crd = one(helm.render(crds={"keep": keep}), "CustomResourceDefinition", "policyservers.policyserver.io")
    annotations = crd["metadata"].pop("annotations", {})
    assert crd["metadata"].pop("labels")["app.kubernetes.io/managed-by"] == "Helm"
    assert crd == yaml.safe_load((REPOSITORY / "crds" / "policyservers.yaml").read_text())
    assert annotations == ({"helm.sh/resource-policy": "keep"} if keep else {})


def test_one_value_moves_every_image_to_another_registry(helm: Helm) -> None:
    documents = helm.render(**{"global": {"imageRegistry": "registry.example/"}, "image": {"tag": "1"}})
    deployment, test = one(documents, "Deployment"), one(documents, "Pod", f"{OPERATOR}-test")
    variables = environment(deployment)
    assert [container(deployment)["image"], container(test)["image"]] == [
        "registry.example/policyserver/operator:1"
    ] * 2
    assert variables["POLICYSERVER_SERVER_IMAGE"] == "registry.example/policyserver/server:1"
    assert variables["POLICYSERVER_IMPORTER_IMAGE"] == "registry.example/policyserver/importer-{framework}:1"
    assert variables["POLICYSERVER_STORE_IMAGE"] == "registry.example/valkey/valkey:8"
    assert variables["POLICYSERVER_SDK_IMAGE"] == "registry.example/policyserver/sdk-generator:1"
    assert variables["POLICYSERVER_RAY_IMAGE"] == "registry.example/policyserver/server-ray:1"


def test_what_exists_already_is_used_and_not_made(helm: Helm) -> None:
    none = {"create": False}
    documents = helm.render(
        "--skip-tests",
        rbac=none,
        serviceAccount={**none, "name": "mine"},
        podDisruptionBudget={"enabled": False},
        monitoring={"dashboards": {"enabled": False}},
    )
    assert [each["kind"] for each in documents] == ["CustomResourceDefinition", "Service", "Deployment"]
    assert one(documents, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"


def test_the_test_pod_is_no_pod_of_the_operator(helm: Helm) -> None:
    documents = helm.render(networkPolicy={"enabled": True})
    labels = one(documents, "Pod", f"{OPERATOR}-test")["metadata"]["labels"]
    wanted = {"app.kubernetes.io/name": OPERATOR}
    assert one(documents, "Deployment")["spec"]["selector"] == {"matchLabels": wanted}
    assert one(documents, "PodDisruptionBudget")["spec"]["selector"] == {"matchLabels": wanted}
    assert one(documents, "NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": wanted}
    assert labels["app.kubernetes.io/name"] != OPERATOR
