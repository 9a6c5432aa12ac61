"""Which pod is asked, and what the status says of the answer."""

import json
from typing import Any

import pytest

from policy_operator.api import PolicyServer, parse
from policy_operator.router_status import out_of, router_status, snapshot_of, store_ready
from policy_operator.routers import RouterReport, pod_to_ask
from policy_server.router.report import ArmReport as Said
from policy_server.router.report import RouterReport as SaidOfRouter
from tests.routing_cases import routed
from tests.unit.operator_core.objects import Object, container, deployment, ended, pod

REDIS: Any = {"store": {"redis": {"url": "redis://cats:6379/1"}}}


def at(address: str, one: Object) -> Object:
    one["status"]["podIP"] = address
    return one


def server(replicas: int = 1, **router: Any) -> PolicyServer:
    """A PolicyServer with a router."""
    schema = {"observations": [{"name": "row", "type": "float"}]}
    spec = routed(mode="UCB1", **router) | {"schema": schema, "auth": "none", "replicas": replicas}
    head = {"apiVersion": "policyserver.io/v1alpha1", "kind": "PolicyServer", "metadata": {"name": "mouse"}}
    return parse(head | {"spec": spec})


def report(*arms: Object, **more: Any) -> RouterReport:
    return RouterReport.model_validate({"name": "mouse", "mode": "UCB1", "arms": list(arms)} | more)


def stateful_set(ready: int) -> Object:
    return {"status": {"readyReplicas": ready}}


TEMPLATE = deployment()["spec"]["template"]


def test_the_oldest_pod_that_serves_is_asked() -> None:
    pods = [
        at("10.0.0.1", pod("younger", ready=True, created="2026-01-02T00:00:00Z")),
        at("10.0.0.2", pod("oldest", created="2026-01-01T00:00:00Z")),
        at("10.0.0.3", pod("older", ready=True, created="2026-01-01T12:00:00Z")),
        at("10.0.0.4", pod("leaving", ready=True, ends=True)),
        pod("elsewhere", ready=True),
    ]
    assert pod_to_ask(pods, TEMPLATE) is pods[2]
    assert pod_to_ask(pods[1:2], TEMPLATE) is None


def test_a_former_pod_is_asked_only_as_long_as_no_current_one_serves() -> None:
    former = at("10.0.0.1", pod("former", "v1", ready=True, created="2026-01-01T00:00:00Z"))
    waiting = at("10.0.0.2", pod("current", created="2026-01-02T00:00:00Z"))
    assert pod_to_ask([former, waiting], TEMPLATE) is former
    current = at("10.0.0.2", pod("current", ready=True, created="2026-01-02T00:00:00Z"))
    assert pod_to_ask([former, current], TEMPLATE) is current


def test_what_servers_say_is_understood() -> None:
    arms = [
        Said("a", "1" * 64, weight=0.9, decisions=12.0, rewards=3.0, mean_reward=0.5),
        Said("b", None, state="NotLoaded", detail="no bundle"),
    ]
    said = SaidOfRouter(1e9, "EpsilonGreedy", frozen=True, store_away="disk full", arms=arms).content("mouse")
    understood = RouterReport.model_validate_json(json.dumps(said))
    assert understood.store_away == "disk full"
    assert [arm.detail for arm in understood.arms] == [None, "no bundle"]
    assert router_status(understood)["arms"][0] == (
        {"name": "a", "state": "Available", "weight": "90.0%", "decisions": 12, "meanReward": "0.5"}
    )


def test_numbers_are_told_in_words_and_what_is_unknown_is_left_out() -> None:
    arms: list[Object] = [
        {"name": "a", "state": "Available", "weight": 0.93444, "decisions": 123, "meanReward": -0.000123456},
        {"name": "b", "state": "NotLoaded", "weight": None, "decisions": 0, "meanReward": None},
    ]
    assert router_status(report(*arms)) == {
        "mode": "UCB1",
        "arms": [
            {"name": "a", "state": "Available", "weight": "93.4%", "decisions": 123, "meanReward": "-0.0001235"},
            {"name": "b", "state": "NotLoaded", "decisions": 0},
        ],
    }


def test_what_the_router_does_without_is_told_with_the_reason() -> None:
    arms: list[Object] = [
        {"name": "a", "state": "Available", "decisions": 1},
        {"name": "b", "state": "Out", "decisions": 1, "detail": "timed out"},
        {"name": "c", "state": "NotLoaded", "decisions": 1},
    ]
    out = out_of(report(*arms))
    assert {name: failure.reason for name, failure in out.items()} == {"b": "PolicyOut", "c": "NotLoaded"}
    assert out["b"].message == "the router does without it: timed out"


@pytest.mark.parametrize(
    ("judged", "seen", "ready", "state", "reason", "told"),
    [
        (server(), None, 0, "Unknown", "NotAsked", "no pod has been asked"),
        (server(), report(), 0, "True", "Kept", "in its pod, and once a minute in ConfigMap mouse-learned"),
        (server(), report(storeAway="disk full"), 0, "False", "StoreAway", "disk full; until it is back"),
        (server(), report(snapshot="ä" * 500_000), 0, "False", "SnapshotTooLarge", "(1000000 bytes)"),
        (server(2), report(), 0, "False", "StoreNotReady", "StatefulSet mouse-store has no pod"),
        (server(2), None, 1, "Unknown", "NotAsked", "no pod has been asked"),
        (server(2), report(), 1, "True", "Kept", "in the Valkey mouse-store"),
        (server(2), report(snapshot="ä" * 500_000), 1, "True", "Kept", "in the Valkey mouse-store"),
        (server(2), report(storeAway="refused"), 1, "False", "StoreAway", "refused"),
        (server(2, **REDIS), report(), 0, "True", "Kept", "in redis://cats:6379/1"),
    ],
)
def test_the_store_is_judged_by_its_pod_and_by_the_router(
    judged: PolicyServer, seen: RouterReport | None, ready: int, state: str, reason: str, told: str
) -> None:
    judgement = store_ready(judged, seen, stateful_set(ready), [])
    assert judgement[:2] == (state, reason)
    assert told in judgement[2]


def test_a_store_that_does_not_start_says_why() -> None:
    broken = pod("mouse-store-0", containerStatuses=[container("store", {}, ended("No space left on device"))])
    judgement = store_ready(server(2), None, None, [broken])
    assert judgement[:2] == ("False", "StoreNotReady")
    assert "pod mouse-store-0, container store: No space left on device; until it is" in judgement[2]


def test_what_a_config_map_cannot_hold_is_not_written() -> None:
    assert snapshot_of(report(snapshot="learned")) == "learned"
    assert snapshot_of(report(snapshot="ä" * 500_000)) is None
    assert snapshot_of(report()) is None
