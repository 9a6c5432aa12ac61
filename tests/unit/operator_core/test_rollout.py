"""What Deployments and pods say."""

import pytest

from policy_operator.pinning import mismatched, pinned
from policy_operator.rollout import Failure, PolicyRollout, failure_of, rollout_of
from tests.unit.operator_core.objects import (
    MODEL,
    OTHER_MODEL,
    Object,
    brought,
    container,
    deployment,
    ended,
    pod,
    several_keys,
)

CRASH = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
CONVERTED = container("convert", ended("", 0, "Completed"))


@pytest.mark.parametrize(
    ("statuses", "reason", "message"),
    [
        (
            {"initContainerStatuses": [container("fetch", ended("fetching\nerror: HTTP 404"))]},
            "FetchFailed",
            "pod p, container fetch: error: HTTP 404",
        ),
        (
            {"initContainerStatuses": [container("convert", CRASH, ended("error: 8 values, the model takes 7"))]},
            "ConversionFailed",
            "pod p, container convert: error: 8 values, the model takes 7",
        ),
        (
            {"initContainerStatuses": [container("convert", {"running": {}}, ended("error: the same again"))]},
            "ConversionFailed",
            "pod p, container convert: error: the same again",
        ),
        (
            {"initContainerStatuses": [container("convert", ended("Loading", 137, "OOMKilled"))]},
            "ConversionFailed",
            "pod p, container convert: killed because it took more memory than its limit or than the node has",
        ),
        (
            {"containerStatuses": [container("server", CRASH, ended("", 139))]},
            "ServerFailed",
            "pod p, container server: exit code 139",
        ),
        (
            {"containerStatuses": [container("server", {"waiting": {"reason": "ImagePullBackOff", "message": "no"}})]},
            "ImageUnavailable",
            "pod p, container server: ImagePullBackOff policyserver/server:1: no",
        ),
        (
            {
                "containerStatuses": [
                    container("server", {"waiting": {"reason": "CreateContainerConfigError", "message": "no"}})
                ]
            },
            "ContainerNotStarted",
            "pod p, container server: CreateContainerConfigError: no",
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit"}
                ]
            },
            "Unschedulable",
            "pod p: 0/1 nodes fit",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_failure_is_told_in_the_words_of_who_knows(statuses: Object, reason: str, message: str) -> None:
    failure = failure_of(pod("p", **statuses))
    assert failure is not None
    assert (failure.reason, failure.message) == (reason, message)


def test_waiting_is_no_failure() -> None:
    starting: Object = {"initContainerStatuses": [container("fetch", {"waiting": {"reason": "PodInitializing"}})]}
    assert failure_of(pod("p", **starting)) is None
    assert failure_of(pod("p")) is None


def test_a_pod_that_serves_has_its_failures_behind_it() -> None:
    assert failure_of(pod("p", ready=True, containerStatuses=[container("server", {}, ended("error: once"))])) is None


def test_only_the_newest_version_counts_as_ready_or_as_failed() -> None:
    pods = [
        pod("old-1", "v1", ready=True, digest=OTHER_MODEL),
        pod("old-2", "v1", containerStatuses=[container("server", ended("error: old"))]),
        pod("old-3", "v1", ready=True, ends=True),
        pod("new-1", ready=True, digest=MODEL),
        pod("new-2"),
    ]
    rollout = rollout_of(deployment(pods=4, updated=2, available=2, progress="ReplicaSetUpdated"), pods)
    assert (rollout.ready, rollout.former, rollout.failure) == (1, 1, None)
    assert (rollout.complete, rollout.settled, rollout.stalled) == (False, False, False)
    assert rollout.policies == (PolicyRollout("mouse", (MODEL,)),)


def test_what_its_controller_has_not_seen_is_not_complete() -> None:
    pods = [pod("p1", ready=True), pod("p2", ready=True)]
    assert rollout_of(deployment(), pods).complete
    assert not rollout_of(deployment(observed=False), pods).complete
    assert not rollout_of(deployment(observed=False), pods).settled


def test_what_its_pods_have_not_said_is_not_complete() -> None:
    assert not rollout_of(deployment(), [pod("p1", ready=True), pod("p2")]).complete


def test_a_refusal_to_make_pods_is_a_failure() -> None:
    refused = deployment()
    refused["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"})
    failure = rollout_of(refused, []).failure
    assert failure is not None
    assert (failure.reason, failure.message) == ("PodsRefused", "exceeded quota")


def test_the_first_digest_is_pinned_and_stays() -> None:
    first = pod("p1", digest=MODEL, created="2026-01-01T00:00:00Z", initContainerStatuses=[CONVERTED])
    second = pod("p0", digest=OTHER_MODEL, created="2026-01-01T00:00:01Z", initContainerStatuses=[CONVERTED])
    assert pinned({}, [second, first], {"uri"}) == {"uri": MODEL}
    assert pinned({"uri": MODEL}, [second], {"uri"}) == {"uri": MODEL}
    assert mismatched([first, second], {"uri": MODEL}) == [second]
    assert mismatched([first, second], {}) == []


def test_a_pin_goes_with_its_uri_and_is_not_made_for_another() -> None:
    other = pod("p", digest=MODEL, key="other", initContainerStatuses=[CONVERTED])
    assert pinned({"gone": MODEL}, [other], {"uri"}) == {}


@pytest.mark.parametrize(
    "convert", [ended("error: no model", 2), {"running": {}}, CRASH, {}], ids=["failed", "running", "waiting", "none"]
)
def test_a_model_that_was_not_converted_is_not_pinned(convert: Object) -> None:
    broken = pod("p0", digest=OTHER_MODEL, initContainerStatuses=[container("convert", convert)])
    later = pod("p1", digest=MODEL, created="2026-01-02T00:00:00Z", initContainerStatuses=[CONVERTED])
    assert pinned({}, [broken], {"uri"}) == {}
    assert pinned({}, [broken, later], {"uri"}) == {"uri": MODEL}
    assert mismatched([broken, later], {"uri": MODEL}) == [broken]  # so that it fetches what replaced its model


def test_a_pod_that_ends_anyway_is_not_deleted() -> None:
    assert mismatched([pod("p", digest=OTHER_MODEL, ends=True)], {"uri": MODEL}) == []


def test_a_fetch_that_says_something_else_pins_nothing() -> None:
    odd = pod("p", initContainerStatuses=[container("fetch", ended("no JSON", 0, "Completed")), CONVERTED])
    assert pinned({}, [odd], {"uri"}) == {}


KEYS = several_keys("a", "b")


def test_what_a_pod_does_without_is_told_of_that_policy_and_of_no_other() -> None:
    lacking = pod(
        "p", ready=True, key=KEYS, initContainerStatuses=[*brought("a", MODEL), *brought("b", "error: HTTP 404")]
    )
    rollout = rollout_of(deployment(key=KEYS), [lacking])
    failure = Failure("FetchFailed", "pod p, container fetch-b: error: HTTP 404")
    assert rollout.policies == (PolicyRollout("a", (MODEL,)), PolicyRollout("b", (), failure))
    assert (rollout.failure, rollout.ready) == (None, 1)


def test_a_policy_that_was_fetched_and_not_converted_has_no_digest() -> None:
    statuses = [*brought("a", MODEL), *brought("b", OTHER_MODEL, "error: takes 3 values")]
    (_, lacking) = rollout_of(
        deployment(key=KEYS), [pod("p", ready=True, key=KEYS, initContainerStatuses=statuses)]
    ).policies
    failure = Failure("ConversionFailed", "pod p, container convert-b: error: takes 3 values")
    assert lacking == PolicyRollout("b", (), failure)


def test_what_keeps_the_pod_from_starting_is_told_of_its_policy_too() -> None:
    killed = container("convert-b", ended("", 137, "OOMKilled"))
    statuses = [*brought("a", MODEL), brought("b", OTHER_MODEL)[0], killed]
    rollout = rollout_of(deployment(key=KEYS), [pod("p", key=KEYS, initContainerStatuses=statuses)])
    assert rollout.failure is not None
    assert rollout.failure.reason == "ConversionFailed"
    assert [policy.failure for policy in rollout.policies] == [None, rollout.failure]


def test_each_policy_is_pinned_by_itself_once_it_was_converted() -> None:
    broken = [*brought("a", MODEL), *brought("b", OTHER_MODEL, "error: no model")]
    healthy = [*brought("a", MODEL), *brought("b", OTHER_MODEL)]
    assert pinned({}, [pod("p", key=KEYS, initContainerStatuses=broken)], {"key of a", "key of b"}) == {
        "key of a": MODEL
    }
    both = [pod("p", key=KEYS, initContainerStatuses=healthy)]
    assert pinned({}, both, {"key of a", "key of b"}) == {"key of a": MODEL, "key of b": OTHER_MODEL}
    assert pinned({}, both, {"key of b"}) == {"key of b": OTHER_MODEL}
    assert mismatched(both, {"key of a": MODEL, "key of b": OTHER_MODEL}) == []
    assert mismatched(both, {"key of a": MODEL, "key of b": MODEL}) == both
