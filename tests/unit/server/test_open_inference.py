import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from policy_server.doors.door import MOST_ROWS
from policy_server.doors.tensors import DATATYPES
from tests.bundles import floats
from tests.unit.server.conftest import Serve

NAMES = floats("zebra", "apple", "mango")
ROWS = [[0.5, -1.0, 2.0], [1.0, 1.0, 1.0]]
INFER = "/v2/models/test/infer"


def asked(rows: Any = ROWS, **changes: Any) -> dict[str, Any]:
    tensor = {"name": "observations", "shape": list(np.shape(rows)), "datatype": "FP32", "data": rows}
    return {"inputs": [tensor | changes.pop("input", {})]} | changes


@pytest.fixture
def client(serve: Serve, categorical: Path) -> TestClient:
    """Serves the categorical policy."""
    return serve(categorical, NAMES)


@pytest.mark.parametrize("prefix", ["", "/default/test"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_route_answers_under_the_path_and_with_a_trailing_slash(
    client: TestClient, prefix: str, slash: str
) -> None:
    model = client.get(f"{prefix}/v2/models/test{slash}").json()
    (version,) = model["versions"]
    for path, body in {
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"ready": True},
        "/v2/models/test/ready": {"name": "test", "ready": True},
        f"/v2/models/test/versions/{version}": model,
        f"/v2/models/test/versions/{version}/ready": {"name": "test", "ready": True},
    }.items():
        assert client.get(prefix + path + slash).json() == body
    assert client.get(f"{prefix}/v2{slash}").json()["extensions"] == ["binary_tensor_data"]
    for path in (INFER, f"/v2/models/test/versions/{version}/infer"):
        answer = client.post(prefix + path + slash, json=asked(id="42")).json()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("test", version, "42")


def test_metadata_say_what_goes_in_and_out(client: TestClient) -> None:
    model = client.get("/v2/models/test").json()
    assert model["inputs"] == [{"name": "observations", "datatype": "FP32", "shape": [-1, 3]}]
    assert [(each["name"], each["datatype"], each["shape"]) for each in model["outputs"]] == [
        ("actions", "INT64", [-1, 1]),
        ("probability", "FP64", [-1]),
        ("distribution_parameters", "FP32", [-1, 4]),
    ]


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/test/versions/0", "/v2/models/other/ready", "/v2/no"])
def test_what_is_not_there_is_404_with_the_protocols_error(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"] == answer.json()["detail"]
    if "models" in path:
        assert "there is" in answer.json()["error"]


def test_flat_and_nested_data_are_the_same(client: TestClient) -> None:
    nested = client.post(INFER, json=asked(parameters={"deterministic": True})).json()
    flat = asked(parameters={"deterministic": True}, input={"data": np.ravel(ROWS).tolist()})
    assert client.post(INFER, json=flat).json() == nested
    actions, probability = nested["outputs"]
    assert (actions["name"], actions["shape"], actions["datatype"]) == ("actions", [2, 1], "INT64")
    assert (probability["name"], probability["shape"], probability["datatype"]) == ("probability", [2], "FP64")
    single = client.post("/predict_deterministic/", json=dict(zip(("zebra", "apple", "mango"), ROWS[0], strict=True)))
    assert actions["data"][:1] == single.json()["actions"]
    assert probability["data"][0] == pytest.approx(single.json()["probability"], abs=1e-6)


def test_the_distributions_parameters_come_on_request(client: TestClient) -> None:
    wanted = [{"name": "distribution_parameters"}]
    (output,) = client.post(INFER, json=asked(outputs=wanted)).json()["outputs"]
    weights = np.random.default_rng(7).normal(size=(3, 4)).astype(np.float32)
    assert output["data"] == pytest.approx((np.array(ROWS, np.float32) @ weights).ravel().tolist(), abs=1e-5)


def test_continuous_actions_are_float32(serve: Serve, gaussian: Path) -> None:
    answer = serve(gaussian, NAMES, discrete=False).post(INFER, json=asked()).json()
    assert (answer["outputs"][0]["datatype"], answer["outputs"][0]["shape"]) == ("FP32", [2, 2])


def binary(datatype: str, rows: Any, **changes: Any) -> tuple[bytes, dict[str, str]]:
    tail = np.array(rows).astype(DATATYPES[datatype]).tobytes()
    tensor = {"name": "observations", "shape": list(np.shape(rows)), "datatype": datatype}
    text = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(tail)}}]} | changes).encode()
    headers = {"inference-header-content-length": str(len(text)), "content-type": "application/octet-stream"}
    return text + tail, headers


@pytest.mark.parametrize("datatype", DATATYPES)
def test_tensors_may_follow_the_json_as_bytes(client: TestClient, datatype: str) -> None:
    rows = [[1, 0, 1], [0, 0, 1]]
    body, headers = binary(datatype, rows, parameters={"deterministic": True})
    answer = client.post(INFER, content=body, headers=headers)
    assert answer.json() == client.post(INFER, json=asked(rows, parameters={"deterministic": True})).json()


def test_outputs_may_follow_the_json_as_bytes(client: TestClient) -> None:
    outputs = [{"name": "probability", "parameters": {"binary_data": False}}, {"name": "actions"}]
    answer = client.post(INFER, json=asked(outputs=outputs, parameters={"binary_data_output": True}))
    length = int(answer.headers["inference-header-content-length"])
    probability, actions = json.loads(answer.content[:length])["outputs"]
    assert len(probability["data"]) == 2
    assert actions["parameters"] == {"binary_data_size": 16}
    assert "data" not in actions
    assert set(np.frombuffer(answer.content[length:], "<i8").tolist()) <= set(range(4))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another name": ({"input": {"name": "pixels"}}, "observations"),
    "no inputs": ({"inputs": []}, "at least 1 item"),
    "unknown type": ({"input": {"datatype": "BYTES"}}, "FP32"),
    "words": ({"input": {"data": ["a"] * 6}}, "must be numbers"),
    "ragged": ({"input": {"data": [[1, 2, 3], [1, 2]]}}, "ragged"),
    "too few": ({"input": {"data": [1, 2]}}, "has 6 values, there are 2"),
    "other width": ({"input": {"shape": [3, 2]}}, "the model takes rows of 3"),
    "negative": ({"input": {"shape": [-2, -3]}}, "greater than or equal to 0"),
    "many rows": ({"input": {"shape": [10**9, 3]}}, f"at most {MOST_ROWS}"),
    "wide": ({"input": {"shape": [1, 10**9]}}, "has 1000000000 values"),
    "beyond all memory": ({"input": {"shape": [1, 10**30]}}, "less than or equal to 2147483647"),
    "beyond float32": ({"input": {"data": [[1, 2, 1e39], [1, 2, 3]]}}, "not finite"),
    "no data": ({"input": {"data": None}}, "binary_data_size"),
    "no bytes": ({"input": {"data": None, "parameters": {"binary_data_size": 24}}}, "has 24 bytes, there are 0"),
    "unknown output": ({"outputs": [{"name": "value"}]}, "actions"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_with_the_protocols_error(client: TestClient, case: str) -> None:
    changes, culprit = WRONG[case]
    answer = client.post(INFER, json=asked(**changes))
    assert answer.status_code == 422
    assert culprit in answer.json()["error"]
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("length", "code"), [("99999", 400), ("9" * 5000, 400), ("-1", 400), ("many", 400), ("٣", 400), ("0", 422)]
)
def test_a_wrong_length_of_the_json_is_refused(client: TestClient, length: str, code: int) -> None:
    body, headers = binary("FP32", ROWS)
    sent = headers | {"inference-header-content-length": length}
    answer = client.post(INFER, content=body, headers={name.encode(): value.encode() for name, value in sent.items()})
    assert answer.status_code == code
    assert answer.json()["error"]


def test_bytes_that_do_not_fill_the_shape_are_refused(client: TestClient) -> None:
    body, headers = binary("FP64", ROWS)
    answer = client.post(INFER, content=body[:-8], headers=headers)
    assert answer.status_code == 422
    assert "has 48 bytes, there are 40" in answer.json()["error"]


def test_a_body_over_the_limit_is_refused(serve: Serve, categorical: Path) -> None:
    body, headers = binary("FP64", [[0.0, 0.0, 0.0]] * 100)
    answer = serve(categorical, NAMES, maxBodyBytes=1000).post(INFER, content=body, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"] == answer.json()["detail"]


def test_health_needs_no_key_and_the_rest_does(serve: Serve, categorical: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "only").write_text("the-key")
    client = serve(categorical, NAMES, auth="apiKey", apiKeysDirectory=str(keys))
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200
    for path in ("/v2", "/v2/models/test", "/v2/models/test/ready"):
        answer = client.get(path)
        assert answer.status_code == 401
        assert "API key" in answer.json()["error"]
    assert client.post(INFER, json=asked()).status_code == 401
    assert client.post(INFER, json=asked(), headers={"access-token": "the-key"}).status_code == 200


def test_routes_with_names_in_them_are_counted_as_one(client: TestClient, registry: CollectorRegistry) -> None:
    for name in ("test", "a", "b", "c"):
        client.get(f"/v2/models/{name}")
    requests = [
        sample.labels
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "policyserver_http_requests_total"
    ]
    assert {labels["route"] for labels in requests} == {"/v2/models/{name}"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=60) | st.just(binary("FP32", ROWS)[0]),
    length=st.integers(-1, 200).map(str) | st.text(st.characters(max_codepoint=127, categories=("L", "N")), max_size=4),
)
def test_no_bytes_bring_the_server_down(client: TestClient, body: bytes, length: str) -> None:
    answer = client.post(INFER, content=body, headers={"inference-header-content-length": length})
    assert answer.status_code in (200, 400, 422)


def test_a_shape_beyond_all_memory_is_refused(client: TestClient) -> None:
    body = {"inputs": [{"name": "observations", "shape": [0, 10**30], "datatype": "FP32", "data": []}]}
    assert client.post(INFER, json=body).status_code == 422
