from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.testclient import TestClient

from policy_server.bundle import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from policy_server.config import Schema
from policy_server.errors import ObservationError, SchemaMismatch
from policy_server.masking import ActionMask
from policy_server.sampling import softmax
from tests.bundles import floats, write_linear_bundle
from tests.unit.server.conftest import Serve

MASK = {"name": "allowed", "type": "List[bool]", "mask": True}
SCHEMA = [*floats("speed"), MASK, *floats("height")]
FIRST_AND_LAST = [True, False, False, True]


def policy(folder: Path, distribution: Distribution, extra: int = 2) -> Path:
    """A policy that ignores the mask among its inputs."""
    weights = np.random.default_rng(3).normal(size=(extra + distribution.parameters, distribution.parameters))
    weights[1 : 1 + distribution.parameters] = 0
    return write_linear_bundle(folder / "masked", distribution, weights=weights)


def logits(folder: Path, speed: float, height: float) -> Any:
    weights = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)
    return speed * weights[0] + height * weights[5]


def observation(allowed: list[bool], speed: float = 1.0, height: float = -1.0) -> dict[str, Any]:
    return {"speed": speed, "allowed": allowed, "height": height}


@pytest.fixture
def client(serve: Serve, tmp_path: Path) -> TestClient:
    """Serves a policy of four actions with a mask between its other inputs."""
    return serve(policy(tmp_path, Categorical(size=4)), SCHEMA)


def test_what_is_forbidden_has_no_probability_and_the_rest_sums_to_one(client: TestClient, tmp_path: Path) -> None:
    table = client.post("/distribution/", json=observation(FIRST_AND_LAST)).json()
    assert [table["1"], table["2"]] == [0, 0]
    expected = softmax(logits(tmp_path, 1.0, -1.0)[[0, 3]])
    assert [table["0"], table["3"]] == pytest.approx(list(expected), abs=1e-6)


def raw(allowed: list[bool]) -> list[float]:
    return [1.0, *map(float, allowed), -1.0]


def answers(client: TestClient, allowed: list[bool]) -> dict[str, Any]:
    """The action that each protocol takes."""
    tensor = {"name": "observations", "shape": [1, 6], "datatype": "FP32", "data": raw(allowed)}
    inferred = client.post("/v2/models/test/infer", json={"inputs": [tensor]}).json()
    seldon = client.post("/api/v1.0/predictions", json={"data": {"ndarray": [raw(allowed)]}}).json()
    return {
        "predict": client.post("/predict/", json=observation(allowed)).json()["actions"][0],
        "deterministic": client.post("/predict_deterministic/", json=observation(allowed)).json()["actions"][0],
        "raw": client.post("/predict_raw/", json={"obs": raw(allowed)}).json()["actions"][0],
        "batch": client.post("/predict_batch/", json=[observation(allowed)] * 2).json()[1]["actions"][0],
        "seldon": seldon["data"]["ndarray"][0][0],
        "tutorial": client.request("GET", "/", json={"observation": raw(allowed)}).json()["action"],
        "inference": inferred["outputs"][0]["data"][0],
    }


@pytest.mark.parametrize("only", range(4))
def test_no_protocol_ever_takes_what_is_forbidden(client: TestClient, only: int) -> None:
    allowed = [action == only for action in range(4)]
    for _ in range(5):
        assert set(answers(client, allowed).values()) == {only}


def test_the_parameters_of_what_is_forbidden_are_the_lowest_that_json_can_say(client: TestClient) -> None:
    tensor = {"name": "observations", "shape": [1, 6], "datatype": "FP32", "data": raw(FIRST_AND_LAST)}
    asked = {"inputs": [tensor], "outputs": [{"name": "distribution_parameters"}]}
    (output,) = client.post("/v2/models/test/infer", json=asked).json()["outputs"]
    assert output["data"][1:3] == [float(np.finfo(np.float32).min)] * 2


def test_a_mask_that_allows_nothing_names_itself(client: TestClient) -> None:
    nothing = [False] * 4
    for path in ("/predict/", "/predict_deterministic/", "/distribution/"):
        answer = client.post(path, json=observation(nothing))
        assert answer.status_code == 422
        (detail,) = answer.json()["detail"]
        assert detail["loc"] == ["body", "allowed"]
        assert detail["msg"] == "The mask allowed allows no action: at least one must be true"
    batch = client.post("/predict_batch/", json=[observation(FIRST_AND_LAST), observation(nothing)])
    assert batch.json()["detail"][0]["loc"] == ["body", 1, "allowed"]
    for path, body in {
        "/predict_raw/": {"obs": raw(nothing)},
        "/": {"observation": raw(nothing)},
        "/api/v1.0/predictions": {"data": {"ndarray": [raw(nothing)]}},
    }.items():
        answer = client.post(path, json=body)
        assert answer.status_code == 422
        assert "The mask allowed" in answer.text


@pytest.mark.parametrize("allowed", [[True] * 3, [True] * 5, []])
def test_a_mask_has_as_many_values_as_there_are_actions(client: TestClient, allowed: list[bool]) -> None:
    answer = client.post("/predict/", json=observation(allowed))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "allowed"]


def test_the_documentation_says_how_long_a_mask_is(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["components"]["schemas"]["Observation"]["properties"]["allowed"]
    assert (described["minItems"], described["maxItems"]) == (4, 4)


def test_a_mask_of_a_tuple_holds_all_components(serve: Serve, tmp_path: Path) -> None:
    client = serve(policy(tmp_path, MultiCategorical(sizes=[2, 3])), SCHEMA, tuple=True)
    allowed = [False, True, True, False, False]
    assert client.post("/predict/", json=observation(allowed)).json() == {"actions": [1, 0], "probability": 1.0}
    answer = client.post("/predict/", json=observation([True, True, False, False, False]))
    assert answer.status_code == 422
    assert "allows no action of component 1" in answer.json()["detail"][0]["msg"]


def test_a_mask_may_stand_beside_a_list_of_open_length(serve: Serve, tmp_path: Path) -> None:
    cells = {"name": "cells", "type": "List[float]"}
    bundle = policy(tmp_path, Categorical(size=4))
    only = [False, False, True, False]
    before = serve(bundle, [MASK, cells]).post("/predict/", json={"cells": [1, 2], "allowed": only})
    assert before.json()["actions"] == [2]
    after = serve(bundle, [cells, MASK]).post("/predict/", json={"cells": [1, 2], "allowed": only})
    assert after.json()["actions"] == [2]


WRONG: dict[str, tuple[list[dict[str, Any]], Distribution, str]] = {
    "too small": (
        [MASK | {"minItems": 3, "maxItems": 3}, *floats("a", "b", "c")],
        Categorical(size=4),
        "the mask allowed has 3 values, the model has 4 actions",
    ),
    "of another tuple": (
        [MASK | {"maxItems": 4}, *floats("a", "b")],
        MultiCategorical(sizes=[2, 3]),
        "the mask allowed has 0 to 4 values, the model has 5 actions",
    ),
    "beside too few inputs": ([MASK, *floats("a")], Categorical(size=4), "make 5 values, the model takes 6"),
    "between open lists": (
        [{"name": "a", "type": "List[float]"}, MASK, {"name": "b", "type": "List[float]"}],
        Categorical(size=4),
        "its place is not known",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mask_that_does_not_fit_the_model_is_refused(serve: Serve, tmp_path: Path, case: str) -> None:
    observations, distribution, message = WRONG[case]
    with pytest.raises(SchemaMismatch, match=message):
        serve(policy(tmp_path, distribution), observations)


def test_continuous_actions_have_no_mask(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="actions are continuous"):
        serve(policy(tmp_path, DiagonalGaussian(size=2)), SCHEMA)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"observations": [MASK | {"type": "List[int]"}]}, "a mask is a List"),
        ({"observations": [MASK | {"type": "bool"}]}, "a mask is a List"),
        ({"observations": [MASK, MASK | {"name": "other"}]}, "there can be one"),
        ({"observations": [MASK], "discrete": False}, "continuous actions can't be masked"),
        ({"observations": [MASK | {"default": [False, False]}]}, "allows no action"),
    ],
)
def test_a_schema_with_a_mask_that_can_never_work_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Schema.model_validate(schema)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    rows=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_mask_leaves_what_is_allowed_as_it_was(sizes: list[int], rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    inputs = random.integers(0, 2, (rows, sum(sizes) + 1)).astype(np.float32)
    parameters = random.normal(size=(rows, sum(sizes))).astype(np.float32)
    mask = ActionMask("allowed", 1, sizes)
    allowed = inputs[:, 1:] == 1
    parts = np.split(allowed, np.cumsum(sizes)[:-1], axis=1)
    if all(part.any(axis=1).all() for part in parts):
        masked = mask.apply(parameters, inputs)
        assert np.array_equal(masked[allowed], parameters[allowed])
        assert np.isneginf(masked[~allowed]).all()
    else:
        with pytest.raises(ObservationError, match="allows no action"):
            mask.apply(parameters, inputs)
