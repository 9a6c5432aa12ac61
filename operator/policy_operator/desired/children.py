"""All children of a PolicyServer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from policy_operator.api import PolicyServer
from policy_operator.desired import configuration, ray, route, store, workload
from policy_operator.desired.metadata import Object
from policy_operator.server_config import ResolvedSchema, store_of, url_path
from policy_operator.settings import Settings


@dataclass(frozen=True)
class Desired:
    """What of the desired objects depends on the cluster; without one, as for `render`, the defaults hold."""

    pins: Mapping[str, str] = field(default_factory=dict)
    """The digests that models must have, by `models.key_of_model`."""
    attempt: str | None = None
    """The version that pods should have as long as nothing else about them changes, as `retries.attempt` says."""
    store_in_use: bool = False
    """Whether pods of a former version learn in the store that the operator runs."""
    routed: bool = True
    """Whether the url path is this PolicyServer's; another one may have it."""
    monitored: bool = True
    """Whether there are ServiceMonitors."""
    kuberay: bool = True
    """Whether there are RayServices."""


def desired_objects(
    server: PolicyServer, resolved: ResolvedSchema, settings: Settings, given: Desired | None = None
) -> list[Object]:
    """The objects in the order in which they are needed: what pods refer to comes before what makes pods.

    InvalidPolicyServerError says why there can't be such objects.
    """
    given = given or Desired()
    path = url_path(server, resolved)
    config = configuration.configuration(server, resolved)
    objects = [workload.service_account(server), config]
    if given.pins:
        objects.append(configuration.digests(server, given.pins))
    if server.is_routed:
        objects.append(configuration.router(server))
    shared = store_of(server)
    if given.store_in_use or (shared is not None and shared.own):
        objects += store.objects(server, settings)
    if server.ray_workers is None:
        objects.append(workload.deployment(server, config["metadata"]["name"], settings, given.attempt))
    elif given.kuberay:
        objects.append(ray.ray_service(server, server.ray_workers, config["metadata"]["name"], settings, given.attempt))
    objects.append(route.service(server))
    if budget := workload.disruption_budget(server):
        objects.append(budget)
    if given.routed:
        objects.append(route.ingress(server, path))
    if given.monitored:
        objects.append(route.service_monitor(server))
    return objects
