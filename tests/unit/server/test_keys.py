import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from policy_server.auth import ApiKeys
from policy_server.errors import ConfigError
from tests.bundles import floats
from tests.unit.server.conftest import Serve

OBSERVATION = {"zebra": 0.5, "apple": -1.0, "mango": 2.0}
NAMES = floats("zebra", "apple", "mango")


@pytest.fixture
def keyed(serve: Serve, categorical: Path, tmp_path: Path) -> TestClient:
    """Serves it to those who have one of two keys."""
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "old").write_text("first-key\n")
    (keys / "new").write_text("second-key")
    return serve(categorical, NAMES, auth="apiKey", apiKeysDirectory=str(keys))


@pytest.mark.parametrize(
    "carrier",
    [
        {"headers": {"access-token": "first-key"}},
        {"headers": {"access-token": "second-key"}},
        {"headers": {"Authorization": "Bearer second-key"}},
        {"headers": {"Cookie": "access-token=first-key"}},
        {"params": {"access-token": "first-key"}},
        {"headers": {"access-token": "wrong"}, "params": {"access-token": "first-key"}},
    ],
)
def test_a_key_may_stand_in_header_query_or_cookie(keyed: TestClient, carrier: dict[str, Any]) -> None:
    assert keyed.post("/predict/", json=OBSERVATION, **carrier).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"access-token": "wrong"}, {"access-token": ""}, {"Authorization": "Bearer"}])
@pytest.mark.parametrize("path", ["/predict/", "/default/test/predict_raw", "/schema", "/nowhere"])
def test_without_a_key_nothing_is_told_not_even_of_a_bad_body(
    keyed: TestClient, path: str, headers: dict[str, str]
) -> None:
    answer = keyed.post(path, content=b"no json", headers=headers)
    assert answer.status_code == 401
    assert "access-token" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/docs", "/redoc", "/openapi.json", "/default/test/docs"])
def test_health_and_documentation_need_no_key(keyed: TestClient, path: str) -> None:
    assert keyed.get(path).status_code == 200


def test_the_schema_is_shown_in_its_order_without_the_key(keyed: TestClient) -> None:
    answer = keyed.get("/schema", headers={"access-token": "first-key"})
    assert list(answer.json()["observations"]) == ["zebra", "apple", "mango"]
    assert answer.json()["parameters"] == {"discrete": True, "tuple": False}
    assert "first-key" not in answer.text


def test_a_key_may_hold_more_than_ascii(serve: Serve, categorical: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "key").write_text("schlüssel")
    client = serve(categorical, NAMES, auth="apiKey", apiKeysDirectory=str(keys))
    header = {b"access-token": "schlüssel".encode()}
    assert client.post("/predict/", json=OBSERVATION, headers=header).status_code == 200
    assert client.post("/predict/?access-token=schl%C3%BCssel", json=OBSERVATION).status_code == 200


def test_without_any_key_there_is_no_server(serve: Serve, categorical: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "key").write_text(" \n")
    with pytest.raises(ConfigError, match="no API key"):
        serve(categorical, NAMES, auth="apiKey", apiKeysDirectory=str(tmp_path / "empty"))


def test_keys_that_vanish_stay_accepted_and_are_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "..data").mkdir()  # beside the keys, where Kubernetes keeps what they link to
    (tmp_path / ".key").write_text("first")
    keys = ApiKeys(tmp_path)
    (tmp_path / ".key").unlink()
    with caplog.at_level(logging.WARNING):
        keys.reload()
        keys.reload()
    assert keys.accepts(b"first")
    assert len(caplog.records) == 1
    (tmp_path / "other").write_text("second")
    keys.reload()
    assert (keys.accepts(b"first"), keys.accepts(b"second")) == (False, True)
