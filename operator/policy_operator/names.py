"""What things are called, and what they may be called."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

GROUP = "policyserver.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "PolicyServer"
SINGULAR = "policyserver"
PLURAL = "policyservers"

LONGEST_LABEL = 63
LONGEST_STATEFUL_SET = 52
"""Its pods get a label of its name and eleven characters more."""
LONGEST_RAY_SERVICE = 47
"""KubeRay's limit: what it makes is called after it, with up to sixteen characters more."""

OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
"""The name of an object that is no part of a host name, such as a Secret or ConfigMap."""


@dataclass(frozen=True)
class TextRule:
    """What a text must (or must not) look like: one regular expression for CEL in the API server and for Python.

    As an annotation of a field it does both. The expression may use only what Python and RE2 share.
    """

    regex: str
    message: str
    forbidden: bool = False

    def cel(self, operand: str = "self") -> str:
        """The rule in the language of `x-kubernetes-validations`."""
        quoted = self.regex.replace("\\", "\\\\").replace("'", "\\'")
        return f"{'!' if self.forbidden else ''}{operand}.matches('{quoted}')"

    def check(self, text: str) -> str:
        """The text itself, or a ValueError with the message."""
        found = re.search(self.regex, text) if self.forbidden else re.fullmatch(self.regex, text)
        if (found is not None) == self.forbidden:
            raise ValueError(self.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        node = handler(schema)
        rule = {"rule": self.cel(), "message": self.message}
        if self.forbidden:
            rule["reason"] = "FieldValueForbidden"
        node.setdefault("x-kubernetes-validations", []).append(rule)
        return node


SERVER_NAME = TextRule(
    r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$",
    "must be at most 63 small letters, digits and '-', with a letter first and no '-' last,"
    " because the Service is called so",
)

VOLUME_URI = TextRule(
    "^pvc:($|[^/]|/$|/[^/]|//$|//[^a-z0-9]|//[^/]*[^-a-z0-9./]|//[^/]*[-.](/|$)|//[^/]{254})",
    "names no claim: write pvc://CLAIM/PATH",
    forbidden=True,
)

URL_PATH = TextRule(
    "^/*[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/*$",
    "must be segments of letters, digits, '-', '.', '_' and '~' with one slash between them, such as api/v1",
)
URL_PATH_WITHOUT_DOTS = TextRule(
    "(^|/)[.][.]?(/|$)", "must not have a segment '.' or '..', because clients resolve them", forbidden=True
)
# These answer at the root of every server, whatever its path; a path that starts with one would hide it.
ROOT_ROUTES = (
    *("predict", "predict_deterministic", "predict_raw", "predict_batch", "distribution", "feedback"),
    *("schema", "clients", "docs", "redoc", "openapi.json", "static-offline-docs", "ui"),
    *("healthz", "readyz", "metrics", "v2"),
)
SELDON_ROOTS = ("api/v0.1", "api/v1.0")
URL_PATH_NOT_RESERVED = TextRule(
    f"^/*(({'|'.join((*ROOT_ROUTES, *SELDON_ROOTS))})(/|$)|api/*$)".replace(".", "[.]"),
    f"must not start with a route of the server itself: {', '.join(ROOT_ROUTES)}, {', '.join(SELDON_ROOTS)};"
    " nor be api, which hides the last two",
    forbidden=True,
)


def url_path(written: str) -> str:
    """A URL path as it is used, without slashes at its ends; a ValueError says why there can't be such a path."""
    for rule in (URL_PATH, URL_PATH_WITHOUT_DOTS, URL_PATH_NOT_RESERVED):
        rule.check(written)
    return written.strip("/")


def overlap(one: str, other: str) -> bool:
    """Whether two URL paths are the same or one leads to the other: who is routed the one gets requests of both."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def child(server: str, purpose: str, longest: int = LONGEST_LABEL) -> str:
    """The name of an object that belongs to a PolicyServer; it stays a valid label value however long the name."""
    name = f"{server}-{purpose}"
    if len(name) <= longest:
        return name
    # Two long names that differ only at their ends must not share a child.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    kept = longest - len(purpose) - len(digest) - 2
    return f"{server[:kept].rstrip('-')}-{digest}-{purpose}"


def router_settings(server: str) -> str:
    """The ConfigMap with a RouterSettingsFile, which running routers follow."""
    return child(server, "router")


def learned(server: str) -> str:
    """The ConfigMap with what a router had learned, from which a new pod starts."""
    return child(server, "learned")


def store(server: str) -> str:
    """The Valkey that the operator runs for a router: its StatefulSet, its Service, and the Secret of its password."""
    return child(server, "store", LONGEST_STATEFUL_SET)


def ray_service(server: str) -> str:
    """The RayService that serves on many nodes."""
    return child(server, "ray", LONGEST_RAY_SERVICE)


def keys_secret(server: str) -> str:
    """The Secret that holds a PolicyServer's API keys, where nobody named another."""
    return child(server, "keys")
