"""What an SDK is made from: the OpenAPI document of one PolicyServer, cut to what its SDKs are for."""

import json
import re
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from prometheus_client import CollectorRegistry

from policy_server.app import create_app
from policy_server.auth import KEY_NAME, ApiKeys
from policy_server.config import ServerConfig, StoreConfig
from policy_server.deciding import Alone
from policy_server.engine import Engine
from policy_server.errors import PolicyServerError
from policy_server.metrics import Metrics
from policy_server.routing.opening import open_routing

Document = dict[str, Any]

_TAGS = {"Predictions", "Feedback", "Clients"}
"""Other systems' protocols have clients of their own."""
_CLASS = "Policy"
"""What has all the methods: PolicyApi."""
_KEY = "apiKey"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_. -]*")
_WORDS = ("description", "summary")


class DocumentUnavailable(PolicyServerError):
    """A server doesn't tell what its API is."""


class NoName(PolicyServerError):
    """An observation's name can't be one in every language."""


def described(config: ServerConfig) -> Document:
    """Returns the document of what would be served; neither the keys nor the router's store are looked at.

    Raises:
        PolicyServerError: it can't be served.
    """
    tallies = Metrics(CollectorRegistry()).tallies
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = None
        if config.auth == "apiKey":
            (folder / "key").write_text("any")
            keys = ApiKeys(folder)
        if config.routing is None:
            return create_app(Alone(Engine.load(config, config.policies[0]), tallies), keys, tallies)[0].openapi()
        apart = {"store": StoreConfig(path=folder / "store.db"), "decision_log": None}
        config = config.model_copy(update={"routing": config.routing.model_copy(update=apart)})
        return create_app(open_routing(config, tallies)[0], keys, tallies)[0].openapi()


def told_by(url: str) -> Document:
    """Returns the document of the server at a URL of http or https.

    Raises:
        DocumentUnavailable: there is none.
    """
    place = f"{url.rstrip('/')}/openapi.json"
    remedy = "give the URL of a PolicyServer that runs, as `policyserver up` prints it"
    try:
        with urllib.request.urlopen(place, timeout=30) as answer:  # noqa: S310 -- the scheme is the caller's promise
            document = json.load(answer)
    except HTTPError as error:
        error.close()  # it is the answer
        raise DocumentUnavailable(f"{place}: {error}; {remedy}") from None
    except URLError as error:
        raise DocumentUnavailable(f"{place}: {error.reason}; {remedy}") from None
    except (OSError, ValueError) as error:
        raise DocumentUnavailable(f"{place}: {error}; {remedy}") from None
    if not isinstance(document, dict):
        raise DocumentUnavailable(f"{place} holds no OpenAPI document; {remedy}")
    return document


def for_sdks(document: Document, url: str) -> Document:
    """Returns what SDKs are made from.

    Args:
        document: a server's.
        url: whom the SDK asks, unless it is told another.

    Raises:
        DocumentUnavailable: it isn't a PolicyServer's.
        NoName: an observation has a name that some language can't have.
    """
    try:
        paths = {
            path: {method: _operation(operation) for method, operation in operations.items()}
            for path, operations in document["paths"].items()
            if all(operation["tags"][0] in _TAGS for operation in operations.values())
        }
        schemas = _used(paths, document["components"]["schemas"])
        info = {name: str(document["info"][name]) for name in ("title", "description", "version")}
    except (AttributeError, IndexError, KeyError, TypeError):
        raise DocumentUnavailable("that OpenAPI document is no PolicyServer's: give the URL of one") from None
    for schema in schemas.values():
        _require_names(list(schema.get("properties", {})))
    key = {"type": "apiKey", "in": "header", "name": KEY_NAME}
    shortened: Document = _plain(
        {
            "openapi": document["openapi"],
            "info": info,
            "servers": [{"url": url.rstrip("/")}],
            "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": {_KEY: key}},
        }
    )
    return shortened


def _operation(operation: Mapping[str, Any]) -> Document:
    """Returns one operation with one place for the key, without headers that say what bodies can, or errors' bodies."""
    changes = {
        "tags": [_CLASS],
        "parameters": [parameter for parameter in operation.get("parameters", []) if parameter["in"] != "header"],
        "responses": {
            code: response if code.startswith("2") else {"description": response["description"]}
            for code, response in operation["responses"].items()
        },
        "security": [{_KEY: []}] if operation.get("security") else [],
    }
    return {**operation, **changes}


def _used(paths: Document, schemas: Document) -> Document:
    """Returns the schemas that are referred to, by others of them, too."""
    used: Document = {}
    names = set(_references(paths))
    while names:
        name = names.pop()
        used[name] = schemas[name]
        names |= set(_references(schemas[name])) - used.keys()
    return dict(sorted(used.items()))


def _require_names(names: Sequence[str]) -> None:
    """Raises NoName where names can't be written in every language, or told apart."""
    written: dict[str, str] = {}
    for name in names:
        if not _NAME.fullmatch(name):
            raise NoName(
                f"no SDK can have the name {name!r}: begin it with a letter, then take letters, digits, _ . and -"
            )
        if (other := written.setdefault(re.sub("[^a-z0-9]", "", name.lower()), name)) != name:
            raise NoName(f"SDKs can't tell {other!r} from {name!r}: rename one of them")


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value.rpartition("/")[2]
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _plain(part: Any) -> Any:
    """Returns the same with doubles for numbers, any text for a choice of some, and words that end no comment.

    Without a format, Java takes numbers for decimals of any precision. A later server may answer with other words.
    """
    if isinstance(part, list):
        return [_plain(value) for value in part]
    if not isinstance(part, dict):
        return part
    plain = {name: _plain(value) for name, value in part.items()}
    for name in _WORDS:
        if isinstance(words := plain.get(name), str):
            plain[name] = words.replace("*/", "* /").replace("/*", "/ *")
    if part.get("type") == "number":
        plain["format"] = "double"
    elif part.get("type") == "string":
        plain.pop("enum", None)
    return plain
