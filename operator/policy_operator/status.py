"""The status of a PolicyServer, from what was seen: pure functions, one for each condition."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from policy_operator.desired.metadata import Object, selector
from policy_operator.kinds import INGRESS, SERVICE, Kind
from policy_operator.rollout import Rollout

_LONGEST_MESSAGE = 8192

Judgement = tuple[str, str, str]
"""Status, reason and message of a condition."""


@dataclass(frozen=True)
class Trouble:
    """A child that couldn't be made as it should be."""

    kind: Kind
    reason: str
    message: str


@dataclass(frozen=True)
class Seen:
    """All that a status is made of."""

    problems: tuple[str, ...] = ()
    """What is wrong with the spec or its schema; then everything else is as the last valid spec has it."""
    url_path: str | None = None
    path_holder: str | None = None
    """The PolicyServer that has the url path, if it isn't this one."""
    address: str | None = None
    """Where the Ingress is reached."""
    host: str = ""
    """The Service's name inside the cluster."""
    troubles: tuple[Trouble, ...] = ()
    rollout: Rollout | None = None


def status_of(live: Object, seen: Seen, now: datetime) -> Object:
    """The whole status. `live` is the PolicyServer as it is; conditions that stay keep their time."""
    metadata, former = live["metadata"], live.get("status", {})
    generation = metadata.get("generation", 0)
    known = {condition["type"]: condition for condition in former.get("conditions", [])}
    judged = {
        "SchemaValid": _schema_valid(seen),
        "ModelsLoaded": _models_loaded(seen),
        "RouteReady": _route_ready(seen),
        "Progressing": _progressing(seen),
        "Ready": _ready(seen),
    }
    status: Object = {
        "observedGeneration": generation,
        "conditions": [
            _condition(name, judgement, known.get(name), generation, now) for name, judgement in judged.items()
        ],
        "replicas": seen.rollout.pods if seen.rollout else 0,
        "selector": ",".join(f"{name}={value}" for name, value in selector(metadata["name"]).items()),
    }
    if url := _url(seen) or former.get("url"):
        status["url"] = url
    status["policies"] = known_policies = former.get("policies", [])
    if seen.rollout:
        name = metadata["name"]
        known_policy: Object = next((policy for policy in known_policies if policy["name"] == name), {})
        status["policies"] = [_policy(name, judged["ModelsLoaded"], seen.rollout, known_policy, now)]
    return status


def _policy(name: str, loaded: Judgement, rollout: Rollout, known: Object, now: datetime) -> Object:
    """What serves under one name. Digest and failure are the last that were seen: a failure outlives its remedy."""
    policy: Object = {"name": name, "state": _POLICY_STATES[loaded[0]]}
    if rollout.failure:
        policy["state"] = "Failed"
    if digest := ", ".join(rollout.digests) or known.get("digest"):
        policy["digest"] = digest
    failure = known.get("lastFailure")
    if rollout.failure:
        said = {"reason": rollout.failure.reason, "message": rollout.failure.message[:_LONGEST_MESSAGE]}
        if failure is None or said.items() - failure.items():
            failure = said | {"time": _text(now)}
    if failure:
        policy["lastFailure"] = failure
    return policy


_POLICY_STATES = {"True": "Loaded", "False": "Loading", "Unknown": "Unloaded"}


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(name: str, judgement: Judgement, known: Any, generation: int, now: datetime) -> Object:
    state, reason, message = judgement
    since = known["lastTransitionTime"] if known and known["status"] == state else _text(now)
    return {
        "type": name,
        "status": state,
        "reason": reason,
        "message": message[:_LONGEST_MESSAGE],
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def _schema_valid(seen: Seen) -> Judgement:
    if seen.problems:
        return "False", "Invalid", "\n".join(seen.problems)
    return "True", "Valid", "the schema can be served"


def _models_loaded(seen: Seen) -> Judgement:
    rollout = seen.rollout
    if rollout is None:
        return "Unknown", "NoPods", "there is no Deployment"
    if rollout.failure:
        return "False", rollout.failure.reason, rollout.failure.message
    if rollout.wanted == 0:
        return "Unknown", "ScaledToZero", "no pod is wanted, so no model is loaded"
    if rollout.ready < rollout.wanted:
        return "False", "Loading", _serving(rollout)
    models = f" the model sha256:{', sha256:'.join(rollout.digests)}" if rollout.digests else ""
    return "True", "Loaded", f"{_serving(rollout)}{models}"


def _route_ready(seen: Seen) -> Judgement:
    if seen.path_holder:
        return (
            "False",
            "UrlPathTaken",
            f"PolicyServer {seen.path_holder} has the url path {seen.url_path}; set another spec.urlPath",
        )
    for trouble in _in(seen.troubles, route=True):
        return "False", trouble.reason, trouble.message
    url = _url(seen)
    if url is None:
        return "Unknown", "NotRouted", "no valid spec has been seen yet"
    if seen.address:
        return "True", "Routed", f"answers at {url}"
    return "True", "RoutedInCluster", f"answers inside the cluster, at {url}; the Ingress has no address (yet)"


def _progressing(seen: Seen) -> Judgement:
    if seen.problems:
        return "False", "Invalid", "nothing is changed until the spec and its schema are valid"
    for trouble in _in(seen.troubles, route=False):
        return "False", trouble.reason, trouble.message
    rollout = seen.rollout
    if rollout is None:
        return "True", "RolloutInProgress", "the Deployment is being made"
    if rollout.complete:
        return "False", "Complete", "all pods are of the current version"
    if rollout.stalled:
        return "False", "DeadlineExceeded", f"no progress for 10 minutes: {_serving(rollout)}"
    return "True", "RolloutInProgress", _serving(rollout)


def _ready(seen: Seen) -> Judgement:
    rollout = seen.rollout
    if seen.problems:
        serving = rollout.ready + rollout.former if rollout else 0
        return "False", "SchemaInvalid", "; ".join((*seen.problems, *_going_on(serving, "the last valid spec")))
    if seen.troubles:
        return "False", seen.troubles[0].reason, seen.troubles[0].message
    if rollout is None or not rollout.complete:
        return "False", *_incomplete(rollout)
    if seen.path_holder:
        return _route_ready(seen)
    if rollout.wanted == 0:
        return "False", "ScaledToZero", "spec.replicas is 0, so nothing serves"
    return "True", "Serving", _serving(rollout)


def _incomplete(rollout: Rollout | None) -> tuple[str, str]:
    if rollout is None:
        return "RolloutInProgress", "the Deployment is being made"
    if rollout.settled:
        reason = "PodsNotReady"
    else:
        reason = "RolloutFailed" if rollout.failure or rollout.stalled else "RolloutInProgress"
    failure = [f"{rollout.failure.reason}: {rollout.failure.message}"] if rollout.failure else []
    return reason, "; ".join((*failure, _serving(rollout), *_going_on(rollout.former, "the former version")))


def _serving(rollout: Rollout) -> str:
    return f"{rollout.ready} of {rollout.wanted} pods of the current version serve"


def _going_on(pods: int, version: str) -> list[str]:
    if pods == 0:
        return []
    return [f"1 pod of {version} goes on serving" if pods == 1 else f"{pods} pods of {version} go on serving"]


def _in(troubles: Iterable[Trouble], *, route: bool) -> list[Trouble]:
    return [trouble for trouble in troubles if (trouble.kind in (SERVICE, INGRESS)) == route]


def _url(seen: Seen) -> str | None:
    if seen.url_path is None:
        return None
    host = seen.address if seen.address and not seen.path_holder else seen.host
    return f"http://{host}/{seen.url_path}/"
