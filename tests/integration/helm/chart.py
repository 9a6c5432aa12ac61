"""The chart as Helm itself sees it."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.versions import KUBERNETES

REPOSITORY = Path(__file__).parents[3]
CHART = REPOSITORY / "helm" / "policyserver"
OPERATOR = "policyserver-operator"
RELEASE = "policies"
SYSTEM_NAMESPACE = "policyserver-system"

Object = dict[str, Any]


class HelmFailed(Exception):
    """Helm refused; its complaint is the message."""


class Helm:
    """Runs Helm without the configuration and the caches of whoever runs the tests."""

    def __init__(self, program: Path, home: Path, kubeconfig: Path | None = None) -> None:
        self._program = program
        # Without a kubeconfig it must not find one either.
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "KUBECONFIG": str(kubeconfig or home / "no-kubeconfig"),
        }
        self._home = home

    def against(self, kubeconfig: Path) -> "Helm":
        """Helm for a cluster."""
        return Helm(self._program, self._home, kubeconfig)

    def __call__(self, *arguments: object, values: Mapping[str, Any] | None = None) -> str:
        """What it printed; HelmFailed when it failed."""
        command = [str(self._program), *map(str, arguments)]
        if values is not None:
            command.append("--values=-")
        done = subprocess.run(
            command,
            env=self._environment,
            input=yaml.safe_dump(dict(values or {})),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise HelmFailed(done.stderr)
        return done.stdout

    def render(self, *options: str, **values: Any) -> list[Object]:
        """The objects that the chart makes of some values."""
        namespace = f"--namespace={SYSTEM_NAMESPACE}"
        text = self("template", RELEASE, CHART, namespace, f"--kube-version={KUBERNETES}", *options, values=values)
        return [document for document in yaml.safe_load_all(text) if document]


def one(documents: list[Object], kind: str, name: str = OPERATOR) -> Object:
    """The only object of a kind and name."""
    (found,) = [each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def container(workload: Object) -> Object:
    """The only container of a Pod, or of a Deployment's pods."""
    spec = workload["spec"]
    (found,) = spec.get("template", {"spec": spec})["spec"]["containers"]
    return dict(found)


def environment(workload: Object) -> dict[str, Any]:
    """What its environment variables are; the pod's own namespace is given as such."""
    own = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    return {
        each["name"]: workload["metadata"]["namespace"] if each.get("valueFrom") == own else each["value"]
        for each in container(workload)["env"]
    }
