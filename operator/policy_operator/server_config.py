"""What a PolicyServer makes its server do: the one way from the resource to `policy_server.config.ServerConfig`.

The ConfigMap in a cluster and the file on a laptop are both written from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from policy_operator import names
from policy_operator.api import NO_PLAIN_KEY, PolicyServer
from policy_operator.errors import InvalidPolicyServerError, InvalidSchemaTextError
from policy_operator.schema_text import parse_schema_text
from policy_server.config import PolicyConfig, Schema, ServerConfig


@dataclass(frozen=True)
class ResolvedSchema:
    """The schema of a PolicyServer, wherever it was written."""

    schema: Schema
    url_path: str | None = None
    """What a Pathmind schema says of the URL."""


def resolve_schema(server: PolicyServer, config_map: Mapping[str, str] | None) -> ResolvedSchema:
    """The schema that a PolicyServer names; `config_map` is the data of the ConfigMap that schemaFrom names, if any.

    InvalidPolicyServerError says what is wrong with it, with the line in the text.
    """
    spec = server.spec
    if spec.observation_schema is not None:
        return ResolvedSchema(spec.observation_schema)
    if spec.schema_text is not None:
        return _from_text(spec.schema_text, "spec.schemaText")
    if spec.schema_from is None:
        raise AssertionError("the model requires one of the three")
    reference = spec.schema_from.config_map_key_ref
    where = "spec.schemaFrom.configMapKeyRef"
    if config_map is None:
        raise InvalidPolicyServerError(
            [
                f"{where}.name: there is no ConfigMap {reference.name}; make it with"
                f" kubectl create configmap {reference.name} --from-file={reference.key}=schema.yaml"
            ]
        )
    if reference.key not in config_map:
        present = ", ".join(sorted(config_map)) or "nothing"
        raise InvalidPolicyServerError(
            [f"{where}.key: ConfigMap {reference.name} has no {reference.key} in its data; there is {present}"]
        )
    return _from_text(config_map[reference.key], f"ConfigMap {reference.name}, {reference.key}")


def _from_text(text: str, where: str) -> ResolvedSchema:
    try:
        # First the words, then what YAML makes of them: escapes can write a word in another way.
        NO_PLAIN_KEY.check(text)
        pathmind = parse_schema_text(text)
    except InvalidSchemaTextError as error:
        raise InvalidPolicyServerError(error.below(where).problems) from None
    except ValueError as error:
        raise InvalidPolicyServerError([f"{where}: {error}"]) from None
    if pathmind.api_key is not None:
        raise InvalidPolicyServerError([f"{where}: {NO_PLAIN_KEY.message}"])
    return ResolvedSchema(pathmind.schema, pathmind.url_path)


def url_path(server: PolicyServer, resolved: ResolvedSchema) -> str:
    """Where the server is found: what the spec says, else what the schema's text says, else NAMESPACE/NAME."""
    if server.spec.url_path is not None:
        where, written = "spec.urlPath", server.spec.url_path
    elif resolved.url_path is not None:
        where, written = "url_path in the schema's text", resolved.url_path
    else:
        where, written = "spec.urlPath, by default NAMESPACE/NAME", "/".join(server.key)
    try:
        return names.url_path(written)
    except ValueError as error:
        remedy = "" if where == "spec.urlPath" else "; set spec.urlPath"
        raise InvalidPolicyServerError([f"{where}: {written} {error}{remedy}"]) from None


def server_config(server: PolicyServer, resolved: ResolvedSchema, bundle: Path, keys_directory: Path) -> ServerConfig:
    """All that the server needs to know. The directory of keys is not used where `auth: none` is said."""
    open_to_all = server.spec.auth == "none"
    return ServerConfig(
        name=server.metadata.name,
        url_path=url_path(server, resolved),
        observation_schema=resolved.schema,
        policies=[PolicyConfig(name=server.metadata.name, bundle=bundle)],
        auth="none" if open_to_all else "apiKey",
        api_keys_directory=None if open_to_all else keys_directory,
    )


def conversion_options(server: PolicyServer) -> list[str]:
    """What a PolicyServer says of its model, as options of the command that converts it."""
    spec = server.spec
    return [
        *([f"--format={spec.format}"] if spec.format else []),
        *([f"--model-output={spec.model_output}"] if spec.model_output else []),
        *(["--trust"] if spec.trust else []),
    ]
