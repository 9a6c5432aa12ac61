"""A PolicyServer as an application of Ray Serve, for a cluster of many nodes.

    import_path: policy_server.ray.application:build
    args: {config: /etc/policyserver/config/server.json}

All nodes need the same configuration and the same bundles under the same paths.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import Field, ValidationError
from ray import serve

from policy_server.bundle import read_bundle
from policy_server.config import ConfigModel, PolicyConfig, ServerConfig, first_problem
from policy_server.engine import Engine
from policy_server.engines import Engines
from policy_server.errors import ConfigError
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.metrics_endpoint import serve_metrics
from policy_server.ray.remote import remote_engine
from policy_server.ray.replica import COMMON_OPTIONS, replicas_of
from policy_server.ray.store import ActorStore
from policy_server.serving import Serving

log = logging.getLogger(__name__)

_ONGOING = 256
"""How many requests one replica of the ingress has at a time; most of them wait for a policy."""
_PAUSE_SECONDS = 1.0


class Arguments(ConfigModel):
    """What the application is told."""

    config: Path
    """A ServerConfig as JSON."""
    ingresses: int = Field(default=1, ge=1)
    """In how many processes requests arrive, each on a node of its own."""
    host: str = "0.0.0.0"  # noqa: S104 -- a pod's
    """The address of the metrics."""
    metrics_port: int = 8080
    """Their port on each node with such a process."""


def build(told: dict[str, Any]) -> Any:
    """Returns the application; Ray calls it on a node of the cluster.

    Raises:
        ConfigError: the arguments, or the configuration that they name, can't be used.
    """
    try:
        arguments = Arguments.model_validate(told)
        config = ServerConfig.model_validate_json(arguments.config.read_bytes())
    except ValidationError as error:
        raise ConfigError(f"args or their config: {first_problem(error)}") from None
    except OSError as error:
        raise ConfigError(f"no configuration: {error}") from None
    policies = {policy.name: replicas_of(config, policy, place=True) for policy in config.policies}
    return Ingress.options(  # type: ignore[attr-defined]  # Ray's decorator
        num_replicas=arguments.ingresses
    ).bind(arguments.model_dump_json(), policies)


@serve.deployment(
    name="ingress",
    max_ongoing_requests=_ONGOING,
    max_replicas_per_node=1,  # it has the port of the metrics
    # On a node that has room for work: the head of a cluster may have none, and nobody asks there.
    ray_actor_options={"num_cpus": 0.1},
    **COMMON_OPTIONS,
)
@serve.ingress(None)
class Ingress:
    """Where requests arrive: the application of one PolicyServer, whose policies are other deployments.

    Args:
        arguments: those of `build`, as JSON.
        policies: the handles of the policies, by name.
    """

    async def __init__(self, arguments: str, policies: Mapping[str, Any]) -> None:  # type: ignore[misc]  # Ray awaits it
        told = Arguments.model_validate_json(arguments)
        logging.getLogger("policy_server").setLevel(logging.INFO)
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        self._host = Host()
        serving = Serving(self._host, told.config, metrics, Replicas(policies), ActorStore)
        await asyncio.to_thread(serving.load)

        async def tell_metrics() -> None:
            """Takes the port once its former owner has gone."""
            while True:
                with suppress(OSError):
                    serve_metrics(told.host, told.metrics_port, registry, lambda: metrics.tallies)
                    return
                await asyncio.sleep(_PAUSE_SECONDS)

        self._tasks = [asyncio.create_task(serving.follow()), asyncio.create_task(tell_metrics())]

    def __serve_build_asgi_app__(self) -> Host:
        """Returns what answers HTTP."""
        return self._host

    async def __del__(self) -> None:
        """Hands over what routers know, when the replica ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Replicas(Engines):
    """Policies that the cluster runs."""

    def __init__(self, handles: Mapping[str, Any]) -> None:
        super().__init__()
        self._handles = handles

    def load(self, config: ServerConfig, policy: PolicyConfig) -> Engine:
        """See `Engines`."""
        if policy.name not in self._handles:
            raise ConfigError(f"policy {policy.name} is new: deploy the application anew")
        _, manifest = read_bundle(policy.bundle)
        return remote_engine(config, policy, manifest, self._handles[policy.name])
