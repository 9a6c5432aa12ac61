"""A model that takes a second holds up nobody but who asked it."""

import http.client
import json
import select
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from policy_server.bundle import Categorical
from tests.models import slow_model, write_model_bundle
from tests.server_process import Server
from tests.serving import DEADLINE_SECONDS

OBSERVATION = {"a": 1.0, "b": 2.0, "c": 3.0}
VALUES = list(OBSERVATION.values())
TENSOR = {"name": "observations", "shape": [1, 3], "datatype": "FP32", "data": VALUES}
MULTIPLICATIONS = 30  # of 1024 x 1024 matrices, tens of milliseconds each
PROBES = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("slow")
    bundle = write_model_bundle(folder / "slow", slow_model(MULTIPLICATIONS), Categorical(size=2))
    with Server(folder, bundle=bundle) as server:
        yield server


def connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_SECONDS)


def waits(connection: http.client.HTTPConnection) -> bool:
    """Whether nothing of the answer has come yet."""
    return not select.select([connection.sock], [], [], 0)[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict/", OBSERVATION),
        ("/predict_deterministic/", OBSERVATION),
        ("/distribution/", OBSERVATION),
        ("/predict_raw/", {"obs": VALUES}),
        ("/predict_batch/", [OBSERVATION]),
        ("/", {"observation": VALUES}),
        ("/api/v1.0/predictions", {"data": {"ndarray": [VALUES]}}),
        ("/v2/models/test/infer", {"inputs": [TENSOR]}),
    ],
)
def test_probes_are_answered_while_a_slow_model_computes(server: Server, path: str, body: Any) -> None:
    with closing(connect(server)) as asking, closing(connect(server)) as probing:
        asking.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        # One after the other, and each after the prediction was sent: had the server to finish that first, it would.
        for _ in range(PROBES):
            probing.request("GET", "/healthz")
            answer = probing.getresponse()
            assert (answer.status, answer.read()) == (200, b'"ok"')
        assert waits(asking), "the prediction was answered before the probes"
        prediction = asking.getresponse()
        assert prediction.status == 200
        assert json.load(prediction)


def test_more_predictions_than_there_are_threads_are_all_answered(server: Server) -> None:
    connections = [connect(server) for _ in range(6)]
    for connection in connections:
        connection.request("POST", "/predict/", json.dumps(OBSERVATION), {"Content-Type": "application/json"})
    with closing(connect(server)) as probing:
        for _ in range(PROBES):
            probing.request("GET", "/healthz")
            assert probing.getresponse().read() == b'"ok"'
    assert waits(connections[-1])
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()
