"""The operator as a process of its own, with no more rights than manifests/install gives it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx2
import yaml

from tests.cluster.processes import Identity, start
from tests.integration.operator_core.api_client import ApiClient, Object, wait_for
from tests.ports import free_port

INSTALL = Path(__file__).parents[3] / "manifests" / "install"
SYSTEM_NAMESPACE = "policyserver-system"

_PATHS = {
    "Namespace": "/api/v1/namespaces/{name}",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name}",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
}


def install(api: ApiClient, file: str, namespace: str = SYSTEM_NAMESPACE) -> list[Object]:
    """Applies what a file of manifests/install holds, but the operator's Deployment: there is no node to run it."""
    text = (INSTALL / file).read_text().replace(SYSTEM_NAMESPACE, namespace)
    documents: list[Object] = list(yaml.safe_load_all(text))
    for document in documents:
        path = _PATHS[document["kind"]].format(**document["metadata"])
        # A dry run of the Deployment still shows that the API server, and Pod Security, have nothing against it.
        query = {"dryRun": "All"} if document["kind"] == "Deployment" else {}
        api.apply(path, document, **query)
    return documents


def kubeconfig(api: ApiClient, folder: Path, namespace: str = SYSTEM_NAMESPACE) -> Path:
    """A kubeconfig of the operator's ServiceAccount."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/policyserver-operator/token"
    token = api.create(path, {"spec": {"expirationSeconds": 7200}})["status"]["token"]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [
            {"name": "it", "cluster": {"server": api.server, "certificate-authority-data": api.authority}},
        ],
        "users": [{"name": "it", "user": {"token": token}}],
    }
    file = folder / f"{namespace}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


class OperatorProcess:
    """`python -m policy_operator run`."""

    def __init__(self, kubeconfig: Path, log: Path, *options: str) -> None:
        self.health_port, self.metrics_port = free_port(), free_port()
        self._log = log
        ports = f"--health-port={self.health_port}", f"--metrics-port={self.metrics_port}"
        self._process = start(
            [sys.executable, "-m", "policy_operator", "run", *ports, *options],
            log,
            os.environ | {"KUBECONFIG": str(kubeconfig)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def leads(self) -> bool:
        told = re.findall(r" leads( no longer)?$", self.log, re.MULTILINE)
        return bool(told) and told[-1] == ""

    def wait_until_leading(self, seconds: float = 30) -> Self:
        wait_for(lambda: self.leads or not self.running, "the operator to lead", seconds)
        assert self.running, self.log
        return self

    def is_healthy(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.health_port}/healthz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def stop(self) -> tuple[int, float]:
        """Asks it to end, as Kubernetes does; returns the exit code and the seconds it took."""
        began = time.monotonic()
        self._process.terminate()
        try:
            code = self._process.wait(20)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"didn't end in 20 s: {self.log}") from None
        return code, time.monotonic() - began

    def wait(self, seconds: float) -> int:
        """Waits for its end; returns the exit code."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        if (identity := Identity.of(self._process.pid)) is not None and self.running:
            identity.stop(grace=0)
        self._process.wait(10)


Start = Callable[[], OperatorProcess]
"""Starts one more operator of a test's own."""
