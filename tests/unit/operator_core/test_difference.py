"""Whether an object is as it should be."""

from typing import Any

import pytest

from policy_operator.difference import APPLIED, difference, is_as, signed

DESIRED: dict[str, Any] = {
    "metadata": {"name": "mouse", "labels": {"a": "1"}},
    "spec": {"replicas": 1, "args": ["x", "y"], "containers": [{"name": "server", "image": "one"}]},
}


def live(**spec: Any) -> dict[str, Any]:
    """The object as the API server has it: with defaults, and with what others have added."""
    return {
        "metadata": {"name": "mouse", "uid": "1", "labels": {"a": "1", "theirs": "2"}},
        "spec": {
            "replicas": 1,
            "args": ["x", "y"],
            "paused": False,
            "containers": [{"name": "sidecar", "image": "theirs"}, {"name": "server", "image": "one", "tty": False}],
        }
        | spec,
        "status": {},
    }


def test_defaults_and_what_others_add_are_no_difference() -> None:
    assert difference(DESIRED, live()) is None


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"replicas": 2}, "spec.replicas"),
        ({"replicas": None}, "spec.replicas"),
        ({"args": ["x"]}, "spec.args"),
        ({"args": ["y", "x"]}, "spec.args[0]"),
        ({"args": None}, "spec.args"),
        ({"containers": []}, "spec.containers[server]"),
        ({"containers": [{"name": "server", "image": "two"}]}, "spec.containers[server].image"),
    ],
    ids=str,
)
def test_the_first_place_that_differs_is_named(spec: dict[str, Any], place: str) -> None:
    assert difference(DESIRED, live(**spec)) == place


def test_what_is_no_longer_wanted_shows_in_the_hash_alone() -> None:
    before = signed(DESIRED | {"data": {"kept": "1", "dropped": "2"}})
    after = DESIRED | {"data": {"kept": "1"}}
    assert difference(after, before) is None
    assert not is_as(signed(after), before)
    assert is_as(before, before)


def test_signing_leaves_the_original_alone() -> None:
    assert APPLIED in signed(DESIRED)["metadata"]["annotations"]
    assert "annotations" not in DESIRED["metadata"]
