import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.bundles import floats
from tests.unit.server.conftest import Serve

NAMES = floats("zebra", "apple", "mango")
BODY = {"observation": [0.5, -1.0, 2.0]}


@pytest.fixture
def keyed(serve: Serve, categorical: Path, tmp_path: Path) -> TestClient:
    """Serves the categorical policy to those who have the key."""
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "only").write_text("the-key")
    return serve(categorical, NAMES, auth="apiKey", apiKeysDirectory=str(keys))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/", "/default/test", "/default/test/"])
def test_a_body_is_asked_for_one_action(serve: Serve, categorical: Path, method: str, path: str) -> None:
    answer = serve(categorical, NAMES).request(method, path, json=BODY)
    assert answer.status_code == 200
    assert answer.json().keys() == {"action"}
    assert answer.json()["action"] in range(4)


def test_actions_are_sampled(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, NAMES)
    assert len({client.request("GET", "/", json=BODY).json()["action"] for _ in range(100)}) > 1


def test_a_tuple_is_a_list_of_indexes(serve: Serve, multi_categorical: Path) -> None:
    action = serve(multi_categorical, NAMES, tuple=True).request("GET", "/", json=BODY).json()["action"]
    assert [type(index) for index in action] == [int, int]


def test_continuous_actions_are_a_list_of_floats(serve: Serve, gaussian: Path) -> None:
    action = serve(gaussian, NAMES, discrete=False).request("GET", "/", json=BODY).json()["action"]
    assert [type(number) for number in action] == [float, float]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("body", [{}, {"observation": [1, 2]}, {"observation": "x"}, {"observation": [1, 2, 1e39]}])
def test_a_wrong_body_is_refused(serve: Serve, categorical: Path, method: str, body: object) -> None:
    assert serve(categorical, NAMES).request(method, "/", json=body).status_code == 422


def test_a_post_without_a_body_is_refused(serve: Serve, categorical: Path) -> None:
    assert serve(categorical, NAMES).post("/").status_code == 422


@pytest.mark.parametrize("path", ["/", "/default/test/"])
def test_saying_ok_needs_no_key_and_an_action_does(keyed: TestClient, path: str) -> None:
    assert keyed.get(path).json() == "ok"
    assert keyed.get(path, headers={"content-length": "0"}).json() == "ok"
    for method in ("GET", "POST"):
        assert keyed.request(method, path, json=BODY).status_code == 401
        assert keyed.request(method, path, content=iter([json.dumps(BODY).encode()])).status_code == 401
        assert keyed.request(method, path, json=BODY, headers={"access-token": "the-key"}).status_code == 200
    assert keyed.post(path).status_code == 401
