"""The routes of a server, from the OpenAPI document of one: the sample policy twice under a router, with keys."""

import json
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from docs.reference.source.markdown import Node, bounds_of, code, fields, page, table, type_of
from policy_server.app import create_app
from policy_server.auth import ApiKeys
from policy_server.config import ServerConfig
from policy_server.routing.opening import open_routing
from policy_server.tallies import Tallies

_ROOT = Path(__file__).parents[3]
_MANIFEST = _ROOT / "manifests" / "examples" / "cartpole.yaml"
_BUNDLE = _ROOT / "examples" / "cartpole" / "bundle"
_USUAL = {
    200: "It is answered.",
    202: "It is stored.",
    400: "The body is no text in UTF-8, or nested too deeply.",
    401: "The key is missing or wrong.",
    404: "There is no such model, or version of it.",
    413: "The body is too large.",
    422: "A field is missing or wrong.",
    500: "The policy gave no usable answer.",
    503: "No policy of the router works now, or its store is needed and away.",
}
_GENERIC = ("Request Entity Too Large", "Unprocessable Entity")
"""What newer Pythons call otherwise."""
_PREAMBLE = """
What a server tells of itself under `/openapi.json` and `/docs`: here one of the sample policy, with keys and a router.
Another schema has other fields in `Observation`. Without a router there are neither `/feedback` nor `/router`, and no
fields of episodes and decisions. [The HTTP interface](../http.md) says what is common to all routes: paths, keys,
statuses, and the routes for people, which OpenAPI doesn't describe.
"""


def http_page() -> str:
    """Returns the page."""
    document = _openapi()
    tags: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).extend(_operation(f"{method.upper()} {path}", operation))
    routes = [part for tag, parts in tags.items() for part in (f"## {tag}", *parts)]
    bodies = [part for name, body in document["components"]["schemas"].items() for part in _body(name, body)]
    source = "the OpenAPI document of a server"
    return page("Routes and bodies", source, _PREAMBLE, *routes, "## Bodies", *bodies)


def _openapi() -> dict[str, Any]:
    schema = next(yaml.safe_load_all(_MANIFEST.read_text()))["spec"]["schema"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "keys").mkdir()
        (folder / "keys" / "key").write_text("any")
        (folder / "settings.json").write_text(json.dumps({"router": {"mode": "ABTest"}}))
        told = {
            "name": "cartpole",
            "urlPath": "cartpole",
            "schema": schema,
            "policies": [{"name": name, "bundle": _BUNDLE} for name in ("old", "new")],
            "apiKeysDirectory": folder / "keys",
            "routing": {"settings": folder / "settings.json", "store": {"path": folder / "learned.db"}},
        }
        config, tallies = ServerConfig.model_validate(told), Tallies()
        routing, _ = open_routing(config, tallies)
        app, _ = create_app(routing, ApiKeys(folder / "keys"), tallies)
        return app.openapi()


def _operation(name: str, operation: Node) -> Iterator[str]:
    yield f"### {name}\n\n{operation['summary']}. {' '.join(operation.get('description', '').split())}"
    if not operation.get("security"):
        yield "Needs no key."
    parameters = [
        [
            code(each["name"]),
            each["in"],
            type_of(each["schema"]),
            "; ".join(bounds_of(each["schema"])),
            each.get("description", ""),
        ]
        for each in operation.get("parameters", ())
    ]
    if parameters:
        yield table(["parameter", "in", "type", "bounds", "what it is"], parameters)
    if "requestBody" in operation:
        yield f"Body: {_content(operation['requestBody'])}."
    answers = [
        [status, _content(answer), _meaning(int(status), answer["description"])]
        for status, answer in sorted(operation["responses"].items())
    ]
    yield table(["status", "body", "when"], answers)


def _content(message: Node) -> str:
    kinds: dict[str, Any] = message.get("content", {})
    return " or ".join(type_of(kind["schema"]) for kind in kinds.values())


def _meaning(status: int, description: str) -> str:
    """Returns when a status is given; FastAPI's own words for it say nothing."""
    generic = (HTTPStatus(status).phrase, "Successful Response", "Validation Error", *_GENERIC)
    return _USUAL[status] if description in generic else description


def _body(name: str, body: Node) -> Iterator[str]:
    yield f"### {name}\n\n{body.get('description', '')}"
    yield fields(body) or f"{type_of(body)}."
