"""What makes the pods of a PolicyServer: a Deployment, or a RayService, of which KubeRay makes clusters."""

from collections.abc import Iterable, Sequence

from policy_operator.api import PolicyServer
from policy_operator.desired.metadata import Object
from policy_operator.kinds import DEPLOYMENT, RAY_SERVICE, Kind
from policy_operator.ray_rollout import is_head, ray_rollout_of, worker_template
from policy_operator.rollout import Rollout, rollout_of


def workload_kind(server: PolicyServer) -> Kind:
    """What should make the pods."""
    return DEPLOYMENT if server.ray_workers is None else RAY_SERVICE


def template_of(workload: Object) -> Object:
    """The template of the pods that serve."""
    template: Object = worker_template(workload) if _is_ray(workload) else workload["spec"]["template"]
    return template


def state_of(workload: Object, server: str, pods: Iterable[Object]) -> Rollout:
    """How far the newest version is."""
    if _is_ray(workload):
        return ray_rollout_of(workload, server, pods)
    return rollout_of(workload, [pod for pod in pods if not is_head(pod)])


def workload_of(server: PolicyServer, workloads: Sequence[Object]) -> Object | None:
    """The one that should make the pods, or as long as there is none, the one that made them so far."""
    wanted = workload_kind(server)
    return min(workloads, key=lambda one: one["kind"] != wanted.name, default=None)


def _is_ray(workload: Object) -> bool:
    return "rayClusterConfig" in workload["spec"]
