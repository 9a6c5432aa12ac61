"""One real API server and controller-manager for all tests here, and an operator with its own rights."""

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import yaml

from tests.cluster import layout
from tests.cluster.control_plane import ControlPlane
from tests.cluster.versions import CONTROL_PLANE
from tests.integration.operator_core.api_client import ApiClient, Namespace, wait_for
from tests.integration.operator_core.operators import SYSTEM_NAMESPACE, OperatorProcess, Start, install, kubeconfig

CRDS = Path(__file__).parents[3] / "crds"
SERVICE_MONITORS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            }
        ],
    },
}
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the audit log holds is judged when all others have run."""
    items.sort(key=lambda item: item.name == "test_every_permission_is_used_and_no_other")


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """etcd, the API server and the controller-manager."""
    folder = layout.assets() or layout.cache() / "bin"
    if not all((folder / program).exists() for program in CONTROL_PLANE):
        message = f"not built: python -m tests.cluster build {' '.join(CONTROL_PLANE)}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with ControlPlane(audit=True) as plane:
        yield plane


@pytest.fixture(scope="session")
def api(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """An administrator's client, with the kinds and the operator's rights installed."""
    with closing(ApiClient(plane.kubeconfig, tmp_path_factory.mktemp("administrator"))) as client:
        _prepare(client)
        yield client


def _prepare(client: ApiClient) -> None:
    crds = [SERVICE_MONITORS, *(yaml.safe_load(file.read_text()) for file in sorted(CRDS.glob("*.yaml")))]
    for crd in crds:
        client.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}", crd)
    for crd in crds:
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        path = f"/apis/{group}/{crd['spec']['versions'][0]['name']}/{plural}"
        wait_for(lambda path=path: client.request("GET", path) is not None, path)  # type: ignore[misc]
    install(client, "cluster.yaml")


@pytest.fixture(scope="session")
def credentials(api: ApiClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of the operator's own ServiceAccount."""
    return kubeconfig(api, tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def operator(credentials: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator for the whole cluster. It looks at everything every two seconds, however little happens."""
    log = tmp_path_factory.mktemp("operator") / "log"
    options = (f"--operator-namespace={SYSTEM_NAMESPACE}", "--resync-seconds=2")
    with OperatorProcess(credentials, log, *options) as process:
        yield process.wait_until_leading()
        # Whatever the tests did to it, it ends as it should.
        code, seconds = process.stop()
        assert (code, seconds < 10) == (0, True), process.log
        assert "Traceback" not in process.log, process.log


@pytest.fixture
def namespace(api: ApiClient) -> Iterator[Namespace]:
    """A namespace that accepts nothing but the restricted Pod Security standard."""
    name = f"test-{next(_numbers)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    api.create("/api/v1/namespaces", body)
    # Until the controller-manager has made it, pods are refused, and tried again less and less often.
    wait_for(lambda: api.request("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default"), "the ServiceAccount")
    yield Namespace(api, name)
    api.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def start(api: ApiClient, namespace: Namespace, tmp_path: Path) -> Iterator[Start]:
    """Starts an operator that has rights in this one namespace and no other."""
    install(api, "namespaced.yaml", namespace.name)
    credentials = kubeconfig(api, tmp_path, namespace.name)
    numbers = itertools.count()
    with ExitStack() as running:

        def start() -> OperatorProcess:
            log = tmp_path / f"operator-{next(numbers)}.log"
            return running.enter_context(OperatorProcess(credentials, log, f"--namespace={namespace.name}"))

        yield start
