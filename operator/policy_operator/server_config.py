"""What a PolicyServer makes its server do: the one way from the resource to `policy_server.config`.

The ConfigMaps in a cluster and the files on a laptop are all written from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from policy_operator import names
from policy_operator.api import NO_PLAIN_KEY, PolicyServer
from policy_operator.api_engine import Engine
from policy_operator.api_policies import Model, answering
from policy_operator.errors import InvalidPolicyServerError, InvalidSchemaTextError
from policy_operator.schema_text import parse_schema_text
from policy_server.config import (
    EPISODE_RULE,
    LEARNING,
    PolicyConfig,
    RayConfig,
    RouterConfig,
    RouterMode,
    RouterSettingsFile,
    RoutingConfig,
    Schema,
    ServerConfig,
    hides_episodes,
)

PASSWORD_KEY = "password"  # noqa: S105 - the key in a Secret


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
    resolved = _resolved(server, config_map)
    if server.is_routed and hides_episodes(resolved.schema):
        raise InvalidPolicyServerError([EPISODE_RULE])
    return resolved


def _resolved(server: PolicyServer, config_map: Mapping[str, str] | None) -> ResolvedSchema:
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


def server_config(
    server: PolicyServer,
    resolved: ResolvedSchema,
    bundles: Mapping[str, Path],
    keys_directory: Path,
    routing: RoutingConfig | None,
) -> ServerConfig:
    """All that the server needs to know.

    Args:
        server: the resource.
        resolved: its schema.
        bundles: where the bundle of each policy is, by the policy's name.
        keys_directory: where the keys are; not used where `auth: none` is said.
        routing: what its router is told; not used where there is none.
    """
    open_to_all = server.spec.auth == "none"
    return ServerConfig(
        name=server.metadata.name,
        url_path=url_path(server, resolved),
        observation_schema=resolved.schema,
        policies=[
            PolicyConfig(name=policy.name, bundle=bundles[policy.name], shadow=policy.shadow, scaling=policy.scaling)
            for policy in server.policies
        ],
        ray=_ray(server),
        routing=routing if server.is_routed else None,
        auth="none" if open_to_all else "apiKey",
        api_keys_directory=None if open_to_all else keys_directory,
    )


def _ray(server: PolicyServer) -> RayConfig | None:
    if server.spec.engine != Engine.RAY_SERVE:
        return None
    return RayConfig(scaling=server.spec.ray.scaling if server.spec.ray else None)


def router_settings(server: PolicyServer) -> RouterSettingsFile:
    """What the router of a PolicyServer follows; without spec.router, all goes to the only policy that answers."""
    router = server.spec.router
    given = {"mode": RouterMode.AB_TEST} if router is None else router.model_dump(exclude={"store"})
    config = RouterConfig.model_validate(given)
    policies = answering(server.policies)
    weights = {policy.name: 1.0 if policy.weight is None else policy.weight for policy in policies}
    if config.mode == RouterMode.CANARY:
        percent = config.canary_percent or 0.0
        weights = {policy.name: percent if policy.name == config.canary else 100 - percent for policy in policies}
    return RouterSettingsFile(router=config, weights={} if config.mode in LEARNING else weights)


@dataclass(frozen=True)
class SharedStore:
    """A Redis or Valkey in which the replicas of a router learn together."""

    url: str
    password_secret: str | None
    """The Secret with its password, under PASSWORD_KEY."""
    own: bool
    """Whether the operator runs it."""


def store_of(server: PolicyServer) -> SharedStore | None:
    """Where the router of a PolicyServer keeps what it learns; None: in a file of the only pod, or there is no router.

    Scaled to nothing, it is what one replica has.
    """
    if not server.is_routed:
        return None
    router = server.spec.router
    if router is not None and router.store is not None:
        redis = router.store.redis
        return SharedStore(redis.url, redis.password_secret.name if redis.password_secret else None, own=False)
    if server.spec.replicas <= 1 and server.ray_workers is None:
        return None
    name = names.store(server.metadata.name)
    return SharedStore(f"redis://{name}:6379/0", name, own=True)


def conversion_options(model: Model) -> list[str]:
    """What is said of a model, as options of the command that converts it."""
    return [
        *([f"--format={model.format}"] if model.format else []),
        *([f"--model-output={model.model_output}"] if model.model_output else []),
        *(["--trust"] if model.trust else []),
    ]
