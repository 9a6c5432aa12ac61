"""What a PolicyServer's status says of its router and of the router's store: pure functions."""

from collections.abc import Sequence

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.desired.learned import LARGEST_SNAPSHOT
from policy_operator.desired.metadata import Object
from policy_operator.rollout import Failure, failure_of
from policy_operator.routers import ArmReport, RouterReport
from policy_operator.server_config import SharedStore, store_of
from policy_operator.status import Judgement

_REASONS = {"Out": "PolicyOut", "NotLoaded": "NotLoaded"}
_LONGEST = 1500


def router_status(report: RouterReport) -> Object:
    """`status.router`."""
    return {"mode": report.mode, "arms": [_arm(arm) for arm in report.arms]}


def out_of(report: RouterReport) -> dict[str, Failure]:
    """The policies that a router doesn't let answer, by name."""
    return {
        arm.name: Failure(reason, f"the router does without it: {arm.detail or 'it does not say why'}"[:_LONGEST])
        for arm in report.arms
        if (reason := _REASONS.get(arm.state))
    }


def store_ready(
    server: PolicyServer, report: RouterReport | None, stateful_set: Object | None, store_pods: Sequence[Object]
) -> Judgement:
    """The condition StoreReady: whether what is learned is kept where it should be.

    While it isn't, the router decides by what it knew, and refuses rewards.
    """
    shared = store_of(server)
    if shared is not None and shared.own and not serves(stateful_set):
        name = names.store(server.metadata.name)
        failures = [failure.message for pod in store_pods if (failure := failure_of(pod))]
        told = failures[0] if failures else f"StatefulSet {name} has no pod that is ready (yet)"
        return "False", "StoreNotReady", f"{told}; until it is, rewards are refused"
    if report is None:
        return "Unknown", "NotAsked", "no pod has been asked yet"
    if report.store_away is not None:
        return "False", "StoreAway", f"{report.store_away}; until it is back, rewards are refused"
    if shared is None and _size(report) > LARGEST_SNAPSHOT:
        told = f"the router knows more than a ConfigMap can hold ({_size(report)} bytes), so its next pod begins anew"
        return "False", "SnapshotTooLarge", f"{told}; name a Redis or Valkey in spec.router.store"
    return "True", "Kept", f"what is learned is kept in {_place(server, shared)}"


def serves(stateful_set: Object | None) -> bool:
    """Whether the store has a pod that is ready."""
    ready: int = (stateful_set or {}).get("status", {}).get("readyReplicas", 0)
    return ready > 0


def snapshot_of(report: RouterReport) -> str | None:
    """What a router has learned, if it tells that, knows what its store has, and a ConfigMap can hold it."""
    return report.snapshot if report.store_away is None and _size(report) <= LARGEST_SNAPSHOT else None


def _size(report: RouterReport) -> int:
    return len((report.snapshot or "").encode())


def _place(server: PolicyServer, shared: SharedStore | None) -> str:
    if shared is None:
        return f"its pod, and once a minute in ConfigMap {names.learned(server.metadata.name)}"
    return f"the Valkey {names.store(server.metadata.name)}" if shared.own else shared.url


def _arm(arm: ArmReport) -> Object:
    written: Object = {"name": arm.name, "state": arm.state, "decisions": arm.decisions}
    if arm.weight is not None:
        written["weight"] = f"{arm.weight:.1%}"
    if arm.mean_reward is not None:
        written["meanReward"] = f"{arm.mean_reward:.4g}"
    return written
