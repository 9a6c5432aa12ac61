"""The API server refuses, in CEL, what the model refuses, and keeps defaults of every type as they are."""

from typing import Any

import pytest

from tests import engine_cases
from tests.integration.operator_core.api_client import Namespace
from tests.routing_cases import REFUSED, TAKEN, policy, routed

MASK = {"name": "allowed", "type": "List[bool]", "mask": True}


def test_masks_defaults_and_names_are_kept_as_they_were_written(namespace: Namespace) -> None:
    schema = {
        "observations": [
            MASK | {"default": [True, False]},
            {"name": "speed", "type": "float", "default": 0.5},
            {"name": "level", "type": "int", "default": 3},
            {"name": "flag", "type": "bool", "default": False},
        ],
        "actions": ["left", "right"],
    }
    namespace.serve("kept", schema=schema)
    kept = namespace.server("kept")["spec"]["schema"]
    assert kept == schema | {"discrete": True, "tuple": False}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"observations": [MASK | {"type": "float"}]}, "a mask is a List[bool]"),
        ({"observations": [MASK], "discrete": False}, "continuous actions can't be masked"),
        ({"actions": ["left"], "discrete": False}, "actions names the choices of one discrete action"),
        ({"actions": ["left"], "tuple": True}, "actions names the choices of one discrete action"),
    ],
)
def test_a_schema_that_can_never_work_is_refused(namespace: Namespace, schema: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=r"422|Invalid|invalid") as refused:
        namespace.serve("refused", schema=schema)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"modelUri": "pvc:///mouse.zip"}, "names no claim: write pvc://CLAIM/PATH"),
        ({"modelUri": "pvc://trained_models/mouse.zip"}, "names no claim: write pvc://CLAIM/PATH"),
        ({"sha256": "sha256:" + "a" * 57}, "spec.sha256"),
        ({"modelCredentials": {"name": "No_Name"}}, "spec.modelCredentials.name"),
    ],
)
def test_a_source_that_can_never_work_is_refused(namespace: Namespace, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=r"422|Invalid|invalid") as refused:
        namespace.serve("refused", **spec)
    assert message in str(refused.value)


@pytest.mark.parametrize("uri", ["pvc://trained", "pvc://trained-1.x/a b.zip", "s3://models/pvc:x", "pv:x"])
def test_a_source_that_can_work_is_taken(namespace: Namespace, uri: str) -> None:
    namespace.serve("taken", modelUri=uri, sha256="a" * 64, modelCredentials={"name": "keys"})
    assert namespace.server("taken")["spec"]["modelUri"] == uri


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        *REFUSED,
        (routed(policy("a"), policy("a"), mode="UCB1"), "duplicate entries for key"),
        (routed(mode="UCB1", reward={"min": 2}), "reward: min must be less than max"),
    ],
)
def test_policies_and_router_that_can_never_work_are_refused(
    namespace: Namespace, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(AssertionError, match=r"422|Invalid|invalid|duplicate") as refused:
        namespace.serve("refused", **spec)
    assert message in str(refused.value)


@pytest.mark.parametrize("spec", TAKEN)
def test_policies_and_router_that_can_work_are_taken(namespace: Namespace, spec: dict[str, Any]) -> None:
    namespace.serve("taken", **spec)
    kept = namespace.server("taken")["spec"]["policies"]
    assert [one["name"] for one in kept] == [one["name"] for one in spec["policies"]]


@pytest.mark.parametrize(("spec", "message"), engine_cases.REFUSED)
def test_an_engine_that_can_never_serve_is_refused(namespace: Namespace, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=r"422|Invalid|invalid") as refused:
        namespace.serve("refused", **spec)
    assert message in str(refused.value)


@pytest.mark.parametrize("spec", engine_cases.TAKEN)
def test_an_engine_that_can_serve_is_taken(namespace: Namespace, spec: dict[str, Any]) -> None:
    namespace.serve("taken", **spec)
    assert namespace.server("taken")["spec"]["engine"] == spec["engine"]
