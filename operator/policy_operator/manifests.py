"""Reads PolicyServers, and the Secrets and ConfigMaps that they name, from YAML files; the laptop's API server."""

import base64
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from policy_operator import names
from policy_operator.api import PolicyServer, parse
from policy_operator.errors import InvalidError, InvalidManifestsError
from policy_operator.kubernetes_yaml import documents
from policy_operator.server_config import PASSWORD_KEY, ResolvedSchema, resolve_schema, store_of, url_path

STDIN = "-"
Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Resolved:
    """A PolicyServer with all that it refers to."""

    server: PolicyServer
    schema: ResolvedSchema
    url_path: str
    api_keys: tuple[str, ...] = field(repr=False)
    """The accepted keys; there are none where `auth: none` is said."""
    model_credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """What the Secrets that models' credentials come from hold, by the Secret's name, where the files have it."""
    store_password: str | None = field(default=None, repr=False)
    """The password of the Redis that the router's store is in."""


@dataclass
class Manifests:
    """What files hold, as far as it matters here."""

    servers: dict[Key, PolicyServer] = field(default_factory=dict)
    secrets: dict[Key, dict[str, str]] = field(default_factory=dict, repr=False)
    config_maps: dict[Key, dict[str, str]] = field(default_factory=dict)
    sources: dict[Key, str] = field(default_factory=dict)
    """The file of each PolicyServer, for messages."""
    warnings: list[str] = field(default_factory=list)

    def schema(self, server: PolicyServer) -> ResolvedSchema:
        """The schema of a PolicyServer, from these files alone."""
        source = server.spec.schema_from
        data = None
        if source is not None:
            data = self.config_maps.get((server.metadata.namespace, source.config_map_key_ref.name))
        try:
            return resolve_schema(server, data)
        except InvalidError as error:
            raise self._invalid(server, error.problems) from None

    def url_path(self, server: PolicyServer) -> str:
        """The path of a PolicyServer's URL, from these files alone."""
        schema = self.schema(server)
        try:
            return url_path(server, schema)
        except InvalidError as error:
            raise self._invalid(server, error.problems) from None

    def api_keys(self, server: PolicyServer) -> tuple[str, ...]:
        """The keys that a PolicyServer accepts, from the Secret in these files."""
        reference = server.spec.api_key_secret
        if reference is None:
            return ()
        keys = self.secrets.get((server.metadata.namespace, reference.name))
        remedy = f"kind: Secret, metadata: {{name: {reference.name}}}, stringData: {{key: ...}}"
        if keys is None:
            problem = (
                f"names Secret {reference.name}, which is in none of the files; add it ({remedy}) or say auth: none"
            )
            raise self._invalid(server, [problem], " ")
        if not keys:
            raise self._invalid(server, [f"names Secret {reference.name}, which holds no key; add one ({remedy})"], " ")
        empty = [name for name, key in keys.items() if not key.strip()]
        if empty:
            problem = f"names Secret {reference.name}, whose {', '.join(empty)} is empty; an empty key lets everyone in"
            raise self._invalid(server, [problem], " ")
        return tuple(keys.values())

    def model_credentials(self, server: PolicyServer) -> dict[str, dict[str, str]]:
        """What the Secrets of modelCredentials hold, by their names, as far as they are in these files."""
        named = {policy.model_credentials.name for policy in server.policies if policy.model_credentials}
        found = {name: self.secrets.get((server.metadata.namespace, name)) for name in named}
        return {name: secret for name, secret in found.items() if secret is not None}

    def store_password(self, server: PolicyServer) -> str | None:
        """The password of the Redis that a PolicyServer names, from the Secret in these files."""
        shared = store_of(server)
        if shared is None or shared.own or shared.password_secret is None:
            return None
        name = shared.password_secret
        password = self.secrets.get((server.metadata.namespace, name), {}).get(PASSWORD_KEY)
        if password is None:
            remedy = f"kind: Secret, metadata: {{name: {name}}}, stringData: {{{PASSWORD_KEY}: ...}}"
            problem = f"names Secret {name} for its router's store, whose {PASSWORD_KEY} is in none of the files"
            raise self._invalid(server, [f"{problem}; add it ({remedy})"], " ")
        return password

    def resolve(self) -> list[Resolved]:
        """Every PolicyServer with all that it refers to; InvalidManifestsError tells of all that is missing at once."""
        resolved: list[Resolved] = []
        problems: list[str] = []
        for server in self.servers.values():
            try:
                path, keys = self.url_path(server), self.api_keys(server)
                credentials, password = self.model_credentials(server), self.store_password(server)
                resolved.append(Resolved(server, self.schema(server), path, keys, credentials, password))
            except InvalidManifestsError as error:
                problems += error.problems
        problems += _shared_paths(resolved)
        if problems:
            raise InvalidManifestsError(problems)
        return resolved

    def _invalid(self, server: PolicyServer, problems: Iterable[str], between: str = ": ") -> InvalidManifestsError:
        place = self.sources.get(server.key)
        before = f"{place}: {server}" if place else str(server)
        return InvalidManifestsError(f"{before}{between}{problem}" for problem in problems)


def read(paths: Sequence[str | Path], stdin: TextIO | None = None) -> Manifests:
    """What is in the files (`-` is the standard input); InvalidManifestsError tells of all that is wrong at once."""
    manifests = Manifests()
    problems: list[str] = []
    for path in paths:
        name = "standard input" if str(path) == STDIN else str(path)
        try:
            text = (stdin or sys.stdin).read() if str(path) == STDIN else _text(Path(path))
            for document in documents(text):
                problems += _add(manifests, document, name)
        except InvalidManifestsError as error:
            problems += error.below(name).problems
    if problems:
        raise InvalidManifestsError(problems)
    return manifests


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidManifestsError(["there is no such file"]) from None
    except IsADirectoryError:
        raise InvalidManifestsError(["is a folder; name the files in it"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidManifestsError([f"can't be read: {error}"]) from None


def _add(manifests: Manifests, document: object, source: str) -> list[str]:
    """Puts one document where it belongs; the problems that keep it out."""
    if not isinstance(document, Mapping) or not isinstance(document.get("kind"), str):
        return [f"{source}: a document is no Kubernetes object: it has no kind"]
    kind = document["kind"]
    if kind not in (names.KIND, "Secret", "ConfigMap"):
        manifests.warnings.append(f"{source}: {kind} {_name(document)} is ignored; it has no meaning without a cluster")
        return []
    who = f"{source}: {kind} {_name(document)}"
    try:
        if kind == names.KIND:
            server = parse(document)
            if server.key in manifests.servers:
                return [f"{who} is in {manifests.sources[server.key]} too; remove one of them"]
            manifests.servers[server.key] = server
            manifests.sources[server.key] = source
        elif kind == "Secret":
            _put(manifests.secrets, document, _secret)
        else:
            _put(manifests.config_maps, document, lambda config_map: _texts(config_map, "data"))
    except InvalidError as error:
        return list(error.below(who).problems)
    return []


def _name(document: Mapping[str, Any]) -> str:
    namespace, name = _key(document)
    return f"{namespace}/{name}"


def _key(document: Mapping[str, Any]) -> Key:
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping):
        metadata = {}
    return str(metadata.get("namespace") or "default"), str(metadata.get("name") or "(without a name)")


def _put(
    objects: dict[Key, dict[str, str]],
    document: Mapping[str, Any],
    values: Callable[[Mapping[str, Any]], dict[str, str]],
) -> None:
    key = _key(document)
    if key in objects:
        raise InvalidManifestsError(["is there twice; remove one of them"])
    objects[key] = values(document)


def _secret(document: Mapping[str, Any]) -> dict[str, str]:
    decoded = {}
    for name, encoded in _texts(document, "data").items():
        try:
            decoded[name] = base64.b64decode("".join(encoded.split()), validate=True).decode()
        except ValueError:  # no base64, not even ASCII, or no text in it
            raise InvalidManifestsError(
                [f"data.{name}: must be a text in base64; stringData takes it as it is"]
            ) from None
    return decoded | _texts(document, "stringData")  # as in Kubernetes, stringData wins


def _texts(document: Mapping[str, Any], name: str) -> dict[str, str]:
    values = document.get(name)
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidManifestsError([f"{name}: must be a mapping"])
    problems = [f"{name}.{key}: must be a text; put it in quotes" for key, text in values.items() if not _is_text(text)]
    if problems:
        raise InvalidManifestsError(problems)
    return {str(key): text or "" for key, text in values.items()}


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _shared_paths(resolved: Iterable[Resolved]) -> list[str]:
    known: list[Resolved] = []
    problems = []
    for one in resolved:
        rival = next((other for other in known if names.overlap(other.url_path, one.url_path)), None)
        if rival is not None:
            both = f"{rival.server} and {one.server}"
            how = (
                f"have the same url path, {one.url_path}"
                if rival.url_path == one.url_path
                else f"have url paths of which one is below the other, {rival.url_path} and {one.url_path}"
            )
            problems.append(f"{both} {how}; set another spec.urlPath")
        known.append(one)
    return problems
