"""Plays the kubelet's part: there is no node, so tests write what pods would say."""

import json

from policy_operator import kinds
from tests.integration.operator_core.api_client import Namespace, Object, version_of

DIGEST = "a" * 64


def fetched(digest: str = DIGEST, name: str = "fetch") -> Object:
    """The status of a `fetch` that ended well."""
    message = json.dumps({"uri": "https://models.example/mouse.zip", "sha256": digest, "bytes": 1})
    return _container(name, {"terminated": {"exitCode": 0, "reason": "Completed", "message": message}})


def serves(
    namespace: Namespace, pod: Object, digest: str = DIGEST, address: str | None = None, without: str | None = None
) -> None:
    """The pod fetched this model, or several but one, and is ready."""
    done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    names = [container["name"] for container in pod["spec"].get("initContainers", ())]
    before = [fetched(digest, name) if name.startswith("fetch") else _container(name, done) for name in names]
    lost = {"terminated": done["terminated"] | {"message": json.dumps({"error": "error: HTTP 404"})}}
    before = [_container(one["name"], lost) if one["name"] == f"fetch-{without}" else one for one in before]
    (running,) = pod["spec"]["containers"]
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}],
        "initContainerStatuses": before,
        "containerStatuses": [_container(running["name"], {"running": {}}) | {"ready": True, "started": True}],
    }
    _write(namespace, pod, status | ({"podIP": address, "podIPs": [{"ip": address}]} if address else {}))


def serve_and_answer(namespace: Namespace, name: str = "mouse", replicas: int = 1) -> str:
    """A PolicyServer whose pods all serve; returns the version of its pods."""
    namespace.serve(name, replicas=replicas)
    for pod in namespace.wait_for_pods(replicas):
        serves(namespace, pod)
    namespace.wait_for_condition(name, "Ready", "True", "Serving")
    return version_of(namespace.wait_for(kinds.DEPLOYMENT, name))


def fails(namespace: Namespace, pod: Object, container: str, message: str) -> None:
    """A container of the pod ended with an error, and waits for its next try."""
    ended = {"terminated": {"exitCode": 2, "reason": "Error", "message": message}}
    failed = _container(container, {"waiting": {"reason": "CrashLoopBackOff"}}) | {"lastState": ended}
    before = [fetched()] if container == "convert" else []
    which = "containerStatuses" if container == "server" else "initContainerStatuses"
    _write(namespace, pod, {"phase": "Pending", which: [*before, failed]})


def _container(name: str, state: Object) -> Object:
    return {"name": name, "image": "test", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def _write(namespace: Namespace, pod: Object, status: Object) -> None:
    namespace.api.merge(kinds.POD, namespace.name, pod["metadata"]["name"], {"status": status}, "status")
