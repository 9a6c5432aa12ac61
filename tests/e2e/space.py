"""A namespace of one test's own, and the PolicyServers in it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

import yaml

from tests import serving
from tests.e2e.installation import NAMESPACE as SYSTEM
from tests.e2e.installation import OPERATOR
from tests.e2e.kubectl import KubectlFailed, Object
from tests.e2e.target import Target
from tests.e2e.tools import Tools
from tests.serving import Answer

Value = TypeVar("Value")

LABEL = "policyserver-e2e"
DEADLINE = 180.0
"""Seconds; what is waited for takes about a tenth of it, on two cores."""
SCHEMA: Object = {"observations": [{"name": name, "type": "float"} for name in ("zeal", "age", "mood")]}
OBSERVATION = {"zeal": 1.0, "age": 2.0, "mood": 3.0}


def status_of(url: str) -> int:
    """The status of what this machine gets from a URL, which may be no JSON; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Space:
    """Accepts nothing but the restricted Pod Security standard."""

    def __init__(self, target: Target, tools: Tools, name: str) -> None:
        self.target, self.tools, self.name = target, tools, name
        self.kubectl = target.kubectl

    def create(self) -> None:
        """Makes the namespace."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted", LABEL: "true"}
        self.kubectl.apply(
            [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}]
        )

    def remove(self) -> None:
        """Takes it away, with all that is in it."""
        self.kubectl("delete", "namespace", self.name, "--wait=false")

    def apply(self, manifest: str | list[Object]) -> None:
        """`kubectl apply`."""
        self.kubectl.apply(manifest, self.name)

    def serve(self, name: str, uri: str | None, **spec: Any) -> None:
        """Applies a PolicyServer of three observations, for everyone; what is None in its spec isn't written."""
        whole = {"modelUri": uri, "format": "Bundle", "schema": SCHEMA, "auth": "none"} | spec
        whole = {field: value for field, value in whole.items() if value is not None}
        document = {"apiVersion": "policyserver.io/v1alpha1", "kind": "PolicyServer", "metadata": {"name": name}}
        self.apply([document | {"spec": whole}])

    def server(self, name: str) -> Object:
        """A PolicyServer as it is now."""
        found = self.kubectl.get("policyserver", name, self.name)
        assert found is not None
        return found

    def condition(self, name: str, kind: str) -> Object:
        """A condition of the current generation; an empty one while there is none."""
        live = self.server(name)
        for condition in live.get("status", {}).get("conditions", []):
            if condition["type"] == kind and condition["observedGeneration"] == live["metadata"]["generation"]:
                return dict(condition)
        return {}

    def wait_until_ready(self, name: str, seconds: float = DEADLINE) -> None:
        """Waits for the condition Ready; tells what the status says when it doesn't come."""
        self.wait_for(lambda: self.condition(name, "Ready").get("status") == "True", f"{name} to be Ready", seconds)

    def wait_for(self, condition: Callable[[], Value], what: str, seconds: float = DEADLINE) -> Value:
        """The condition's first true value; when it doesn't come, all that explains why."""
        try:
            return serving.wait_for(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._explained()}") from None

    def pods(self, name: str) -> list[Object]:
        """The pods of a PolicyServer that aren't about to end, without its store's."""
        selector = f"--selector=app.kubernetes.io/name=policyserver,app.kubernetes.io/instance={name}"
        found = self.kubectl.every("pods", self.name, selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def service_url(self, name: str) -> str:
        """Where pods reach it by the name of its Service."""
        return f"http://{name}.{self.name}.svc/{self.path(name)}"

    def ingress_url(self, name: str) -> str:
        """Where this machine reaches it through the ingress controller."""
        return f"{self.target.ingress_url}/{self.path(name)}"

    def path(self, name: str) -> str:
        """Its url path."""
        path: str = self.server(name)["spec"].get("urlPath") or f"{self.name}/{name}"
        return path

    def ask(self, name: str, route: str = "predict/", body: Any = None, **headers: str) -> Answer:
        """What this machine gets through the ingress controller; status 0 while nobody answers."""
        try:
            return serving.request(f"{self.ingress_url(name)}/{route}", body, **headers)
        except (OSError, ValueError) as error:
            return Answer(0, str(error))

    def wait_until_routed(self, name: str) -> None:
        """Waits until Service and ingress controller have heard of the pods: they follow by a moment."""
        self.wait_for(lambda: self.ask(name, "readyz").status == 200, f"{name} behind the ingress controller", 60)
        url = f"{self.service_url(name)}/readyz"
        self.wait_for(lambda: self.tools.ask(url).status == 200, f"{name} behind its Service", 60)

    def _explained(self) -> str:
        here = f"--namespace={self.name}"
        told = [
            yaml.safe_dump([one.get("status") for one in self.kubectl.every("policyservers", self.name)]),
            self.kubectl("get", "pods", "--output=wide", here),
            self.kubectl("get", "events", "--sort-by=.lastTimestamp", here)[-3000:],
        ]
        try:
            told.append(self.kubectl("logs", f"deployment/{OPERATOR}", f"--namespace={SYSTEM}", "--tail=20"))
        except KubectlFailed as failed:
            told.append(str(failed))
        return "\n".join(told)
