"""What pods and what makes them say: how far the current version is, and what keeps it from being there."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from policy_operator.desired.metadata import Object
from policy_operator.desired.models import model_keys, part
from policy_operator.desired.workload import VERSION

_LONGEST = 1500
_NO_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_NOT_STARTED = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"}
FETCH_FAILED = "FetchFailed"
_FAILED_IN = {"fetch": FETCH_FAILED, "convert": "ConversionFailed", "server": "ServerFailed"}


@dataclass(frozen=True)
class Failure:
    """Why a pod doesn't serve, or serves without one of its policies."""

    reason: str
    message: str


@dataclass(frozen=True)
class PolicyRollout:
    """One policy in the current pods."""

    name: str
    digests: tuple[str, ...] = ()
    """Of its models where they serve; more than one only until the odd one out is replaced."""
    failure: Failure | None = None
    """Why a pod hasn't got it."""


@dataclass(frozen=True)
class Rollout:
    """The state of what makes pods. "Current" are those that its template makes now, all others are former ones."""

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
    """What keeps a pod from serving."""
    policies: tuple[PolicyRollout, ...]
    """Those that the template names, in its order."""
    told: str = ""
    """What whoever makes the pods says of it, if there is more to it than the pods."""


def rollout_of(deployment: Object, pods: Iterable[Object]) -> Rollout:
    """What is known of the newest version."""
    spec, status = deployment["spec"], deployment.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    progressing = conditions.get("Progressing", {})
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    wanted = spec.get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    living = [pod for pod in pods if not ends(pod)]
    current = current_pods(spec["template"], living)
    serving = [pod for pod in current if is_ready(pod)]
    failures = [failure for pod in current if (failure := failure_of(pod))]
    if (refused := conditions.get("ReplicaFailure", {})).get("status") == "True" and not failures:
        failures = [Failure("PodsRefused", refused.get("message", "")[:_LONGEST])]
    return Rollout(
        wanted=wanted,
        pods=counts[0],
        ready=len(serving),
        former=sum(is_ready(pod) for pod in living) - len(serving),
        # Of the Deployment one may hear before one hears of its pods.
        complete=seen and counts == [wanted] * 3 and len(serving) >= wanted,
        settled=seen and progressing.get("reason") == "NewReplicaSetAvailable",
        stalled=seen and progressing.get("reason") == "ProgressDeadlineExceeded",
        failure=failures[0] if failures else None,
        policies=tuple(
            policy_rollout(name or deployment["metadata"]["name"], name, current)
            for name in model_keys(spec["template"])
        ),
    )


def policy_rollout(shown: str, name: str, current: Iterable[Object]) -> PolicyRollout:
    """One policy as the current pods have it; `name` is that of `models.part`."""
    found = [(pod, failure_of_policy(pod, name)) for pod in current]
    digests = {fetched_digest(pod, name) for pod, failure in found if is_ready(pod) and not failure}
    failures = [failure for _, failure in found if failure]
    return PolicyRollout(shown, tuple(sorted(filter(None, digests))), failures[0] if failures else None)


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


def failure_of_policy(pod: Object, policy: str) -> Failure | None:
    """Why a pod, whether it serves or not, hasn't got one of its policies; `policy` is a name of `models.part`."""
    return given_up(pod, policy) or next(
        (
            failure
            for container in _bringing(pod, policy).values()
            if not is_ready(pod) and (failure := _failure_in(container, pod["metadata"]["name"]))
        ),
        None,
    )


def given_up(pod: Object, policy: str) -> Failure | None:
    """Why a pod goes on without one of its policies, if it does."""
    for container in _bringing(pod, policy).values():
        if error := _told(container).get("error"):
            where = f"pod {pod['metadata']['name']}, container {container['name']}"
            return Failure(_failed_in(container["name"]), f"{where}: {error}"[:_LONGEST])
    return None


def fetched_digest(pod: Object, policy: str) -> str | None:
    """The digest that the pod's `fetch` for a policy reported, once it has."""
    digest = _told(_bringing(pod, policy).get("fetch", {})).get("sha256")
    return digest if isinstance(digest, str) else None


def converted_digest(pod: Object, policy: str) -> str | None:
    """The digest of a pod's model, once that has proved to be one that can be served."""
    converted = _ended_well(_bringing(pod, policy).get("convert", {}))
    return fetched_digest(pod, policy) if converted and not given_up(pod, policy) else None


def _bringing(pod: Object, policy: str) -> dict[str, Object]:
    """The states of the init containers that bring a policy, as far as there are any: `fetch` and `convert`."""
    found = {one["name"]: one for one in pod.get("status", {}).get("initContainerStatuses", [])}
    return {step: found[name] for step in ("fetch", "convert") if (name := part(step, policy)) in found}


def _ended_well(container: Object) -> Object | None:
    """How a container ended, if it did and well."""
    ended: Object | None = container.get("state", {}).get("terminated")
    return ended if ended and ended.get("exitCode") == 0 else None


def _told(container: Object) -> Object:
    """What a container that ended well said last, as JSON."""
    try:
        told = json.loads((_ended_well(container) or {}).get("message", ""))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


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
        _failed_in(name),
        f"{where}: {said or 'exit code ' + str(ended.get('exitCode'))}"[:_LONGEST],
    )


def _failed_in(container: str) -> str:
    """The reason for a failure in a container: `fetch`, `convert-NAME` and so on."""
    return _FAILED_IN.get(container.partition("-")[0], "ContainerFailed")


def _last_words(message: str) -> str:
    """The line that says what is wrong; Kubernetes gives the end of the log."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1]


def current_pods(template: Object, pods: Iterable[Object]) -> list[Object]:
    """The living pods that a template makes now, the oldest first."""
    version = version_of(template)
    return sorted((pod for pod in pods if not ends(pod) and version_of(pod) == version), key=_age)


def version_of(pod_or_template: Object) -> str | None:
    """The version of a pod, or of the pods that a template makes."""
    value: str | None = pod_or_template["metadata"].get("annotations", {}).get(VERSION)
    return value


def ends(pod: Object) -> bool:
    """Whether the pod is about to end, or has."""
    return "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def _age(pod: Object) -> tuple[str, str]:
    return pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]
