"""Two servers of one configuration, of which one has its policy answer by Ray: clients can't tell which is which."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ray.ray_processes import REPLICA, alive, descendants, titled
from tests.server_process import Server
from tests.serving import wait_for

KEY = {"access-token": "key"}
OBSERVATION = {"a": 1.0, "b": 2.0, "c": 3.0}
VALUES = list(OBSERVATION.values())
TENSOR = {"name": "observations", "shape": [2, 3], "datatype": "FP32", "data": VALUES * 2}
ASKED: list[tuple[str, str, Any]] = [
    *(("POST", "/predict/", OBSERVATION) for _ in range(20)),
    ("POST", "/default/test/predict", OBSERVATION),
    ("POST", "/predict_deterministic/", OBSERVATION),
    ("POST", "/distribution/", OBSERVATION),
    ("POST", "/predict_raw/", {"obs": VALUES}),
    ("POST", "/predict_batch/", [OBSERVATION] * 9),
    ("GET", "/", {"observation": VALUES}),
    ("POST", "/", {"observation": VALUES}),
    ("POST", "/v2/models/test/infer", {"inputs": [TENSOR]}),
    ("GET", "/v2/models/test", None),
    ("GET", "/schema", None),
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/openapi.json", None),
    # What is refused.
    ("POST", "/predict/", {"a": 1.0}),
    ("POST", "/predict/", {"a": "many", "b": 2.0, "c": 3.0}),
    ("POST", "/predict_raw/", {"obs": [1.0]}),
    ("POST", "/predict_batch/", [OBSERVATION, {}]),
    ("POST", "/predict/", [0] * 600_000),
    ("POST", "/feedback", {"decision_id": "none", "reward": 1.0}),
    ("POST", "/v2/models/other/infer", {"inputs": [TENSOR]}),
    ("POST", "/v2/models/test/infer", {"inputs": []}),
    ("POST", "/api/v1.0/predictions", {"data": {"ndarray": [[1.0]]}}),
    ("GET", "/predict/", None),
    ("GET", "/nowhere", None),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    told: list[dict[str, Any]] = [{}, {"ray": {"scaling": {"replicas": 2}}}]
    started: list[Server] = []
    keys = tmp_path_factory.mktemp("keys")
    (keys / "key").write_text(KEY["access-token"])
    try:
        for changes in told:
            changes |= {"seed": 5, "auth": "apiKey", "apiKeysDirectory": str(keys)}
            server = Server(tmp_path_factory.mktemp("server"), "--drain-seconds=0", **changes)
            started.append(server)
            wait_for(lambda server=server: ready(server) or server.process.poll() is not None, "the server")  # type: ignore[misc]
            assert server.process.poll() is None, server.output
        yield started[0], started[1]
    finally:
        for server in started:
            server.process.terminate()
            server.process.wait(60)


def ready(server: Server) -> bool:
    try:
        return answered(server, "GET", "/readyz", None)[0] == 200
    except OSError:
        return False


def answered(
    server: Server, method: str, path: str, body: Any, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], Any]:
    """Returns the status, the headers that don't change from one second to the next, and the body."""
    with closing(server.connect()) as connection:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} | (headers or KEY))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders() if name.lower() != "date"}
        return answer.status, told, json.loads(answer.read())


def test_all_answers_are_the_same_to_the_last_field(servers: tuple[Server, Server]) -> None:
    for method, path, body in ASKED:
        here, by_ray = (answered(server, method, path, body) for server in servers)
        assert here == by_ray, (method, path)
    without_key = [answered(server, "POST", "/predict/", OBSERVATION, {"Accept": "*/*"}) for server in servers]
    assert without_key[0] == without_key[1]
    assert without_key[0][0] == 401


def test_seldons_answers_differ_by_their_ids_alone(servers: tuple[Server, Server]) -> None:
    asked = {"data": {"names": ["a", "b", "c"], "tensor": {"shape": [1, 3], "values": VALUES}}}
    here, by_ray = (answered(server, "POST", "/api/v1.0/predictions", asked) for server in servers)
    for _, _, answer in (here, by_ray):
        assert answer["meta"].pop("puid")
    assert here[0] == by_ray[0] == 200
    assert here[2] == by_ray[2]


def test_the_metrics_have_the_same_names_and_counts(servers: tuple[Server, Server]) -> None:
    for method, path, body in ASKED:
        for server in servers:
            answered(server, method, path, body)
    asked = servers[0].metrics(), servers[1].metrics()
    here, by_ray = ({key: value for key, value in one.items() if key[0].startswith("policyserver")} for one in asked)
    assert here.keys() == by_ray.keys()
    counts = [key for key in here if key[0] in ("policyserver_http_requests_total", "policyserver_actions_total")]
    assert len(counts) > 10
    for key in counts:
        assert here[key] == by_ray[key] or "/readyz" in key, key


def test_nothing_that_ray_begins_survives_the_servers_end(tmp_path: Path) -> None:
    with Server(tmp_path, "--drain-seconds=0", ray={}) as server:
        assert titled(server.process.pid, REPLICA)
        begun = descendants(server.process.pid)
        assert any("raylet" in title for title in begun.values())
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert [title for pid, title in begun.items() if alive(pid)] == []
