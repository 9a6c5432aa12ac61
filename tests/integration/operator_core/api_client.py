"""The API server as tests use it: as an administrator, one request after another."""

import base64
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import yaml

from policy_operator import kinds
from policy_operator.kinds import Kind

Object = dict[str, Any]
Value = TypeVar("Value")

DEADLINE = 60.0
"""When the API server was away, the controller-manager may wait for half a minute before it watches again."""


def wait_for(condition: Callable[[], Value | None], what: str, seconds: float = DEADLINE) -> Value:
    """Returns the first true value of the condition; fails naming `what` when the deadline passes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.03)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


class ApiClient:
    """Reads and writes plain objects."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self.authority: str = cluster["certificate-authority-data"]
        for name in ("client-certificate-data", "client-key-data"):
            (folder / name).write_bytes(base64.b64decode(user[name]))
        context = ssl.create_default_context(cadata=base64.b64decode(self.authority).decode())
        context.load_cert_chain(folder / "client-certificate-data", folder / "client-key-data")
        self._http = httpx2.Client(base_url=self.server, verify=context, timeout=30)

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """What the API server answers; None for 404."""
        while (response := self._http.request(method, path, **options)).status_code == 429:
            time.sleep(0.1)  # a new kind's storage begins; kubectl waits too
        if response.status_code == 404:
            return None
        assert response.is_success, f"{method} {path}: {response.text}"
        return response.json()

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        found: Object | None = self.request("GET", kind.path(namespace, name))
        return found

    def every(self, kind: Kind, namespace: str) -> list[Object]:
        found = self.request("GET", kind.path(namespace))
        return [] if found is None else list(found["items"])

    def create(self, path: str, body: Object) -> Object:
        created: Object = self.request("POST", path, json=body)
        assert created is not None
        return created

    def apply(self, path: str, body: Object, **query: str) -> Object:
        """As `kubectl apply --server-side` does."""
        applied: Object = self.request(
            "PATCH",
            path,
            json=body,
            params={"fieldManager": "tests", "force": "true"} | query,
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        assert applied is not None, f"no such path: {path}"
        return applied

    def merge(self, kind: Kind, namespace: str, name: str, patch: Object, subresource: str | None = None) -> Object:
        """Changes an object by hand."""
        path = kind.path(namespace, name, subresource)
        headers = {"Content-Type": "application/merge-patch+json"}
        merged: Object = self.request("PATCH", path, json=patch, headers=headers)
        return merged

    def delete(self, kind: Kind, namespace: str, name: str, options: Object | None = None) -> None:
        self.request("DELETE", kind.path(namespace, name), json=options or {"propagationPolicy": "Background"})


def conditions(server: Object | None) -> dict[str, Object]:
    """The conditions of an object, by type."""
    found = (server or {}).get("status", {}).get("conditions", [])
    return {condition["type"]: condition for condition in found}


class Namespace:
    """One test's namespace, and the PolicyServers in it."""

    def __init__(self, api: ApiClient, name: str) -> None:
        self.api = api
        self.name = name

    def serve(self, name: str, **spec: Any) -> Object:
        """Applies a PolicyServer; a field that is None is left out."""
        body: Object = {
            "apiVersion": kinds.POLICY_SERVER.api_version,
            "kind": "PolicyServer",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {"modelUri": "https://models.example/mouse.zip", "auth": "none"} | spec,
        }
        if not {"schema", "schemaText", "schemaFrom"} & spec.keys():
            body["spec"]["schema"] = {"observations": [{"name": "mouse_row", "type": "float"}]}
        body["spec"] = {field: value for field, value in body["spec"].items() if value is not None}
        return self.api.apply(kinds.POLICY_SERVER.path(self.name, name), body)

    def server(self, name: str) -> Object:
        found = self.api.get(kinds.POLICY_SERVER, self.name, name)
        assert found is not None
        return found

    def get(self, kind: Kind, name: str) -> Object | None:
        return self.api.get(kind, self.name, name)

    def every(self, kind: Kind) -> list[Object]:
        return self.api.every(kind, self.name)

    def wait_for(self, kind: Kind, name: str) -> Object:
        return wait_for(lambda: self.get(kind, name), f"{kind} {name}")

    def wait_for_none(self, kind: Kind, name: str, seconds: float = DEADLINE) -> None:
        wait_for(lambda: self.get(kind, name) is None, f"the end of {kind} {name}", seconds)

    def wait_for_condition(self, server: str, kind: str, status: str, reason: str) -> Object:
        """The condition, once it has this status and reason for the current generation."""

        def found() -> Object | None:
            live = self.server(server)
            one = conditions(live).get(kind, {})
            current = one.get("observedGeneration") == live["metadata"]["generation"]
            return one if current and (one["status"], one["reason"]) == (status, reason) else None

        try:
            return wait_for(found, f"{kind} {status} {reason}")
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {conditions(self.server(server))}") from None

    def wait_for_pods(self, count: int, version: str | None = None) -> list[Object]:
        """The servers' pods, once there are so many (with this value of the version annotation)."""

        def found() -> list[Object] | None:
            pods = [pod for pod in self.every(kinds.POD) if "deletionTimestamp" not in pod["metadata"]]
            pods = [pod for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/name"] == "policyserver"]
            pods = [pod for pod in pods if version in (None, pod["metadata"]["annotations"]["policyserver.io/version"])]
            return pods if len(pods) == count else None

        try:
            return wait_for(found, f"{count} pods")
        except AssertionError as error:
            makers = (kinds.POLICY_SERVER, kinds.DEPLOYMENT, kinds.REPLICA_SET)
            there = {str(kind): [conditions(maker) for maker in self.every(kind)] for kind in makers}
            raise AssertionError(f"{error}; there is {there}") from None

    def wait_for_version_other_than(self, version: str, deployment: str) -> str:
        """The version of the Deployment's pods, once it has changed."""

        def found() -> str | None:
            now = version_of(self.wait_for(kinds.DEPLOYMENT, deployment))
            return now if now != version else None

        return wait_for(found, "another version")


def version_of(deployment: Object) -> str:
    """The version of the pods that a Deployment makes."""
    version: str = deployment["spec"]["template"]["metadata"]["annotations"]["policyserver.io/version"]
    return version
