"""The conditions, from what was seen."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from policy_operator.api_status import PolicyServerStatus
from policy_operator.kinds import DEPLOYMENT, INGRESS
from policy_operator.rollout import Failure, PolicyRollout, Rollout
from policy_operator.status import Seen, Trouble, status_of

Object = dict[str, Any]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
SERVING = Rollout(
    wanted=2,
    pods=2,
    ready=2,
    former=0,
    complete=True,
    settled=True,
    stalled=False,
    failure=None,
    policies=(PolicyRollout("mouse", ("abc",)),),
)
ROLLING = replace(SERVING, ready=1, former=2, complete=False, settled=False)
FAILING = replace(ROLLING, ready=0, failure=Failure("FetchFailed", "pod p, container fetch: error: HTTP 404"))
SEEN = Seen(url_path="cats/mouse", host="mouse.cats.svc", rollout=SERVING)


def live(status: Object | None = None) -> Object:
    return {"metadata": {"name": "mouse", "generation": 7}, "status": status or {}}


def judged(seen: Seen) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {one["type"]: (one["status"], one["reason"]) for one in status_of(live(), seen, NOW)["conditions"]}


def message(seen: Seen, kind: str) -> str:
    return next(str(one["message"]) for one in status_of(live(), seen, NOW)["conditions"] if one["type"] == kind)


def test_all_is_well() -> None:
    assert judged(SEEN) == {
        "SchemaValid": ("True", "Valid"),
        "ModelsLoaded": ("True", "Loaded"),
        "RouteReady": ("True", "RoutedInCluster"),
        "Progressing": ("False", "Complete"),
        "Ready": ("True", "Serving"),
    }


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (replace(SEEN, rollout=None), "RolloutInProgress"),
        (replace(SEEN, rollout=ROLLING), "RolloutInProgress"),
        (replace(SEEN, rollout=FAILING), "RolloutFailed"),
        (replace(SEEN, rollout=replace(ROLLING, stalled=True)), "RolloutFailed"),
        (replace(SEEN, rollout=replace(SERVING, complete=False, ready=1)), "PodsNotReady"),
        (replace(SEEN, rollout=replace(SERVING, wanted=0, pods=0, ready=0)), "ScaledToZero"),
        (replace(SEEN, path_holder="dogs/rex"), "UrlPathTaken"),
        (replace(SEEN, problems=("line 2: wrong",)), "SchemaInvalid"),
        (replace(SEEN, troubles=(Trouble(DEPLOYMENT, "NameTaken", "Deployment mouse exists"),)), "NameTaken"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_ready_says_what_is_wrong(seen: Seen, reason: str) -> None:
    assert judged(seen)["Ready"] == ("False", reason)


def test_a_failed_rollout_names_the_reason_and_who_goes_on() -> None:
    assert message(replace(SEEN, rollout=FAILING), "Ready") == (
        "FetchFailed: pod p, container fetch: error: HTTP 404; 0 of 2 pods of the current version serve;"
        " 2 pods of the former version go on serving"
    )


def test_trouble_shows_where_it_belongs() -> None:
    route = replace(SEEN, troubles=(Trouble(INGRESS, "Refused", "Ingress mouse can't be written: denied"),))
    assert judged(route)["RouteReady"] == ("False", "Refused")
    assert judged(route)["Progressing"] == ("False", "Complete")
    workload = replace(SEEN, troubles=(Trouble(DEPLOYMENT, "Refused", "Deployment mouse can't be written"),))
    assert judged(workload)["RouteReady"] == ("True", "RoutedInCluster")
    assert judged(workload)["Progressing"] == ("False", "Refused")


def test_times_change_with_the_status_and_with_nothing_else() -> None:
    first = status_of(live(), SEEN, NOW)
    again = status_of(live(first), SEEN, LATER)
    assert again == first
    rolling = status_of(live(first), replace(SEEN, rollout=ROLLING), LATER)
    times = {one["type"]: one["lastTransitionTime"] for one in rolling["conditions"]}
    assert times["Ready"] == times["ModelsLoaded"] == times["Progressing"] == "2026-01-02T00:00:00Z"
    assert times["SchemaValid"] == times["RouteReady"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("seen", "url"),
    [
        (SEEN, "http://mouse.cats.svc/cats/mouse/"),
        (replace(SEEN, address="models.example"), "http://models.example/cats/mouse/"),
        (replace(SEEN, address="models.example", path_holder="dogs/rex"), "http://mouse.cats.svc/cats/mouse/"),
    ],
)
def test_the_url_is_one_that_answers(seen: Seen, url: str) -> None:
    assert status_of(live(), seen, NOW)["url"] == url


def test_the_url_of_the_last_valid_spec_is_kept() -> None:
    former = status_of(live(), SEEN, NOW)
    assert status_of(live(former), Seen(problems=("wrong",)), NOW)["url"] == "http://mouse.cats.svc/cats/mouse/"


@pytest.mark.parametrize("seen", [SEEN, Seen(problems=("wrong",)), replace(SEEN, rollout=FAILING)])
def test_the_status_is_what_the_api_allows(seen: Seen) -> None:
    status = status_of(live(), seen, NOW)
    parsed = PolicyServerStatus.model_validate(status)
    assert parsed.model_dump(mode="json", by_alias=True, exclude_none=True).keys() == status.keys()


def policy(seen: Seen, former: Object | None = None, now: datetime = NOW) -> Object:
    (only,) = status_of(live(former), seen, now)["policies"]
    return dict(only)


def test_a_served_policy_says_its_digest() -> None:
    assert policy(SEEN) == {"name": "mouse", "state": "Loaded", "digest": "abc"}


def test_a_failing_policy_keeps_the_digest_that_was_served_and_says_what_failed() -> None:
    former = status_of(live(), SEEN, NOW)
    failing = policy(replace(SEEN, rollout=replace(FAILING, policies=(PolicyRollout("mouse"),))), former, LATER)
    assert failing == {
        "name": "mouse",
        "state": "Failed",
        "digest": "abc",
        "lastFailure": {
            "reason": "FetchFailed",
            "message": "pod p, container fetch: error: HTTP 404",
            "time": "2026-01-02T00:00:00Z",
        },
    }


def test_the_last_failure_outlives_its_remedy_with_the_time_of_its_first_sight() -> None:
    failed = status_of(live(), replace(SEEN, rollout=FAILING), NOW)
    still = status_of(live(failed), replace(SEEN, rollout=FAILING), LATER)
    assert still["policies"] == failed["policies"]
    healed = policy(SEEN, still, LATER)
    assert healed["state"] == "Loaded"
    assert healed["lastFailure"] == failed["policies"][0]["lastFailure"]


@pytest.mark.parametrize(
    ("rollout", "state"),
    [(ROLLING, "Loading"), (replace(SERVING, wanted=0, pods=0, ready=0), "Unloaded")],
)
def test_a_policy_without_all_its_pods_is_not_loaded(rollout: Rollout, state: str) -> None:
    assert policy(replace(SEEN, rollout=rollout))["state"] == state


def test_without_a_deployment_what_was_known_of_a_policy_stays() -> None:
    former = status_of(live(), SEEN, NOW)
    assert status_of(live(), replace(SEEN, rollout=None), NOW)["policies"] == []
    assert status_of(live(former), replace(SEEN, rollout=None), NOW)["policies"] == former["policies"]


FETCH_FAILED = Failure("FetchFailed", "pod p, container fetch-b: error: HTTP 404")
LACKING = replace(SERVING, policies=(PolicyRollout("a", ("abc",)), PolicyRollout("b", (), FETCH_FAILED)))
ROUTED = {"metadata": {"name": "mouse", "generation": 7}, "spec": {"policies": [{"name": "a"}, {"name": "b"}]}}
ROUTER = {
    "mode": "UCB1",
    "arms": [{"name": "a", "decisions": 3, "state": "Available"}, {"name": "b", "state": "NotLoaded"}],
}


def test_a_policy_that_pods_do_without_is_told_and_the_others_are_ready() -> None:
    seen = replace(SEEN, rollout=LACKING)
    assert judged(seen)["Ready"] == ("True", "Serving")
    assert judged(seen)["ModelsLoaded"] == ("False", "FetchFailed")
    assert message(seen, "ModelsLoaded") == "policy b: pod p, container fetch-b: error: HTTP 404"
    status = status_of(ROUTED, seen, NOW)
    assert [(one["name"], one["state"]) for one in status["policies"]] == [("a", "Loaded"), ("b", "Failed")]
    assert status["policies"][1]["lastFailure"]["reason"] == "FetchFailed"
    assert status["loadedPolicies"] == "1/2"


def test_models_of_several_policies_are_told_by_their_names() -> None:
    both = replace(SERVING, policies=(PolicyRollout("a", ("abc",)), PolicyRollout("b", ("def",))))
    said = message(replace(SEEN, rollout=both), "ModelsLoaded")
    assert said == "2 of 2 pods of the current version serve the models a sha256:abc, b sha256:def"


def test_what_keeps_a_pod_from_serving_is_no_fault_of_each_of_its_policies() -> None:
    crashing = replace(LACKING, ready=1, failure=Failure("ServerFailed", "pod p, container server: exit code 139"))
    status = status_of(ROUTED, replace(SEEN, rollout=crashing), NOW)
    assert [one["state"] for one in status["policies"]] == ["Loading", "Failed"]
    assert status["policies"][1]["lastFailure"]["reason"] == "FetchFailed"
    # The one may be the reason for the other.
    assert judged(replace(SEEN, rollout=crashing))["ModelsLoaded"] == ("False", "FetchFailed")
    healthy = replace(crashing, policies=(PolicyRollout("a"), PolicyRollout("b")))
    assert judged(replace(SEEN, rollout=healthy))["ModelsLoaded"] == ("False", "ServerFailed")


def test_a_policy_that_the_router_takes_out_has_failed() -> None:
    both = replace(SERVING, policies=(PolicyRollout("a"), PolicyRollout("b")))
    seen = replace(SEEN, rollout=both, out={"a": Failure("PolicyOut", "pod p: answers too late")})
    status = status_of(ROUTED, seen, NOW)
    assert [one["state"] for one in status["policies"]] == ["Failed", "Loaded"]
    assert judged(seen)["ModelsLoaded"] == ("False", "PolicyOut")
    assert judged(seen)["Ready"] == ("True", "Serving")


def test_what_a_router_told_last_stays_until_there_is_none() -> None:
    told = status_of(ROUTED, replace(SEEN, rollout=LACKING, router=ROUTER), NOW)
    assert told["router"] == ROUTER
    silent = status_of(ROUTED | {"status": told}, replace(SEEN, rollout=LACKING), NOW)
    assert silent == told
    assert "router" not in status_of(live(told), SEEN, NOW)


def test_the_status_of_a_router_is_what_the_api_allows() -> None:
    status = status_of(ROUTED, replace(SEEN, rollout=LACKING, router=ROUTER), NOW)
    parsed = PolicyServerStatus.model_validate(status)
    assert parsed.model_dump(mode="json", by_alias=True, exclude_none=True) == status
