"""Policies that pods do without are tried again, less and less often, and never in the middle of a rollout."""

from datetime import UTC, datetime, timedelta

import pytest

from policy_operator.retries import attempt
from policy_operator.rollout import rollout_of
from tests.unit.operator_core.objects import MODEL, Object, brought, container, deployment, ended, pod, several_keys

KEYS = several_keys("a", "b")
START = datetime(2026, 1, 1, tzinfo=UTC)
LACKING = [*brought("a", MODEL), *brought("b", "error: HTTP 404")]


def pods(statuses: list[Object], version: str = "v2", *, ready: bool = True) -> list[Object]:
    return [pod(name, version, ready=ready, key=KEYS, initContainerStatuses=statuses) for name in ("p", "q")]


def after(seconds: float, live: Object, found: list[Object]) -> str | None:
    return attempt(live["spec"]["template"], rollout_of(live, found), found, START + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("version", "wait", "following"),
    [
        ("v2", 60, "v2.1"),
        ("v2.1", 120, "v2.2"),
        ("v2.5", 1920, "v2.6"),
        ("v2.6", 3840, "v2.7"),
        ("v2.999", 21600, "v2.1000"),
    ],
)
def test_each_attempt_waits_twice_as_long_and_at_most_six_hours(version: str, wait: int, following: str) -> None:
    live = deployment(version=version, key=KEYS)
    assert after(wait, live, pods(LACKING, version)) == version
    assert after(wait + 1, live, pods(LACKING, version)) == following


def test_a_model_that_could_not_be_converted_is_not_tried_again() -> None:
    unconverted = [*brought("a", MODEL), *brought("b", MODEL, "error: no ONNX")]
    assert after(100_000, deployment(key=KEYS), pods(unconverted)) == "v2"


def test_the_newest_pod_counts() -> None:
    newer = pod("q", ready=True, key=KEYS, created="2026-01-01T00:01:00Z", initContainerStatuses=LACKING)
    assert after(61, deployment(key=KEYS), [newer, *pods(LACKING)]) == "v2"
    assert after(121, deployment(key=KEYS), [newer, *pods(LACKING)]) == "v2.1"


def test_where_nothing_is_lacking_nothing_is_tried_again() -> None:
    complete = [*brought("a", MODEL), *brought("b", MODEL)]
    assert after(10_000, deployment(key=KEYS), pods(complete)) == "v2"
    assert after(10_000, deployment(version="v2.3", key=KEYS), pods(complete, "v2.3")) == "v2.3"
    assert after(10_000, deployment(key=KEYS), []) == "v2"


def test_what_a_former_version_lacked_is_not_tried_again() -> None:
    assert after(10_000, deployment(key=KEYS), pods(LACKING, "v1")) == "v2"


def test_a_rollout_under_way_is_not_disturbed() -> None:
    rolling = deployment(pods=3, updated=1, available=2, progress="ReplicaSetUpdated", key=KEYS)
    assert after(10_000, rolling, pods(LACKING)) == "v2"


def test_pods_without_a_policy_that_answers_never_get_ready_and_are_replaced_nevertheless() -> None:
    rolling = deployment(pods=3, updated=1, available=2, progress="ReplicaSetUpdated", key=KEYS)
    crashed = container("server", {"waiting": {"reason": "CrashLoopBackOff"}}, ended("error: no policy is left"))
    failing = pod("p", key=KEYS, initContainerStatuses=LACKING, containerStatuses=[crashed])
    assert after(61, rolling, [failing]) == "v2.1"
    starting = pod(
        "p", key=KEYS, initContainerStatuses=LACKING, containerStatuses=[container("server", {"running": {}})]
    )
    assert after(10_000, rolling, [starting]) == "v2"
    serving = pod("q", ready=True, key=KEYS, initContainerStatuses=LACKING)
    assert after(10_000, rolling, [failing, serving]) == "v2"


def test_what_kubernetes_itself_tries_again_is_left_to_it() -> None:
    crashing = container("fetch", {"waiting": {"reason": "CrashLoopBackOff"}})
    single = pod("p", initContainerStatuses=[crashing])
    assert after(10_000, deployment(), [single]) == "v2"
