from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from policy_server.bundle import Categorical
from policy_server.deciding import FEW_ROWS
from policy_server.doors.door import MOST_ROWS
from policy_server.policy import Policy
from tests.bundles import floats, write_linear_bundle
from tests.unit.server.conftest import Serve

NAMES = floats("zebra", "apple", "mango")


def observation(value: float) -> dict[str, float]:
    return {"zebra": value, "apple": 1.0, "mango": -1.0}


@pytest.fixture
def client(serve: Serve, categorical: Path) -> TestClient:
    """Serves the categorical policy."""
    return serve(categorical, NAMES)


@pytest.mark.parametrize("path", ["/predict_batch/", "/predict_batch", "/default/test/predict_batch"])
def test_each_observation_gets_its_own_answer_in_order(client: TestClient, path: str) -> None:
    answers = client.post(path, json=[observation(value) for value in range(20)]).json()
    assert len(answers) == 20
    for value, answer in enumerate(answers):
        table = client.post("/distribution/", json=observation(value)).json()
        assert answer.keys() == {"actions", "probability"}
        assert answer["probability"] == pytest.approx(table[str(answer["actions"][0])], abs=1e-6)


def test_an_empty_batch_has_an_empty_answer(client: TestClient) -> None:
    answer = client.post("/predict_batch/", json=[])
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1, MOST_ROWS])
def test_the_model_is_asked_once(client: TestClient, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    asked: list[tuple[int, ...]] = []
    run: Callable[..., Any] = Policy.parameter_rows

    def counting(policy: Policy, rows: Any) -> Any:
        asked.append(rows.shape)
        return run(policy, rows)

    monkeypatch.setattr(Policy, "parameter_rows", counting)
    assert len(client.post("/predict_batch/", json=[observation(0)] * rows).json()) == rows
    assert asked == [(rows, 3)]


def test_a_batch_has_a_greatest_size(client: TestClient) -> None:
    answer = client.post("/predict_batch/", json=[observation(0)] * (MOST_ROWS + 1))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body"]


@pytest.mark.parametrize(
    ("wrong", "location"),
    [
        ({"zebra": 1, "apple": 2}, ["body", 1, "mango"]),
        ({"zebra": "x", "apple": 2, "mango": 3}, ["body", 1, "zebra"]),
        ({"zebra": 1, "apple": 1e39, "mango": 3}, ["body", 1, "apple"]),
        ([1, 2, 3], ["body", 1]),
    ],
)
def test_what_is_wrong_is_told_with_its_index(client: TestClient, wrong: object, location: list[object]) -> None:
    answer = client.post("/predict_batch/", json=[observation(0), wrong])
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == location


def test_lists_of_another_length_are_told_with_their_index(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, [{"name": "cells", "type": "List[float]"}])
    answer = client.post("/predict_batch/", json=[{"cells": [1, 2, 3]}, {"cells": [1, 2]}])
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == ["body", 1]
    assert "has 2 values, the model takes 3" in detail["msg"]


def test_each_decision_of_a_batch_is_counted(serve: Serve, tmp_path: Path, registry: CollectorRegistry) -> None:
    certain = write_linear_bundle(tmp_path / "certain", Categorical(size=2), size=3, bias=np.array([0.0, 1e6]))
    serve(certain, NAMES).post("/predict_batch/", json=[observation(0)] * 30)
    labels = {"policyserver": "test", "policy": "test", "component": "0", "action": "1"}
    assert registry.get_sample_value("policyserver_actions_total", labels) == 30


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=12))
def test_a_batch_is_as_many_single_predictions(serve: Serve, categorical: Path, values: list[float]) -> None:
    observations = [observation(value) for value in values]
    one, other = (serve(categorical, NAMES, seed=3) for _ in range(2))
    singly = [one.post("/predict/", json=each).json() for each in observations]
    batch = other.post("/predict_batch/", json=observations).json()
    assert [each["actions"] for each in batch] == [each["actions"] for each in singly]
    assert [each["probability"] for each in batch] == pytest.approx([each["probability"] for each in singly], abs=1e-5)
