from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from policy_server.config import Observation, Schema
from policy_server.errors import SchemaMismatch
from tests.bundles import floats
from tests.unit.server.conftest import Serve

DEFAULTS = [
    {"name": "speed", "type": "float", "default": 0.5, "minimum": 0},
    *floats("apple"),
    {"name": "flag", "type": "bool", "default": False},
]


def test_a_default_stands_in_for_what_a_request_leaves_out(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, DEFAULTS)
    whole = client.post("/distribution/", json={"flag": False, "speed": 0.5, "apple": 2}).json()
    assert client.post("/distribution/", json={"apple": 2}).json() == whole
    assert client.post("/distribution/", json={"apple": 2, "speed": 3}).json() != whole
    assert client.post("/predict_batch/", json=[{"apple": 2}, {"apple": 2, "flag": True}]).status_code == 200


def test_what_has_no_default_must_be_there_and_a_null_is_no_absence(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, DEFAULTS)
    for body, name in (({"speed": 1}, "apple"), ({"apple": 1, "speed": None}, "speed")):
        answer = client.post("/predict/", json=body)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", name]


def test_lists_have_defaults_too(serve: Serve, categorical: Path) -> None:
    cells = {"name": "cells", "type": "List[float]", "default": [1, 2], "minItems": 2, "maxItems": 2}
    client = serve(categorical, [cells, *floats("last")])
    whole = client.post("/distribution/", json={"cells": [1, 2], "last": 3}).json()
    assert client.post("/distribution/", json={"last": 3}).json() == whole


def test_the_documentation_shows_defaults(serve: Serve, categorical: Path) -> None:
    described = serve(categorical, DEFAULTS).get("/openapi.json").json()["components"]["schemas"]["Observation"]
    assert described["required"] == ["apple"]
    assert described["properties"]["speed"]["default"] == 0.5
    assert described["properties"]["flag"]["default"] is False


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "int", "default": 1.5}, "is not of type int"),
        ({"type": "int", "default": True}, "is not of type int"),
        ({"type": "bool", "default": 1}, "is not of type bool"),
        ({"type": "float", "default": "fast"}, "is not of type float"),
        ({"type": "float", "default": float("nan")}, "is not of type float"),
        ({"type": "float", "default": 1e39}, "is not of type float"),
        ({"type": "float", "default": {"a": 1}}, "is not of type float"),
        ({"type": "float", "default": [1]}, "must be a single value"),
        ({"type": "List[float]", "default": 1}, "must be a list"),
        ({"type": "List[float]", "default": [1, "x"]}, "is not of type"),
        ({"type": "List[float]", "default": [1], "minItems": 2}, "has 1 items"),
        ({"type": "List[float]", "default": [1, 2, 3], "maxItems": 2}, "has 3 items"),
        ({"type": "float", "default": 1, "maximum": 0.5}, "minimum and maximum don't allow"),
        ({"type": "List[int]", "default": [5, -1], "minimum": 0}, "minimum and maximum don't allow"),
    ],
)
def test_a_default_that_a_request_could_not_say_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Observation.model_validate({"name": "a"} | fields)


def with_actions(names: list[str] | None, **changes: Any) -> dict[str, Any]:
    observations = [{"name": name, "type": "float"} for name in ("zebra", "apple", "mango")]
    return {"schema": {"observations": observations, "actions": names} | changes}


COMPASS = ["north", "east", "south", "west"]
BODY = {"zebra": 1, "apple": 2, "mango": 3}


def test_answers_name_the_actions(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, [], **with_actions(COMPASS))
    for path in ("/predict/", "/predict_deterministic/"):
        answer = client.post(path, json=BODY).json()
        assert list(answer) == ["actions", "probability", "action_names"]
        assert answer["action_names"] == [COMPASS[answer["actions"][0]]]
    assert client.post("/predict_raw/", json={"obs": [1, 2, 3]}).json()["action_names"][0] in COMPASS
    (batched,) = client.post("/predict_batch/", json=[BODY]).json()
    assert batched["action_names"] == [COMPASS[batched["actions"][0]]]
    seldon = client.post("/api/v1.0/predictions", json={"data": {"ndarray": [[1, 2, 3]]}}).json()
    assert seldon["meta"]["tags"]["action_names"] == [[COMPASS[seldon["data"]["ndarray"][0][0]]]]
    properties = client.get("/openapi.json").json()["components"]["schemas"]["NamedAction"]["properties"]
    assert "action_names" in properties


def test_without_names_answers_are_pathminds_alone(serve: Serve, categorical: Path) -> None:
    answer = serve(categorical, floats(*BODY)).post("/predict/", json=BODY)
    assert list(answer.json()) == ["actions", "probability"]
    assert answer.text.startswith('{"actions":[')
    assert '],"probability":' in answer.text


def test_as_many_names_as_the_model_has_actions(serve: Serve, categorical: Path) -> None:
    with pytest.raises(SchemaMismatch, match="names 2 actions, the model has 4"):
        serve(categorical, [], **with_actions(["left", "right"]))


def test_tuples_have_no_names(serve: Serve, multi_categorical: Path) -> None:
    with pytest.raises(SchemaMismatch, match="has 2 components"):
        serve(multi_categorical, [], **with_actions(COMPASS))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"actions": ["left", "left"]}, "'left' is there twice"),
        ({"actions": []}, "at least 1 item"),
        ({"actions": [""]}, "at least 1 character"),
        ({"actions": ["left"], "tuple": True}, "one discrete action"),
        ({"actions": ["left"], "discrete": False}, "one discrete action"),
    ],
)
def test_names_that_name_nothing_are_refused(schema: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Schema.model_validate(schema)


def test_the_schema_shows_masks_defaults_and_names(serve: Serve, categorical: Path) -> None:
    mask = {"name": "allowed", "type": "List[bool]", "mask": True}
    default = {"name": "a", "type": "float", "default": 0.5}
    schema = {"observations": [default, mask], "actions": COMPASS}
    assert serve_schema(schema) == {
        "observations": {
            "a": {"type": "float", "default": 0.5},
            "allowed": {"type": "List[bool]", "mask": True},
        },
        "parameters": {"discrete": True, "tuple": False, "actions": COMPASS},
    }
    client = serve(categorical, [], **with_actions(COMPASS))
    assert client.get("/schema").json()["parameters"]["actions"] == COMPASS


def serve_schema(schema: Any) -> dict[str, Any]:
    from policy_server.schema_document import schema_document  # noqa: PLC0415 -- beside its only use

    return schema_document(Schema.model_validate(schema))
