"""What a RayService and its pods say, in the words of `rollout`; KubeRay makes and replaces the pods."""

from collections.abc import Iterable
from typing import Any

from policy_operator import names
from policy_operator.desired.metadata import Object
from policy_operator.desired.models import model_keys
from policy_operator.desired.ray import HEAD_APP
from policy_operator.rollout import Failure, Rollout, current_pods, ends, failure_of, is_ready, policy_rollout

_LONGEST = 1500
_FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
_REFUSED = ("ValidationFailed", "InitializingTimeout")


def worker_template(ray_service: Object) -> Object:
    """The template of the pods that serve."""
    template: Object = ray_service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]
    return template


def is_head(pod: Object) -> bool:
    """Whether it is the head of a Ray cluster, which doesn't serve."""
    return bool(pod["metadata"].get("labels", {}).get("app.kubernetes.io/name") == HEAD_APP)


def is_of_ray(pod: Object, server: str) -> bool:
    """Whether a pod was made for the RayService of a PolicyServer: its cluster is called after that."""
    owners = [one for one in pod["metadata"].get("ownerReferences", []) if one.get("controller")]
    return any(
        one["kind"] == "RayCluster" and one["name"].startswith(f"{names.ray_service(server)}-") for one in owners
    )


def ray_rollout_of(ray_service: Object, server: str, pods: Iterable[Object]) -> Rollout:
    """What is known of the newest version.

    How many pods should serve, only KubeRay knows: where Ray has nothing to do for a worker, that one doesn't.
    """
    spec, status = ray_service["spec"], ray_service.get("status", {})
    template = worker_template(ray_service)
    seen = status.get("observedGeneration", 0) >= ray_service["metadata"].get("generation", 0)
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    living = [pod for pod in pods if not ends(pod)]
    current = current_pods(template, living)
    workers = [pod for pod in current if not is_head(pod)]
    ready = sum(is_ready(pod) for pod in workers)
    wanted = 0 if spec.get("suspend") else max(1, status.get("numServeEndpoints", 0))
    upgrades = any(_is_true(conditions, one) for one in ("UpgradeInProgress", "RollbackInProgress"))
    serves = seen and _is_true(conditions, "Ready") and not upgrades
    failures = [failure for pod in current if (failure := failure_of(pod))]
    failure = _failure(ray_service["metadata"]["name"], status, conditions) or next(iter(failures), None)
    return Rollout(
        wanted=wanted,
        pods=sum(not is_head(pod) for pod in living),
        ready=ready,
        former=sum(is_ready(pod) and not is_head(pod) for pod in living) - ready,
        complete=not living if wanted == 0 else serves and ready > 0,
        settled=seen and not upgrades and bool(_cluster(status, "active")),
        stalled=False,
        failure=None if wanted == 0 or (serves and ready >= wanted) else failure,
        policies=tuple(policy_rollout(name or server, name, current) for name in model_keys(template)),
        told=_told(conditions),
    )


def _failure(name: str, status: Object, conditions: dict[str, Any]) -> Failure | None:
    """What KubeRay and Ray Serve say is wrong."""
    ready = conditions.get("Ready", {})
    if ready.get("reason") in _REFUSED:
        return Failure(ready["reason"], f"RayService {name}: {ready.get('message', '')}"[:_LONGEST])
    if _is_true(conditions, "RollbackInProgress"):
        message = conditions["RollbackInProgress"].get("message", "")
        return Failure("RollbackInProgress", f"RayService {name} goes back to its former version: {message}"[:_LONGEST])
    # Where there is a pending cluster, that is the newest version.
    newest = "pending" if _cluster(status, "pending") else "active"
    for application in status.get(f"{newest}ServiceStatus", {}).get("applicationStatuses", {}).values():
        if application.get("status") in _FAILED:
            deployments = sorted(application.get("serveDeploymentStatuses", {}).items())
            failed = [f"{one}: {state.get('message', '')}" for one, state in deployments if state["status"] in _FAILED]
            said = "; ".join(filter(None, [application.get("message", ""), *failed]))
            return Failure("ServeFailed", f"Ray Serve, {application['status']}: {said}"[:_LONGEST])
    return None


def _told(conditions: dict[str, Any]) -> str:
    """What KubeRay does, unless it has done it."""
    for name in ("RollbackInProgress", "UpgradeInProgress"):
        if _is_true(conditions, name):
            return f"KubeRay: {name}, {conditions[name].get('message', '')}"[:_LONGEST]
    ready = conditions.get("Ready")
    if ready is None:
        return "KubeRay has not looked at it yet: is its operator running?"
    return "" if ready["status"] == "True" else f"KubeRay: {ready['reason']}, {ready.get('message', '')}"[:_LONGEST]


def _cluster(status: Object, which: str) -> str:
    name: str = status.get(f"{which}ServiceStatus", {}).get("rayClusterName", "")
    return name


def _is_true(conditions: dict[str, Any], name: str) -> bool:
    return bool(conditions.get(name, {}).get("status") == "True")
