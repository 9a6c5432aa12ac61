"""What is kept of a router's learning, though its next pod may know less."""

import json
from typing import Any

from policy_operator.desired.learned import completed

LEARNED = {"name": "b", "digest": "2", "buckets": [[0, 20, 20, 5, 5]]}


def snapshot(*arms: dict[str, Any]) -> str:
    return json.dumps({"version": 1, "frozen": None, "arms": list(arms)}, separators=(",", ":"))


def former(*arms: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"router.json": snapshot(*arms)}}


A: dict[str, Any] = {"name": "a", "digest": "1", "buckets": []}


def test_a_policy_that_could_not_be_loaded_keeps_what_it_had_earned() -> None:
    assert json.loads(completed(snapshot(A), former(A, LEARNED), {"a", "b"}))["arms"] == [A, LEARNED]


def test_a_policy_that_is_gone_or_known_anew_is_as_the_router_tells() -> None:
    assert completed(snapshot(A), former(A, LEARNED), {"a"}) == snapshot(A)
    anew = LEARNED | {"digest": "3", "buckets": []}
    assert completed(snapshot(A, anew), former(LEARNED), {"a", "b"}) == snapshot(A, anew)


def test_without_a_former_one_it_is_as_it_is() -> None:
    assert completed(snapshot(A), None, {"a", "b"}) == snapshot(A)
    assert completed(snapshot(A), {"data": {"router.json": "no JSON"}}, {"a", "b"}) == snapshot(A)
