"""Plays KubeRay's part: makes clusters and pods of RayServices as it does, and says of them what it says."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_operator import kinds
from policy_operator.kinds import Kind
from tests.integration.operator_core import kubelet
from tests.integration.operator_core.api_client import ApiClient, Namespace, Object, wait_for

RAY_CLUSTER = Kind("ray.io/v1", "RayCluster", "rayclusters")
VARIABLE = "POLICYSERVER_KUBERAY_CRDS"
_FILES = ("ray.io_rayservices.yaml", "ray.io_rayclusters.yaml")
_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_HEAD, _WORKER = "head", "worker"


def definitions() -> list[Object]:
    """KubeRay's own definitions of its kinds; skips the test where they aren't at hand."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        message = f"set {VARIABLE} to a folder with {' and '.join(_FILES)} of KubeRay v1.7 (its config/crd/bases)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return [yaml.safe_load((Path(folder) / file).read_text()) for file in _FILES]


def install(api: ApiClient) -> None:
    """Installs KubeRay's kinds."""
    for crd in definitions():
        api.apply(f"{_PATH}/{crd['metadata']['name']}", crd)
    wait_for(lambda: all(one is not None for one in _lists(api)), "KubeRay's kinds")


def uninstall(api: ApiClient) -> None:
    """Takes them away again, with all objects of theirs."""
    for crd in definitions():
        api.request("DELETE", f"{_PATH}/{crd['metadata']['name']}")
    wait_for(lambda: not any(_lists(api)), "the end of KubeRay's kinds", 60)


def _lists(api: ApiClient) -> list[Object | None]:
    """What there is of each kind, if there is the kind."""
    return [api.request("GET", kind.path(None)) for kind in (kinds.RAY_SERVICE, RAY_CLUSTER)]


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    """A condition of a RayService."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


INITIALIZING = condition("Ready", "False", "Initializing", "RayService is initializing")
SERVES = condition("Ready", "True", "NonZeroServeEndpoints", "Number of serve endpoints is greater than 0")
ENDPOINTS_GONE = condition("Ready", "False", "ZeroServeEndpoints", "Number of serve endpoints dropped to 0")
NO_UPGRADE = condition("UpgradeInProgress", "False", "NoPendingCluster", "Active Ray cluster exists")
UPGRADES = condition(
    "UpgradeInProgress", "True", "BothActivePendingClustersExist", "Both active and pending Ray clusters exist"
)
ROLLS_BACK = condition("RollbackInProgress", "True", "DesiredClusterSpecChanged", "the desired cluster changed")
SUSPENDS = condition("Suspending", "True", "SuspendRequested", "will delete all Kubernetes resources")
SUSPENDED = condition("Suspended", "True", "SuspendComplete", "All owned resources have been deleted.")
NOT_READY = condition("Ready", "False", "SuspendComplete", "RayService is suspended.")


class KubeRay:
    """What there is of one RayService."""

    def __init__(self, namespace: Namespace, server: str) -> None:
        self.namespace = namespace
        self.name = f"{server}-ray"

    def service(self) -> Object:
        """The RayService, once it is there."""
        return self.namespace.wait_for(kinds.RAY_SERVICE, self.name)

    def version(self) -> str:
        """The version of the pods that it makes now."""
        (group,) = self.service()["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        version: str = group["template"]["metadata"]["annotations"]["policyserver.io/version"]
        return version

    def wait_for_version_other_than(self, version: str) -> str:
        def found() -> str | None:
            now = self.version()
            return now if now != version else None

        return wait_for(found, "another version of the RayService")

    def make_cluster(self, suffix: str) -> list[Object]:
        """Makes a cluster of the RayService as it is now; returns its workers, which wait, as its head does."""
        service = self.service()
        config = service["spec"]["rayClusterConfig"]
        cluster = {
            "apiVersion": RAY_CLUSTER.api_version,
            "kind": RAY_CLUSTER.name,
            "metadata": self._metadata(f"{self.name}-{suffix}", service),
            "spec": config,
        }
        made = self.namespace.api.create(RAY_CLUSTER.path(self.namespace.name), cluster)
        head = copy.deepcopy(config["headGroupSpec"]["template"])
        if config.get("enableInTreeAutoscaling"):
            head["spec"]["containers"].append(_autoscaler(config))
        self._make_pod(made, "head", _HEAD, head)
        (group,) = config["workerGroupSpecs"]
        names = [f"worker-{number}" for number in range(group["replicas"])]
        return [self._make_pod(made, name, _WORKER, _waiting(group["template"])) for name in names]

    def delete_cluster(self, suffix: str) -> None:
        """Deletes a cluster and its pods."""
        cluster = f"{self.name}-{suffix}"
        for pod in self.namespace.every(kinds.POD):
            if pod["metadata"]["labels"].get("ray.io/cluster") == cluster:
                self.namespace.api.delete(kinds.POD, self.namespace.name, pod["metadata"]["name"])
        self.namespace.api.delete(RAY_CLUSTER, self.namespace.name, cluster)

    def tell(
        self,
        *conditions: Object,
        active: str | None = None,
        pending: str | None = None,
        endpoints: int = 0,
        applications: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes the status; clusters are named by their suffixes, `applications` are those of the newest one."""
        service = self.service()
        status = {
            "observedGeneration": service["metadata"]["generation"],
            "conditions": list(conditions),
            "serviceStatus": "Running" if SERVES in conditions else "",
            "numServeEndpoints": endpoints,
            "activeServiceStatus": self._cluster_status(active, None if pending else applications),
            "pendingServiceStatus": self._cluster_status(pending, applications),
        }
        self.namespace.api.merge(kinds.RAY_SERVICE, self.namespace.name, self.name, {"status": status}, "status")

    def serve(self, suffix: str) -> list[Object]:
        """A cluster of the RayService as it is now, all of whose workers serve."""
        workers = self.make_cluster(suffix)
        for pod in workers:
            kubelet.serves(self.namespace, pod)
        self.tell(SERVES, NO_UPGRADE, active=suffix, endpoints=len(workers))
        return workers

    def _cluster_status(self, suffix: str | None, applications: Mapping[str, Any] | None) -> Object:
        # A merge patch removes what is null.
        name = f"{self.name}-{suffix}" if suffix else None
        return {"rayClusterName": name, "applicationStatuses": applications and dict(applications)}

    def _make_pod(self, cluster: Object, name: str, node_type: str, template: Object) -> Object:
        labels = {
            "ray.io/cluster": cluster["metadata"]["name"],
            "ray.io/node-type": node_type,
            "ray.io/serve": str(node_type == _WORKER).lower(),
        }
        metadata = self._metadata(f"{cluster['metadata']['name']}-{name}", cluster)
        metadata |= {"labels": template["metadata"]["labels"] | labels}
        metadata |= {"annotations": template["metadata"]["annotations"]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        return self.namespace.api.create(kinds.POD.path(self.namespace.name), body)

    def _metadata(self, name: str, owner: Object) -> Object:
        reference = {
            "apiVersion": kinds.RAY_SERVICE.api_version,
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {"name": name, "namespace": self.namespace.name, "ownerReferences": [reference]}


def _waiting(template: Object) -> Object:
    """The template of a worker with the container that KubeRay has wait for the head."""
    waiting = copy.deepcopy(template)
    (server,) = waiting["spec"]["containers"]
    copied = {name: server[name] for name in ("image", "env", "securityContext", "volumeMounts")}
    waiting["spec"]["initContainers"].append({"name": "wait-gcs-ready", "command": ["/bin/bash", "-c", "--"]} | copied)
    return waiting


def _autoscaler(config: Object) -> Object:
    """The container that KubeRay adds to a head that scales its workers."""
    image = config["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    return {"name": "autoscaler", "image": image, "command": ["/bin/bash", "-c", "--"], **config["autoscalerOptions"]}
