import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from policy_server.bundle import Categorical, MultiCategorical
from policy_server.sampling import softmax
from tests.bundles import floats, write_linear_bundle
from tests.unit.server.conftest import Serve

OBSERVATION = {"zebra": 0.5, "apple": -1.0, "mango": 2.0}
NAMES = floats("zebra", "apple", "mango")


@pytest.fixture
def client(serve: Serve, categorical: Path) -> TestClient:
    """Serves the categorical policy to everyone, under default/test and at the root."""
    return serve(categorical, NAMES)


def logits_of(bundle_size: int = 4) -> Any:
    weights = np.random.default_rng(7).normal(size=(3, bundle_size)).astype(np.float32)
    return np.array(list(OBSERVATION.values()), np.float32) @ weights


@pytest.mark.parametrize("path", ["/predict/", "/predict", "/default/test/predict/", "/default/test/predict"])
def test_every_spelling_of_a_path_answers_without_a_redirect(client: TestClient, path: str) -> None:
    answer = client.post(path, json=OBSERVATION)
    assert answer.status_code == 200
    assert answer.json().keys() == {"actions", "probability"}


@pytest.mark.parametrize(
    "path", ["/", "/default/test", "/default/test/", "/healthz", "/readyz", "/default/test/readyz/"]
)
def test_health_says_ok(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, "ok")


def test_the_model_gets_the_observations_in_the_schemas_order(client: TestClient) -> None:
    backwards = dict(reversed(OBSERVATION.items()))
    table = client.post("/distribution/", json=backwards).json()
    assert list(table) == ["0", "1", "2", "3"]
    assert list(table.values()) == pytest.approx(softmax(logits_of()), abs=1e-6)


def test_the_probability_is_that_of_the_action(client: TestClient) -> None:
    table = client.post("/distribution/", json=OBSERVATION).json()
    for _ in range(50):
        answer = client.post("/predict/", json=OBSERVATION).json()
        assert answer["probability"] == table[str(answer["actions"][0])]


def test_the_deterministic_action_is_the_most_likely(client: TestClient) -> None:
    answer = client.post("/predict_deterministic/", json=OBSERVATION).json()
    assert answer["actions"] == [int(np.argmax(logits_of()))]


def test_raw_observations_are_the_models_own(client: TestClient) -> None:
    answer = client.post("/predict_raw/", json={"obs": list(OBSERVATION.values())})
    assert answer.status_code == 200
    table = client.post("/distribution/", json=OBSERVATION).json()
    assert answer.json()["probability"] == table[str(answer.json()["actions"][0])]


def test_a_seed_repeats_the_actions(serve: Serve, categorical: Path) -> None:
    runs = []
    for _ in range(2):
        client = serve(categorical, NAMES, seed=5)
        runs.append([client.post("/predict/", json=OBSERVATION).json()["actions"] for _ in range(30)])
    assert runs[0] == runs[1]


def test_a_tuple_has_no_table_and_says_so(serve: Serve, multi_categorical: Path) -> None:
    client = serve(multi_categorical, NAMES, tuple=True)
    assert len(client.post("/predict/", json=OBSERVATION).json()["actions"]) == 2
    answer = client.post("/distribution/", json=OBSERVATION)
    assert answer.status_code == 405
    assert "tuple of 2 components" in answer.json()["detail"]


def test_real_numbers_have_a_mean_and_a_density(serve: Serve, gaussian: Path) -> None:
    client = serve(gaussian, NAMES, discrete=False)
    answer = client.post("/predict_deterministic/", json=OBSERVATION).json()
    assert answer["actions"] == pytest.approx(logits_of(4)[:2].tolist(), abs=1e-6)
    assert answer["probability"] > 0
    assert client.post("/distribution/", json=OBSERVATION).status_code == 405


def test_without_observations_there_is_predict_raw_alone(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, [])
    assert client.post("/predict_raw/", json={"obs": [1, 2, 3]}).status_code == 200
    assert client.post("/predict/", json={}).status_code == 404
    assert "/predict/" not in client.get("/openapi.json").json()["paths"]


def test_lists_are_spliced_and_bools_count_as_numbers(serve: Serve, categorical: Path) -> None:
    observations = [{"name": "mask", "type": "List[bool]", "minItems": 2, "maxItems": 2}, *floats("speed")]
    client = serve(categorical, observations)
    spliced = client.post("/distribution/", json={"speed": 0.25, "mask": [True, False]}).json()
    assert spliced == client.post("/distribution/", json={"mask": [1, 0], "speed": 0.25}).json()
    raw = serve(categorical, floats("a", "b", "c")).post("/distribution/", json={"a": 1, "b": 0, "c": 0.25}).json()
    assert spliced == raw


def test_a_list_of_open_length_is_checked_against_the_model(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, [{"name": "cells", "type": "List[float]"}])
    assert client.post("/predict/", json={"cells": [1, 2, 3]}).status_code == 200
    answer = client.post("/predict/", json={"cells": [1, 2]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"] == (
        "The observation has 2 values, the model takes 3: change the length of cells"
    )


def test_unknown_keys_are_ignored(client: TestClient) -> None:
    assert client.post("/predict/", json=OBSERVATION | {"note": "hello"}).status_code == 200


BAD_BODIES = {
    "missing": (b'{"zebra": 1, "apple": 2}', 422, "mango"),
    "word": (b'{"zebra": "fast", "apple": 2, "mango": 3}', 422, "zebra"),
    "null": (b'{"zebra": null, "apple": 2, "mango": 3}', 422, "zebra"),
    "list": (b'{"zebra": [1], "apple": 2, "mango": 3}', 422, "zebra"),
    "nan": (b'{"zebra": NaN, "apple": 2, "mango": 3}', 422, "zebra"),
    "infinity": (b'{"zebra": 1, "apple": -Infinity, "mango": 3}', 422, "apple"),
    "overflow": (b'{"zebra": 1, "apple": 1e999, "mango": 3}', 422, "apple"),
    "too large for float32": (b'{"zebra": 1, "apple": 2, "mango": 1e39}', 422, "mango"),
    "not an object": (b"[1, 2, 3]", 422, "dictionary"),
    "no json": (b"zebra=1", 422, "JSON decode error"),
    "truncated": (b'{"zebra": 1', 422, "JSON decode error"),
    "empty": (b"", 422, "Field required"),
    "not utf-8": (b'{"zebra": "\xff"}', 400, "parsing the body"),
    "lone surrogate": (b'{"zebra": "\\ud800", "apple": 2, "mango": 3}', 422, "zebra"),
    "deeply nested": (b'{"zebra": ' + b"[" * 900 + b"]" * 900 + b"}", 422, "zebra"),
    "nested beyond parsing": (b"[" * 200_000, 400, "parsing the body"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_bad_body_is_refused_with_what_is_wrong(client: TestClient, case: str) -> None:
    body, code, culprit = BAD_BODIES[case]
    answer = client.post("/predict/", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == code
    assert culprit in json.dumps(answer.json()["detail"])


def test_bounds_and_sizes_of_the_schema_hold(serve: Serve, categorical: Path) -> None:
    observations = [
        {"name": "level", "type": "int", "minimum": 0, "maximum": 9},
        {"name": "cells", "type": "List[float]", "minItems": 2, "maxItems": 2, "maximum": 1},
    ]
    client = serve(categorical, observations)
    assert client.post("/predict/", json={"level": 9, "cells": [0, 1]}).status_code == 200
    for body, location in [
        ({"level": 10, "cells": [0, 1]}, ["body", "level"]),
        ({"level": 1.5, "cells": [0, 1]}, ["body", "level"]),
        ({"level": 10**400, "cells": [0, 1]}, ["body", "level"]),
        ({"level": 1, "cells": [0, 2]}, ["body", "cells", 1]),
        ({"level": 1, "cells": [0]}, ["body", "cells"]),
        ({"level": 1, "cells": [0, 0, 0]}, ["body", "cells"]),
    ]:
        answer = client.post("/predict/", json=body)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == location


def test_an_integer_beyond_every_float_is_refused(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, [{"name": "level", "type": "int"}, *floats("b", "c")])
    answer = client.post("/predict/", json={"level": 10**400, "b": 1, "c": 1})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "level"]


def test_a_raw_observation_of_the_wrong_length_is_refused(client: TestClient) -> None:
    answer = client.post("/predict_raw/", json={"obs": [1, 2]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "obs"]


def test_a_body_over_the_limit_is_refused_whether_or_not_it_says_its_length(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, NAMES, maxBodyBytes=1000)
    body = b" " * 1001

    def pieces() -> Iterator[bytes]:
        yield from (b" " * 600, b" " * 600)

    headers = {"content-type": "application/json"}
    for content in (body, pieces()):
        answer = client.post("/predict/", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json().keys() == {"detail"}


def test_the_documentation_shows_the_observation_field_by_field(serve: Serve, categorical: Path) -> None:
    observations = [
        {"name": "mouse row", "type": "int", "minimum": 0, "maximum": 9, "description": "Counted from the top."},
        {"name": "cells", "type": "List[float]", "minItems": 2, "maxItems": 2},
    ]
    document = serve(categorical, observations).get("/openapi.json").json()
    observation = document["components"]["schemas"]["Observation"]
    assert list(observation["properties"]) == ["mouse row", "cells"]
    row = observation["properties"]["mouse row"]
    assert (row["type"], row["minimum"], row["maximum"]) == ("integer", 0, 9)
    assert row["description"] == "Counted from the top."
    cells = observation["properties"]["cells"]
    assert (cells["items"]["type"], cells["minItems"], cells["maxItems"]) == ("number", 2, 2)
    assert observation["required"] == ["mouse row", "cells"]


def test_documentation_under_the_path_links_to_itself_and_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/default/test/docs").text
    assert "/default/test/openapi.json" in page
    assert "https://" not in page
    assert client.get("/default/test/static-offline-docs/swagger-ui-bundle.js").status_code == 200
    assert client.get("/default/test/openapi.json").json()["servers"] == [{"url": "/default/test"}]


def test_a_model_that_gives_no_number_is_a_500_that_says_so(serve: Serve, tmp_path: Path) -> None:
    # float32 overflows inside this model, far within the bounds of what it accepts
    steep = write_linear_bundle(tmp_path / "steep", Categorical(size=2), weights=np.full((3, 2), 3e38))
    answer = serve(steep, NAMES).post("/predict/", json={"zebra": 3e38, "apple": 1, "mango": 1})
    assert answer.status_code == 500
    assert "not finite" in answer.json()["detail"]


def test_requests_and_actions_are_counted(client: TestClient, registry: CollectorRegistry) -> None:
    action = client.post("/default/test/predict", json=OBSERVATION).json()["actions"][0]
    client.post("/predict/", json={})
    client.get("/no/such/path")
    requests = {"policyserver": "test", "route": "/predict/"}
    assert registry.get_sample_value("policyserver_http_requests_total", requests | {"code": "200"}) == 1
    assert registry.get_sample_value("policyserver_http_requests_total", requests | {"code": "422"}) == 1
    other = {"policyserver": "test", "route": "other", "code": "404"}
    assert registry.get_sample_value("policyserver_http_requests_total", other) == 1
    assert registry.get_sample_value("policyserver_http_request_duration_seconds_count", requests) == 2
    chosen = {"policyserver": "test", "policy": "test", "component": "0", "action": str(action)}
    assert registry.get_sample_value("policyserver_actions_total", chosen) == 1


def test_a_large_action_space_makes_few_series(serve: Serve, tmp_path: Path, registry: CollectorRegistry) -> None:
    bias = np.zeros(500)
    bias[400] = 1000.0
    wide = write_linear_bundle(tmp_path / "wide", MultiCategorical(sizes=[500]), bias=bias)
    assert serve(wide, NAMES, tuple=True).post("/predict/", json=OBSERVATION).json()["actions"] == [400]
    labels = {"policyserver": "test", "policy": "test", "component": "0", "action": "other"}
    assert registry.get_sample_value("policyserver_actions_total", labels) == 1


def test_concurrent_requests_get_their_own_answers(client: TestClient) -> None:
    expected = {value: client.post("/distribution/", json=OBSERVATION | {"zebra": value}).json() for value in range(8)}
    wrong: list[int] = []

    def ask(value: int) -> None:
        answers = [client.post("/distribution/", json=OBSERVATION | {"zebra": value}).json() for _ in range(20)]
        wrong.extend(value for answer in answers if answer != expected[value])

    threads = [threading.Thread(target=ask, args=(value,)) for value in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
