"""The chart, as Helm installs it in a namespace, upgrades it and uninstalls it, while policies are served there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_operator import kinds
from policy_operator.manifests import read
from policy_operator.sample_request import sample_request
from tests.e2e import installation
from tests.e2e.bundles import preferring
from tests.e2e.demo import EXAMPLE
from tests.e2e.kubectl import KubectlFailed, Object
from tests.e2e.space import OBSERVATION, Space
from tests.e2e.target import Target
from tests.e2e.tools import Tools
from tests.integration.helm.chart import CHART, OPERATOR, RELEASE, Helm, HelmFailed
from tests.integration.sources.conftest import program

NAMESPACE = "e2e-chart"
CHARTS = Path(__file__).parent / "charts"
EARLIER = CHARTS / "policyserver-0.0.9.tgz"
KEPT_AWAY = CHARTS / "kept-away.yaml"
OTHER_OPERATOR = f"system:serviceaccount:{installation.NAMESPACE}:{installation.OPERATOR}"
MIRROR: Object = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "mirror"},
    "type": "kubernetes.io/dockerconfigjson",
    "stringData": {".dockerconfigjson": '{"auths": {}}'},
}


class Release:
    """An operator that Helm installs in a namespace, for this namespace alone."""

    def __init__(self, helm: Helm, space: Space) -> None:
        self._helm, self._kubectl, self._space = helm, space.kubectl, space

    def install(self, chart: Path) -> None:
        """`helm install`, until the operator runs."""
        self._run("install", chart, "--wait", values=self._values())

    def upgrade(self, chart: Path, **values: Any) -> None:
        """`helm upgrade`, until the operator of the new chart runs, with some more values."""
        self._run("upgrade", chart, "--wait", values=self._values() | values)

    def test(self) -> str:
        """What `helm test` printed."""
        return self._run("test")

    def uninstall(self) -> None:
        """`helm uninstall`, until the operator's pods are gone; none needs to be installed."""
        self._run("uninstall", "--ignore-not-found", "--wait", "--cascade=foreground")

    def _run(self, command: str, *options: object, values: Object | None = None) -> str:
        here = f"--namespace={self._space.name}"
        try:
            return self._helm(command, RELEASE, *options, here, "--timeout=110s", values=values)
        except HelmFailed as failed:
            there = self._kubectl("get", "pods,events", here)
            raise AssertionError(f"helm {command}: {failed}\n{there}") from None

    def _values(self) -> Object:
        """The images of the cluster that is tested, and the kind that is there already."""
        images = {part: image.rpartition(":") for part, image in self._space.target.images.items()}
        repositories = {part: {"repository": images[part][0]} for part in ("operator", "server")}
        return {
            "image": {"tag": images["operator"][2], "pullPolicy": "IfNotPresent", **repositories},
            "crds": {"install": False},
            "watchNamespace": self._space.name,
            "allowPrivateModelAddresses": True,  # of the file server in the cluster
        }


@pytest.fixture(scope="module")
def helm(operator: Target, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm for the cluster."""
    return Helm(program("helm"), tmp_path_factory.mktemp("helm"), Path(operator.kubectl.environment["KUBECONFIG"]))


@pytest.fixture(scope="module")
def alone(helm: Helm, operator: Target, tools: Tools) -> Iterator[Space]:
    """A namespace in which the operator of the other tests may do nothing."""
    kubectl = operator.kubectl
    space = Space(operator, tools, NAMESPACE)
    space.create()
    kubectl("apply", f"--filename={KEPT_AWAY}")

    def refused() -> bool:
        dry = ("--dry-run=server", f"--as={OTHER_OPERATOR}", f"--namespace={NAMESPACE}")
        try:
            kubectl("create", "configmap", "kept-away", *dry)
        except KubectlFailed as failed:
            return "another operator serves this namespace" in str(failed)
        return False

    space.wait_for(refused, "the other operator to be kept away")
    yield space
    space.remove()
    kubectl("delete", f"--filename={KEPT_AWAY}")


@pytest.fixture
def release(helm: Helm, alone: Space) -> Iterator[Release]:
    """None yet; at the end it is uninstalled, and the url paths of what was served are free again."""
    release = Release(helm, alone)
    yield release
    release.uninstall()
    alone.kubectl("delete", "policyservers", "--all", f"--namespace={NAMESPACE}")
    alone.wait_for(lambda: not alone.kubectl.every("ingresses", NAMESPACE), "the end of what was served")


@pytest.fixture
def model(tools: Tools, tmp_path: Path) -> str:
    """The URL of a model."""
    return tools.serve("chart.zip", preferring(1, tmp_path / "bundle"))


def test_an_installed_chart_passes_its_own_test_and_serves_an_example(release: Release, alone: Space) -> None:
    release.install(CHART)
    alone.apply(EXAMPLE.read_text())
    assert "Succeeded" in release.test()
    (served,) = read([EXAMPLE]).resolve()
    name, sample = served.server.metadata.name, sample_request(served, alone.target.ingress_url)
    assert sample is not None
    alone.wait_until_ready(name)
    alone.wait_until_routed(name)
    answer = alone.tools.ask(f"{alone.service_url(name)}/predict/", yaml.safe_load(sample.body), **sample.headers)
    assert (answer.status, answer.body["actions"]) in [(200, [0]), (200, [1])]


def test_an_upgrade_from_an_earlier_chart_fails_no_request_and_rolls_out_what_it_changes(
    release: Release, alone: Space, model: str
) -> None:
    """No image is as old as the earlier chart: today's operator is lent the rights which that doesn't give it."""
    alone.apply(lent_rights())
    release.install(EARLIER)
    alone.serve("upgraded", model)
    alone.wait_until_ready("upgraded")
    alone.wait_until_routed("upgraded")
    alone.apply([MIRROR])
    with alone.tools.load(f"{alone.service_url('upgraded')}/predict/", OBSERVATION, 500, inside=True) as load:
        alone.kubectl("delete", "rolebinding/lent", f"--namespace={NAMESPACE}")
        release.upgrade(CHART, imagePullSecrets=[{"name": "mirror"}])
        alone.wait_for(lambda: pull_secrets(alone, "upgraded") == [[{"name": "mirror"}]], "one pod, of the new kind")
        alone.wait_until_ready("upgraded")
    assert load.failures == []


def test_what_is_served_outlives_the_release(release: Release, alone: Space, model: str) -> None:
    release.install(CHART)
    alone.serve("left", model)
    alone.wait_until_ready("left")
    alone.wait_until_routed("left")
    before = [pod["metadata"]["uid"] for pod in alone.pods("left")]
    with alone.tools.load(f"{alone.service_url('left')}/predict/", OBSERVATION, 500, inside=True) as load:
        release.uninstall()
    assert load.failures == []
    assert alone.kubectl.every("deployments", NAMESPACE, f"--field-selector=metadata.name={OPERATOR}") == []
    assert [pod["metadata"]["uid"] for pod in alone.pods("left")] == before
    assert alone.ask("left", body=OBSERVATION).status == 200


def lent_rights() -> list[Object]:
    """All rights that today's operator asks for in the namespace that it serves."""
    rules = [
        {"apiGroups": [each.kind.group], "resources": [each.resource], "verbs": list(each.verbs)}
        for each in kinds.PERMISSIONS
    ]
    group = "rbac.authorization.k8s.io"
    role: Object = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "lent"}, "rules": rules}
    binding: Object = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "lent"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "lent"},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}],
    }
    return [role, binding]


def pull_secrets(space: Space, name: str) -> list[list[Object]]:
    """With which Secrets each pod of a PolicyServer pulls its images."""
    return [pod["spec"].get("imagePullSecrets", []) for pod in space.pods(name)]
