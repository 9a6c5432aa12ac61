"""The chart in a real API server, whose controllers make pods that no node runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from tests.cluster.control_plane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.integration.helm.chart import (
    CHART,
    OPERATOR,
    RELEASE,
    REPOSITORY,
    SYSTEM_NAMESPACE,
    Helm,
    HelmFailed,
    Object,
    one,
)
from tests.integration.operator_core.api_client import ApiClient, wait_for
from tests.integration.operator_core.operators import OperatorProcess, kubeconfig

KIND = "policyservers.policyserver.io"
CATS = "cats"
TEST = f"{OPERATOR}-test"
ABANDONED: Object = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": OPERATOR, "namespace": SYSTEM_NAMESPACE},
    "spec": {
        "holderIdentity": "one-that-crashed",
        "leaseDurationSeconds": 1,
        "leaseTransitions": 0,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
    },
}


@pytest.fixture(scope="module")
def cluster(helm: Helm, plane: ControlPlane) -> Helm:
    """Helm for this cluster, whose namespaces accept nothing but the restricted Pod Security standard."""
    for name in (SYSTEM_NAMESPACE, CATS, "other"):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        apply(plane, namespace)
    return helm.against(plane.kubeconfig)


@pytest.fixture
def notes(cluster: Helm) -> Iterator[str]:
    """The release for the whole cluster, uninstalled at the end; what Helm said."""
    yield cluster("install", RELEASE, CHART, f"--namespace={SYSTEM_NAMESPACE}")
    cluster("uninstall", RELEASE, f"--namespace={SYSTEM_NAMESPACE}", "--wait")


@pytest.fixture
def of_one_namespace(cluster: Helm, notes: str) -> Iterator[None]:
    """A second release, with rights in one namespace, beside the first."""
    assert notes
    cluster(
        "install", "more", CHART, f"--namespace={CATS}", values={"watchNamespace": CATS, "crds": {"install": False}}
    )
    yield
    cluster("uninstall", "more", f"--namespace={CATS}", "--wait")


def apply(plane: ControlPlane, *documents: Object, **options: str) -> None:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    plane.kubectl("apply", "--filename=-", *flags, stdin=yaml.safe_dump_all(documents))


def get(plane: ControlPlane, *what: str) -> Object:
    found: Object = json.loads(plane.kubectl("get", "--output=json", *what))
    return found


def identity(plane: ControlPlane, folder: Path, namespace: str, account: str = OPERATOR) -> Path:
    """A kubeconfig of a ServiceAccount."""
    folder.mkdir(exist_ok=True)
    if account == OPERATOR:
        with closing(ApiClient(plane.kubeconfig, folder)) as client:
            return kubeconfig(client, folder, namespace)
    config = yaml.safe_load(plane.kubeconfig.read_text())
    token = plane.kubectl("create", "token", account, f"--namespace={namespace}").strip()
    config["users"][0]["user"] = {"token": token}
    file = folder / f"{account}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def test_restricted_namespaces_accept_the_operators_pods(plane: ControlPlane, notes: str) -> None:
    assert "STATUS: deployed" in notes
    mine = ("pods", f"--namespace={SYSTEM_NAMESPACE}", f"--selector=app.kubernetes.io/name={OPERATOR}")
    wait_for(lambda: len(get(plane, *mine)["items"]) == 2, "two pods of the operator")
    budget = ("poddisruptionbudget", OPERATOR, f"--namespace={SYSTEM_NAMESPACE}")
    wait_for(lambda: get(plane, *budget)["status"].get("expectedPods") == 2, "the budget to find them")


def test_the_notes_can_be_followed(plane: ControlPlane, notes: str) -> None:
    (commands,) = re.findall(r"^kubectl create secret .*?^END$", notes, re.MULTILINE | re.DOTALL)
    environment = os.environ | {
        "KUBECONFIG": str(plane.kubeconfig),
        "PATH": f"{plane.programs}:{os.environ['PATH']}",
    }
    subprocess.run(["bash", "-euc", commands], env=environment, check=True, capture_output=True, timeout=60)
    assert get(plane, "policyserver", "mouse", "--namespace=default")["spec"]["apiKeySecret"] == {"name": "mouse-keys"}
    plane.kubectl("delete", "policyserver/mouse", "secret/mouse-keys", "--namespace=default")


def test_two_operators_run_side_by_side_with_the_rights_that_the_chart_gives(
    plane: ControlPlane, of_one_namespace: None, tmp_path: Path
) -> None:
    everywhere = (f"--operator-namespace={SYSTEM_NAMESPACE}",)
    with OperatorProcess(identity(plane, tmp_path, SYSTEM_NAMESPACE), tmp_path / "all", *everywhere) as operator:
        operator.wait_until_leading()
        here = (f"--operator-namespace={CATS}", f"--namespace={CATS}")
        with OperatorProcess(identity(plane, tmp_path, CATS), tmp_path / "cats", *here) as second:
            second.wait_until_leading()
            assert operator.leads
            assert (operator.stop()[0], second.stop()[0]) == (0, 0)


def test_rights_for_one_namespace_are_none_in_the_others(
    plane: ControlPlane, of_one_namespace: None, tmp_path: Path
) -> None:
    everywhere = (f"--operator-namespace={CATS}",)
    with OperatorProcess(identity(plane, tmp_path, CATS), tmp_path / "log", *everywhere) as operator:
        assert operator.wait(30) == 2
        assert "policyservers.policyserver.io in all namespaces" in operator.log


def test_a_second_operator_for_the_whole_cluster_is_refused(cluster: Helm, notes: str) -> None:
    assert notes
    with pytest.raises(HelmFailed, match=f'ClusterRole "{OPERATOR}".*exists and cannot be imported'):
        cluster("install", "second", CHART, "--namespace=other", values={"crds": {"install": False}})


def test_what_helm_test_runs_says_what_is_missing(plane: ControlPlane, helm: Helm, notes: str, tmp_path: Path) -> None:
    assert notes
    documents = helm.render()
    apply(plane, *(one(documents, kind, TEST) for kind in ("ServiceAccount", "Role", "RoleBinding")))
    pod = one(documents, "Pod", TEST)
    apply(plane, pod, dry_run="server")  # neither Pod Security nor the API server have anything against it
    python, *arguments, _ = pod["spec"]["containers"][0]["command"]
    assert python == "python"
    environment = os.environ | {"KUBECONFIG": str(identity(plane, tmp_path, SYSTEM_NAMESPACE, TEST))}

    def check(seconds: int) -> tuple[int, str]:
        command = [sys.executable, *arguments, str(seconds)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    code, told = check(0)
    assert (code, "isn't available" in told) == (1, True), told
    plane.stop_controller_manager()  # which knows that no pod runs
    try:
        status = {"status": {"conditions": [{"type": "Available", "status": "True"}]}}
        deployment = ("deployment", OPERATOR, f"--namespace={SYSTEM_NAMESPACE}")
        plane.kubectl("patch", *deployment, "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
        apply(plane, ABANDONED)
        code, told = check(2)
        assert (code, "replicas leads" in told) == (1, True), told
        options = (f"--operator-namespace={SYSTEM_NAMESPACE}",)
        with OperatorProcess(identity(plane, tmp_path, SYSTEM_NAMESPACE), tmp_path / "log", *options) as operator:
            code, told = check(30)
            assert (code, "error" in told) == (0, False), told + operator.log
            assert operator.stop()[0] == 0
    finally:
        plane.start_controller_manager()


def test_a_release_leaves_the_kind_and_what_is_of_it_and_finds_them_again(
    cluster: Helm, plane: ControlPlane, notes: str
) -> None:
    assert notes
    spec = {"modelUri": "https://models.example/mouse.zip", "auth": "none", "schema": {"observations": []}}
    apply(
        plane,
        {"apiVersion": "policyserver.io/v1alpha1", "kind": "PolicyServer", "metadata": {"name": "kept"}}
        | {"spec": spec},
    )
    before = get(plane, "policyserver", "kept")["metadata"]["uid"]
    cluster("uninstall", RELEASE, f"--namespace={SYSTEM_NAMESPACE}", "--wait")
    with pytest.raises(ClusterError, match="not found"):
        get(plane, "clusterrole", OPERATOR)
    assert get(plane, "policyserver", "kept")["metadata"]["uid"] == before
    cluster("install", RELEASE, CHART, f"--namespace={SYSTEM_NAMESPACE}")
    assert get(plane, "policyserver", "kept")["metadata"]["uid"] == before
    plane.kubectl("delete", "policyserver/kept")


def test_a_kind_that_was_applied_by_hand_is_taken_over_on_request(cluster: Helm, plane: ControlPlane) -> None:
    plane.kubectl("delete", "customresourcedefinition", KIND, "--ignore-not-found")
    plane.kubectl("apply", f"--filename={REPOSITORY / 'crds'}")
    install = ("install", RELEASE, CHART, f"--namespace={SYSTEM_NAMESPACE}")
    with pytest.raises(HelmFailed, match=f'CustomResourceDefinition "{KIND}".*exists and cannot be imported'):
        cluster(*install)
    cluster(*install, "--take-ownership")
    cluster("uninstall", RELEASE, f"--namespace={SYSTEM_NAMESPACE}", "--wait")
    assert get(plane, "customresourcedefinition", KIND)


def test_an_upgrade_updates_the_kind(cluster: Helm, plane: ControlPlane, notes: str, tmp_path: Path) -> None:
    assert notes
    earlier = shutil.copytree(CHART, tmp_path / "earlier")
    file = earlier / "files" / "crds" / "policyservers.yaml"
    crd = yaml.safe_load(file.read_text())
    short_names = crd["spec"]["names"].pop("shortNames")
    file.write_text("# An earlier one.\n" + yaml.safe_dump(crd))
    cluster("upgrade", RELEASE, earlier, f"--namespace={SYSTEM_NAMESPACE}")
    assert "shortNames" not in get(plane, "customresourcedefinition", KIND)["spec"]["names"]
    cluster("upgrade", RELEASE, CHART, f"--namespace={SYSTEM_NAMESPACE}")
    assert get(plane, "customresourcedefinition", KIND)["spec"]["names"]["shortNames"] == short_names
