"""The status of a PolicyServer, from what was seen: pure functions, one for each condition."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from policy_operator.desired.metadata import Object, selector
from policy_operator.kinds import INGRESS, SERVICE, Kind
from policy_operator.rollout import Failure, PolicyRollout, Rollout

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
    router: Object | None = None
    """`status.router`, if a pod has told it now."""
    out: Mapping[str, Failure] = field(default_factory=dict)
    """The policies that its router doesn't let answer, by name."""
    store: Judgement | None = None
    """Whether what its router learns is kept, if there is a router."""


def status_of(live: Object, seen: Seen, now: datetime) -> Object:
    """The whole status. `live` is the PolicyServer as it is; conditions that stay keep their time."""
    metadata, former = live["metadata"], live.get("status", {})
    generation = metadata.get("generation", 0)
    known = {condition["type"]: condition for condition in former.get("conditions", [])}
    judged = {
        "SchemaValid": _schema_valid(seen),
        "ModelsLoaded": _models_loaded(seen),
        "RouteReady": _route_ready(seen),
        **({"StoreReady": seen.store} if seen.store else {}),
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
    status["policies"] = former.get("policies", [])
    if seen.rollout:
        known_policies = {policy["name"]: policy for policy in status["policies"]}
        failures = _failures(seen, seen.rollout)
        status["policies"] = [
            _policy(policy, seen.rollout, failures.get(policy.name), known_policies.get(policy.name, {}), now)
            for policy in seen.rollout.policies
        ]
    if policies := status["policies"]:
        status["loadedPolicies"] = f"{sum(one['state'] == 'Loaded' for one in policies)}/{len(policies)}"
    if live.get("spec", {}).get("policies") and (router := seen.router or former.get("router")):
        status["router"] = router
    return status


def _failures(seen: Seen, rollout: Rollout) -> dict[str, Failure]:
    """Why policies don't answer, by name; what keeps the pods of an only policy from serving keeps that, too."""
    found = {policy.name: policy.failure or seen.out.get(policy.name) for policy in rollout.policies}
    if len(found) == 1:
        found = {name: rollout.failure or failure for name, failure in found.items()}
    return {name: failure for name, failure in found.items() if failure}


def _policy(policy: PolicyRollout, rollout: Rollout, failure: Failure | None, known: Object, now: datetime) -> Object:
    """What serves under one name. Digest and failure are the last that were seen: a failure outlives its remedy."""
    status: Object = {"name": policy.name, "state": "Loaded"}
    if failure:
        status["state"] = "Failed"
    elif rollout.ready < rollout.wanted or rollout.wanted == 0:
        status["state"] = "Loading" if rollout.wanted else "Unloaded"
    if digest := ", ".join(policy.digests) or known.get("digest"):
        status["digest"] = digest
    last: Object | None = known.get("lastFailure")
    if failure:
        said = {"reason": failure.reason, "message": failure.message[:_LONGEST_MESSAGE]}
        if last is None or said.items() - last.items():
            last = said | {"time": _text(now)}
    if last:
        status["lastFailure"] = last
    return status


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
        return "Unknown", "NoPods", "nothing makes pods yet"
    if failures := _failures(seen, rollout):
        told = [f"policy {name}: {failure.message}" for name, failure in failures.items()]
        first = next(iter(failures.values()))
        return "False", first.reason, "; ".join(told) if len(rollout.policies) > 1 else first.message
    if rollout.failure:
        return "False", rollout.failure.reason, rollout.failure.message
    if rollout.wanted == 0:
        return "Unknown", "ScaledToZero", "no pod is wanted, so no model is loaded"
    if rollout.ready < rollout.wanted:
        return "False", "Loading", _serving(rollout)
    return "True", "Loaded", f"{_serving(rollout)}{_models(rollout.policies)}"


def _models(policies: Sequence[PolicyRollout]) -> str:
    models = {policy.name: f"sha256:{', sha256:'.join(policy.digests)}" for policy in policies if policy.digests}
    if len(policies) == 1:
        return "".join(f" the model {model}" for model in models.values())
    return " the models " + ", ".join(f"{name} {model}" for name, model in models.items()) if models else ""


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
        return "True", "RolloutInProgress", "what makes the pods is being made"
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
        return "RolloutInProgress", "what makes the pods is being made"
    if rollout.settled:
        reason = "PodsNotReady"
    else:
        reason = "RolloutFailed" if rollout.failure or rollout.stalled else "RolloutInProgress"
    failure = [f"{rollout.failure.reason}: {rollout.failure.message}"] if rollout.failure else []
    return reason, "; ".join((*failure, _serving(rollout), *_going_on(rollout.former, "the former version")))


def _serving(rollout: Rollout) -> str:
    serving = f"{rollout.ready} of {rollout.wanted} pods of the current version serve"
    return f"{serving}; {rollout.told}" if rollout.told else serving


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
