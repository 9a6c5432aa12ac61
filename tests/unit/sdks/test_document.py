"""What SDKs are made from is the server's own document, cut to what they are for."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from policy_server.bundle import Categorical
from policy_server.config import ServerConfig
from policy_server.errors import PolicyServerError
from policy_server.sdks.document import Document, DocumentUnavailable, NoName, described, for_sdks, told_by
from tests.bundles import config_text, floats, write_linear_bundle
from tests.models import write_recurrent_bundle
from tests.routed import RoutedConfig

URL = "http://mouse.example/mouse/"


def written(config: str) -> Document:
    """Returns what SDKs are made from."""
    return for_sdks(described(ServerConfig.model_validate_json(config)), URL)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A server with keys that can't be read here."""
    keyed = {"auth": "apiKey", "apiKeysDirectory": "/nowhere/keys"}
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=4))
    return config_text(bundle, floats("a", "b", "c"), name="mouse", **keyed)


def operations(document: Document) -> dict[str, Any]:
    """Returns the operations of a document by their names."""
    return {one["operationId"]: one for path in document["paths"].values() for one in path.values()}


def parts(document: Any) -> Iterator[dict[str, Any]]:
    """Yields every object in a document."""
    for part in document if isinstance(document, list) else document.values():
        if isinstance(part, dict | list):
            yield from parts(part)
    if isinstance(document, dict):
        yield document


def test_sdks_have_our_own_routes_in_one_class_and_one_place_for_the_key(config: str) -> None:
    document = written(config)
    validate(document)
    assert document["servers"] == [{"url": "http://mouse.example/mouse"}]
    found = operations(document)
    assert set(found) == {
        *("predict", "predict_raw", "predict_deterministic", "predict_batch", "distribution", "get_schema")
    }
    assert all(one["tags"] == ["Policy"] and one["security"] == [{"apiKey": []}] for one in found.values())
    assert document["components"]["securitySchemes"]["apiKey"]["name"] == "access-token"
    assert set(document["components"]["schemas"]) == {"Action", "Observation", "RawObservation"}


def test_a_server_for_everyone_has_sdks_without_a_key(config: str) -> None:
    open_to_all = ServerConfig.model_validate_json(config).model_copy(
        update={"auth": "none", "api_keys_directory": None}
    )
    assert all(one["security"] == [] for one in operations(for_sdks(described(open_to_all), URL)).values())


def test_a_router_adds_feedback_and_its_store_is_left_alone(tmp_path: Path) -> None:
    config = RoutedConfig(tmp_path, {"mode": "ABTest"}, store={"redis": "redis://nowhere.invalid:6379/0"})
    document = written(config.text)
    assert {"feedback", "router"} < set(operations(document))
    assert "Reward" in document["components"]["schemas"]
    assert not any(parameter for one in operations(document).values() for parameter in one["parameters"])


def test_words_of_answers_stay_open_and_numbers_are_doubles(tmp_path: Path) -> None:
    document = written(RoutedConfig(tmp_path, {"mode": "ABTest"}).text)
    strings = [part for part in parts(document) if part.get("type") == "string"]
    numbers = [part for part in parts(document) if part.get("type") == "number"]
    assert strings
    assert not any("enum" in part for part in strings)
    assert numbers
    assert all(part["format"] == "double" for part in numbers)


def test_a_recurrent_policy_s_state_is_in_its_sdks(tmp_path: Path) -> None:
    document = written(config_text(write_recurrent_bundle(tmp_path / "bundle"), floats("a", "b", "c")))
    assert "state" in document["components"]["schemas"]["Observation"]["properties"]


def test_what_can_t_be_served_has_no_document(tmp_path: Path) -> None:
    with pytest.raises(PolicyServerError, match="bundle"):
        written(config_text(tmp_path / "none", floats("a")))


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"paths": []},
        {"paths": {"/": {"get": {}}}},
        {"paths": {"/": {"get": {"tags": ["Predictions"], "responses": {"200": {"$ref": "#/no/Where"}}}}}},
    ],
)
def test_another_document_is_refused_with_the_remedy(document: Document) -> None:
    with pytest.raises(DocumentUnavailable, match="no PolicyServer's: give the URL of one"):
        for_sdks(document, URL)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["é"], "'é'"),
        (['a"b'], "letters, digits"),
        (["1st"], "with a letter"),
        (["a_b", "A.b"], "tell 'a_b' from 'A.b'"),
    ],
)
def test_names_that_a_language_can_t_have_are_refused(tmp_path: Path, names: list[str], problem: str) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=4), size=len(names))
    with pytest.raises(NoName, match=problem):
        written(config_text(bundle, floats(*names)))


def test_no_description_ends_a_comment_of_the_code(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=4), size=1)
    document = written(config_text(bundle, [{"name": "a", "type": "float", "description": "*/ code /*"}]))
    assert document["components"]["schemas"]["Observation"]["properties"]["a"]["description"] == "* / code / *"


@pytest.mark.parametrize("content", [b"<html>", b"[]", None])
def test_a_url_without_a_document_is_refused_with_the_remedy(content: bytes | None) -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(DocumentUnavailable, match="give the URL of a PolicyServer that runs"):
            told_by(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
