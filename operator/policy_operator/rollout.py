"""What the Deployment and its pods say: how far the current version is, and what keeps it from being there."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from policy_operator.desired.metadata import Object
from policy_operator.desired.pod import MODEL_KEY
from policy_operator.desired.workload import VERSION

_LONGEST = 1500
_NO_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_NOT_STARTED = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"}
_FAILED_IN = {"fetch": "FetchFailed", "convert": "ConversionFailed", "server": "ServerFailed"}


@dataclass(frozen=True)
class Failure:
    """Why a pod doesn't serve."""

    reason: str
    message: str


@dataclass(frozen=True)
class Rollout:
    """The state of a Deployment. "Current" are the pods that its template makes now, all others are former ones."""

    wanted: int
    pods: int
    """All there are, as `kubectl scale` counts them."""
    ready: int
    """Current pods that serve."""
    former: int
    """Former pods that serve."""
    complete: bool
    """All that are wanted are there, available, and no others."""
    settled: bool
    """The current version was complete before, whatever has happened since."""
    stalled: bool
    """No progress for `progressDeadlineSeconds`."""
    failure: Failure | None
    digests: tuple[str, ...]
    """Of the models of the current pods that serve; more than one only until the odd one out is replaced."""


def rollout_of(deployment: Object, pods: Iterable[Object]) -> Rollout:
    """What is known of the newest version."""
    spec, status = deployment["spec"], deployment.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    progressing = conditions.get("Progressing", {})
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    wanted = spec.get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    version = _annotation(spec["template"], VERSION)
    living = [pod for pod in pods if not _ends(pod)]
    current = [pod for pod in living if _annotation(pod, VERSION) == version]
    serving = [pod for pod in current if is_ready(pod)]
    digests = {digest for pod in serving if (digest := fetched_digest(pod))}
    failures = [failure for pod in sorted(current, key=_age) if (failure := failure_of(pod))]
    if (refused := conditions.get("ReplicaFailure", {})).get("status") == "True" and not failures:
        failures = [Failure("PodsRefused", refused.get("message", "")[:_LONGEST])]
    return Rollout(
        wanted=wanted,
        pods=counts[0],
        ready=len(serving),
        former=sum(is_ready(pod) for pod in living) - len(serving),
        complete=seen and counts == [wanted] * 3,
        settled=seen and progressing.get("reason") == "NewReplicaSetAvailable",
        stalled=seen and progressing.get("reason") == "ProgressDeadlineExceeded",
        failure=failures[0] if failures else None,
        digests=tuple(sorted(digests)),
    )


def failure_of(pod: Object) -> Failure | None:
    """What keeps a pod from serving, in the words of whoever knows it best."""
    if is_ready(pod):
        return None
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        if found := _failure_in(container, name):
            return found
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = condition.get("reason", "Unschedulable")
            return Failure(reason, f"pod {name}: {condition.get('message', '')}"[:_LONGEST])
    return None


def is_ready(pod: Object) -> bool:
    """Whether requests go to the pod."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def fetched_digest(pod: Object) -> str | None:
    """The digest that the pod's `fetch` reported, once it has."""
    fetched = _success_of("fetch", pod)
    if fetched is None:
        return None
    try:
        digest = json.loads(fetched.get("message", ""))["sha256"]
    except (ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) else None


def converted_digest(pod: Object) -> str | None:
    """The digest of the pod's model, once that has proved to be one that can be served."""
    return fetched_digest(pod) if _success_of("convert", pod) else None


def model_key(pod_or_template: Object) -> str | None:
    """The key of the URI that a pod's model comes from."""
    return _annotation(pod_or_template, MODEL_KEY)


def _success_of(name: str, pod: Object) -> Object | None:
    """How an init container ended, if it did and well."""
    for container in pod.get("status", {}).get("initContainerStatuses", []):
        ended: Object | None = container.get("state", {}).get("terminated")
        if container["name"] == name and ended and ended.get("exitCode") == 0:
            return ended
    return None


def _failure_in(container: dict[str, Any], pod: str) -> Failure | None:
    state, name = container.get("state", {}), container["name"]
    where = f"pod {pod}, container {name}"
    waiting = state.get("waiting", {})
    reason = waiting.get("reason", "")
    if reason in _NO_IMAGE:
        image = container.get("image", "")
        return Failure("ImageUnavailable", f"{where}: {reason} {image}: {waiting.get('message', '')}"[:_LONGEST])
    if reason in _NOT_STARTED:
        return Failure("ContainerNotStarted", f"{where}: {reason}: {waiting.get('message', '')}"[:_LONGEST])
    # While it is tried again, what it said last still holds.
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
    if not ended or ended.get("exitCode") == 0:
        return None
    said = _last_words(ended.get("message", ""))
    if ended.get("reason") == "OOMKilled":
        said = "killed because it took more memory than its limit or than the node has"
    return Failure(
        _FAILED_IN.get(name, "ContainerFailed"),
        f"{where}: {said or 'exit code ' + str(ended.get('exitCode'))}"[:_LONGEST],
    )


def _last_words(message: str) -> str:
    """The line that says what is wrong; Kubernetes gives the end of the log."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1]


def _annotation(one: Object, name: str) -> str | None:
    value: str | None = one["metadata"].get("annotations", {}).get(name)
    return value


def _ends(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def _age(pod: Object) -> tuple[str, str]:
    return pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]
