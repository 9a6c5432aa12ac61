from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from policy_server.doors.door import MOST_ROWS
from tests.bundles import floats
from tests.unit.server.conftest import Serve

NAMES = floats("zebra", "apple", "mango")
TENSOR = {"names": ["a"], "tensor": {"shape": [1, 3], "values": [0.5, -1.0, 2.0]}}
PATHS = ["/api/v1.0/predictions", "/api/v0.1/predictions", "/default/test/api/v1.0/predictions/"]


@pytest.fixture
def client(serve: Serve, categorical: Path) -> TestClient:
    """Serves the categorical policy."""
    return serve(categorical, NAMES)


@pytest.mark.parametrize("path", PATHS)
def test_a_tensor_is_answered_with_a_tensor_of_actions(client: TestClient, path: str) -> None:
    answer = client.post(path, json={"data": TENSOR})
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert data.keys() == {"names", "tensor"}
    assert data["tensor"]["shape"] == [1, 1]
    assert data["tensor"]["values"][0] in range(4)


def test_an_ndarray_is_answered_with_an_ndarray_row_by_row(client: TestClient) -> None:
    answer = client.post("/api/v1.0/predictions", json={"data": {"ndarray": [[0.5, -1, 2]] * 12}}).json()
    assert answer["data"].keys() == {"names", "ndarray"}
    assert [len(row) for row in answer["data"]["ndarray"]] == [1] * 12
    assert len(answer["meta"]["tags"]["probability"]) == 12


def test_meta_always_has_a_puid_and_the_routing(client: TestClient) -> None:
    puids = set()
    for _ in range(2):
        meta = client.post("/api/v1.0/predictions", json={"data": TENSOR}).json()["meta"]
        assert meta["routing"] == {}
        puids.add(meta["puid"])
    assert len(puids) == 2
    given = client.post("/api/v1.0/predictions", json={"data": TENSOR, "meta": {"puid": "mine", "tags": {}}})
    assert given.json()["meta"]["puid"] == "mine"


def test_the_probability_is_that_of_the_action(client: TestClient) -> None:
    table = client.post("/distribution/", json={"zebra": 0.5, "apple": -1.0, "mango": 2.0}).json()
    answer = client.post("/api/v1.0/predictions", json={"data": TENSOR}).json()
    (action,), (probability,) = answer["data"]["tensor"]["values"], answer["meta"]["tags"]["probability"]
    assert probability == pytest.approx(table[str(action)], abs=1e-6)


def test_a_tuple_has_a_column_for_each_component(serve: Serve, multi_categorical: Path) -> None:
    client = serve(multi_categorical, NAMES, tuple=True)
    data = client.post("/api/v1.0/predictions", json={"data": {"ndarray": [[1, 2, 3]] * 2}}).json()["data"]
    assert data["names"] == ["action_0", "action_1"]
    assert [len(row) for row in data["ndarray"]] == [2, 2]


def test_continuous_actions_are_real_numbers(serve: Serve, gaussian: Path) -> None:
    client = serve(gaussian, NAMES, discrete=False)
    tensor = client.post("/api/v1.0/predictions", json={"data": TENSOR}).json()["data"]["tensor"]
    assert tensor["shape"] == [1, 2]
    assert all(isinstance(value, float) for value in tensor["values"])


WRONG: dict[str, tuple[Any, str]] = {
    "no data": ({"strData": "x"}, "data"),
    "no encoding": ({"data": {"names": ["a"]}}, "exactly one of tensor and ndarray"),
    "two encodings": ({"data": TENSOR | {"ndarray": [[1, 2, 3]]}}, "exactly one of tensor and ndarray"),
    "other width": ({"data": {"ndarray": [[1, 2]]}}, "the model takes rows of 3"),
    "ragged": ({"data": {"ndarray": [[1, 2, 3], [1, 2]]}}, "all of the same length"),
    "words": ({"data": {"ndarray": [["fast", 2, 3]]}}, "valid number"),
    "too few values": ({"data": {"tensor": {"shape": [2, 3], "values": [1, 2, 3]}}}, "has 6 values, there are 3"),
    "negative shape": ({"data": {"tensor": {"shape": [-1, -3], "values": [1, 2, 3]}}}, "greater than or equal to 0"),
    "too large": ({"data": {"ndarray": [[1, 2, 1e39]]}}, "not finite in float32"),
    "too many rows": ({"data": {"ndarray": [[1, 2, 3]] * (MOST_ROWS + 1)}}, f"at most {MOST_ROWS}"),
    "too many tensor rows": (
        {"data": {"tensor": {"shape": [MOST_ROWS + 1, 3], "values": [1] * 3 * (MOST_ROWS + 1)}}},
        f"at most {MOST_ROWS}",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_with_what_is_wrong(client: TestClient, case: str) -> None:
    body, culprit = WRONG[case]
    answer = client.post("/api/v1.0/predictions", json=body)
    assert answer.status_code == 422
    assert culprit in answer.text


@pytest.mark.parametrize("path", ["/api/v1.0/feedback", "/api/v0.1/feedback", "/default/test/api/v0.1/feedback/"])
def test_rewards_are_counted_zeros_and_losses_too(client: TestClient, registry: CollectorRegistry, path: str) -> None:
    request = {"data": TENSOR}
    response = client.post(PATHS[0], json=request).json()
    # Protobuf's JSON leaves a reward of 0 out.
    for reward in ({"reward": 1}, {"reward": 0}, {"reward": -0.25}, {}):
        answer = client.post(path, json={"request": request, "response": response, "truth": None} | reward)
        assert (answer.status_code, answer.json()) == (200, {})
    labels = {"policyserver": "test", "policy": "test"}
    assert registry.get_sample_value("policyserver_reward_count", labels) == 4
    assert registry.get_sample_value("policyserver_reward_sum", labels) == 0.75


@pytest.mark.parametrize("reward", ["NaN", "Infinity", "-Infinity", '"much"', "null", "1e39", "[1]"])
def test_a_reward_that_is_no_number_is_refused_and_not_counted(
    client: TestClient, registry: CollectorRegistry, reward: str
) -> None:
    answer = client.post("/api/v1.0/feedback", content=f'{{"reward": {reward}}}')
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "reward"]
    assert registry.get_sample_value("policyserver_reward_count", {"policyserver": "test", "policy": "test"}) is None
