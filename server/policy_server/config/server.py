"""What one serving process is told."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from policy_server.config.base import ConfigModel
from policy_server.config.ray import RayConfig, ScalingConfig
from policy_server.config.schema import Schema

EPISODE = "episode_id"
"""The key under which requests and answers of routed servers hold an episode's id; no observation can have it."""
EPISODE_RULE = (
    f"the schema has an observation {EPISODE}, and there is a router: requests hold the id of an episode under that"
    " name; rename the observation"
)


def hides_episodes(schema: Schema) -> bool:
    """Whether a schema breaks EPISODE_RULE, where there is a router."""
    return any(observation.name == EPISODE for observation in schema.observations)


class PolicyConfig(ConfigModel):
    """One policy of a server."""

    name: str
    """The name in metrics, answers and status."""
    bundle: Path
    """The folder that an importer wrote."""
    shadow: bool = False
    """Whether it answers only to be compared with the policy that was chosen."""
    scaling: ScalingConfig | None = None
    """How many processes of Ray answer for it; where not said, as `ray` says."""


class StoreConfig(ConfigModel):
    """Where a router keeps what it learns: in a file, or in Redis or Valkey."""

    path: Path | None = None
    """The SQLite file of all processes of one machine. Exactly one of path and redis."""
    snapshot: Path | None = None
    """What a store begins with that is still empty, as `/routers` of the metrics' port tells it; it need not exist."""
    redis: str | None = None
    """The URL of a Redis or Valkey that all replicas share: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS."""
    password_file: Path | None = None
    """Where its password is read from."""
    prefix: str = ""
    """What tells this router from others in the same Redis: NAMESPACE/NAME."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.redis is None):
            raise ValueError("give exactly one of path and redis")
        return self


class RoutingConfig(ConfigModel):
    """What a router is told at its start; `settings` may change later."""

    settings: Path
    """A RouterSettingsFile as JSON, followed while the process runs."""
    store: StoreConfig
    """Where it keeps what it learns."""
    decision_log: Path | None = None
    """The file that decisions are written to where the settings ask for it; without it, standard output."""


class ServerConfig(ConfigModel):
    """All that one PolicyServer's serving process needs to know, as JSON in one file."""

    name: str
    """The PolicyServer's name; a label of its metrics."""
    url_path: str
    """The path under which everything is served, without a slash at either end."""
    observation_schema: Annotated[Schema, Field(alias="schema")]
    """What requests hold."""
    policies: Annotated[list[PolicyConfig], Field(min_length=1)]
    """What answers."""
    routing: RoutingConfig | None = None
    """What chooses among them; without it, the only one answers."""
    auth: Literal["apiKey", "none"] = "apiKey"
    """`none` serves everyone; it must be said, never left out."""
    api_keys_directory: Path | None = None
    """A folder in which each file holds one accepted key, as Kubernetes mounts a Secret."""
    clients_directory: Path | None = None
    """A folder with SDKs to give away, LANGUAGE.zip, as `python -m policy_server.sdks --zip` writes them."""
    max_body_bytes: Annotated[int, Field(ge=1)] = 1_048_576
    """The largest request body that is read; beyond it the answer is 413."""
    ray: RayConfig | None = None
    """Has Ray Serve answer for the policies; without it they are loaded where requests arrive."""
    seed: int | None = None
    """Makes the sampled actions and the routers' draws repeatable; without it they are not."""

    @model_validator(mode="after")
    def _keys_or_none(self) -> Self:
        if (self.auth == "apiKey") != (self.api_keys_directory is not None):
            raise ValueError("apiKeysDirectory goes with auth: apiKey, and only with it")
        return self

    @model_validator(mode="after")
    def _policies_can_be_told_apart(self) -> Self:
        names = [policy.name for policy in self.policies]
        if len(set(names)) < len(names):
            raise ValueError("two policies have the same name; names must differ")
        if all(policy.shadow for policy in self.policies):
            raise ValueError("all policies are shadows; one at least must answer")
        if len(names) > 1 and self.routing is None:
            raise ValueError("several policies need routing")
        return self
