"""What holds for the objects of PolicyServers that Ray Serve serves."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_operator.api import PolicyServer
from policy_operator.desired import Desired
from policy_operator.desired.metadata import selector
from policy_operator.desired.ray import RAY_VERSION
from tests.engine_cases import by_ray
from tests.routing_cases import routed
from tests.unit.desired.test_desired import Object, containers, named, nodes, objects, server, template

LOCKED = Path(__file__).parents[3] / "requirements" / "ray.txt"
SCALED = {"minReplicas": 2, "maxReplicas": 5}


def on_workers(workers: Object | None = None, name: str = "mouse", **spec: Any) -> PolicyServer:
    """A PolicyServer on two workers, or as many as are said."""
    return server(name, **by_ray(workers=workers or {"replicas": 2}), **spec)


def cluster(made: PolicyServer) -> Object:
    """What KubeRay makes the cluster of."""
    config: Object = objects(made)["RayService"]["spec"]["rayClusterConfig"]
    return config


def templates(made: PolicyServer) -> dict[str, Object]:
    """The templates of the head and of the workers."""
    config = cluster(made)
    (group,) = config["workerGroupSpecs"]
    return {"head": config["headGroupSpec"]["template"], "worker": group["template"]}


def test_in_one_pod_there_is_a_deployment_with_rays_image_and_memory_that_its_processes_share() -> None:
    made = server(**by_ray(), resources={"limits": {"cpu": 4, "memory": "4Gi"}})
    assert "RayService" not in objects(made)
    found = containers(made)["server"]
    assert found["image"] == "policyserver/server-ray:latest"
    assert found["command"] == ["python", "-m", "policy_server"]
    assert not [one for one in found["args"] if "processes" in one]
    (shared,) = [one for one in template(made)["spec"]["volumes"] if one["name"] == "shm"]
    assert shared["emptyDir"]["medium"] == "Memory"
    assert [one["mountPath"] for one in found["volumeMounts"] if one["name"] == "shm"] == ["/dev/shm"]
    assert containers(server(**by_ray()))["server"]["resources"]["requests"] == {"memory": "1536Mi", "cpu": "1"}
    assert template(server()) == template(server(engine="InProcess"))


def test_on_workers_a_ray_service_stands_in_the_place_of_the_deployment() -> None:
    made = objects(on_workers())
    assert "Deployment" not in made
    assert {"Service", "Ingress", "ServiceMonitor", "ServiceAccount", "PodDisruptionBudget"} <= made.keys()
    assert made["Service"] == objects(server())["Service"]


def test_where_kuberay_is_missing_nothing_is_asked_of_it() -> None:
    assert not [one for one in named(on_workers(), Desired(kuberay=False)) if one.startswith(("RayS", "Deployment"))]


def test_the_service_finds_the_workers_and_not_the_head() -> None:
    found = {name: one["metadata"]["labels"] for name, one in templates(on_workers()).items()}
    assert selector("mouse").items() <= found["worker"].items()
    assert not selector("mouse").items() <= found["head"].items()
    ports = {name: one["spec"]["containers"][0]["ports"] for name, one in templates(on_workers()).items()}
    assert {one["name"]: one["containerPort"] for one in ports["worker"]} == {"http": 8000, "metrics": 8080}
    # By these names KubeRay finds where to say what to serve, and how that goes.
    assert {"gcs-server": 6379, "dashboard": 8265, "serve": 8000}.items() <= {
        one["name"]: one["containerPort"] for one in ports["head"]
    }.items()


def test_ray_serve_is_told_a_configuration_that_every_pod_has() -> None:
    made = objects(on_workers())
    config = yaml.safe_load(made["RayService"]["spec"]["serveConfigV2"])
    (application,) = config["applications"]
    assert application["args"]["ingresses"] == 2
    folder, _, file = application["args"]["config"].rpartition("/")
    for one in templates(on_workers()).values():
        (container,) = one["spec"]["containers"]
        (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == folder]
        (volume,) = [volume for volume in one["spec"]["volumes"] if volume["name"] == mount["name"]]
        assert volume["configMap"]["name"] == made["ConfigMap"]["metadata"]["name"]
    assert file in made["ConfigMap"]["data"]


def test_all_pods_bring_the_models_as_those_of_a_deployment_do() -> None:
    expected = template(server(**by_ray()))["spec"]["initContainers"]
    assert [one["spec"]["initContainers"] for one in templates(on_workers()).values()] == [expected, expected]


@pytest.mark.parametrize("workers", [{"replicas": 2}, SCALED])
def test_pods_of_a_cluster_meet_the_restricted_standard(workers: Object) -> None:
    config = cluster(on_workers(workers))
    contexts = [config["autoscalerOptions"]["securityContext"]] if "autoscalerOptions" in config else []
    for one in templates(on_workers(workers)).values():
        assert one["spec"]["securityContext"]["runAsNonRoot"] is True
        assert one["spec"]["automountServiceAccountToken"] is False
        contexts += [found["securityContext"] for found in (*one["spec"]["initContainers"], *one["spec"]["containers"])]
    assert all(
        one == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        for one in contexts
    )


def test_every_mount_has_its_volume() -> None:
    spec = {name: value for name, value in routed(mode="UCB1").items() if value is not None}
    made = on_workers(SCALED, **spec, auth=None, apiKeySecret={"name": "mouse-keys"})
    autoscaler = cluster(made)["autoscalerOptions"]["volumeMounts"]
    for name, one in templates(made).items():
        found = (*one["spec"]["initContainers"], *one["spec"]["containers"])
        mounted = {mount["name"] for each in found for mount in each["volumeMounts"]}
        mounted |= {mount["name"] for mount in autoscaler} if name == "head" else set()
        assert sorted(volume["name"] for volume in one["spec"]["volumes"]) == sorted(mounted)


def test_workers_are_scaled_without_another_version_of_them() -> None:
    scaled = [on_workers({"minReplicas": 1, "maxReplicas": most}) for most in (2, 9)]
    assert templates(scaled[0]) == templates(scaled[1])
    assert cluster(scaled[0])["enableInTreeAutoscaling"] is True
    fixed = [on_workers({"replicas": count}) for count in (2, 9)]
    assert templates(fixed[0]) == templates(fixed[1])
    assert "enableInTreeAutoscaling" not in cluster(fixed[0])
    (group,) = cluster(fixed[1])["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (9, 9, 9)


def test_head_and_workers_are_of_one_version_that_changes_with_either() -> None:
    def versions(made: PolicyServer) -> set[str]:
        return {one["metadata"]["annotations"]["policyserver.io/version"] for one in templates(made).values()}

    (version,) = versions(on_workers())
    (other,) = versions(on_workers({"replicas": 2, "resources": {"limits": {"cpu": 4}}}))
    assert version != other
    (again,) = [
        one["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["metadata"]["annotations"]
        for name, one in named(on_workers(), Desired(attempt=f"{version}.1")).items()
        if name.startswith("RayService")
    ]
    assert again["policyserver.io/version"] == f"{version}.1"


@pytest.mark.parametrize(
    ("workers", "replicas", "available"),
    [({"replicas": 3}, 1, 2), (SCALED, 1, 1), ({"replicas": 1}, 1, None), ({"replicas": 3}, 0, None)],
)
def test_nodes_are_emptied_one_worker_at_a_time(workers: Object, replicas: int, available: int | None) -> None:
    budget = objects(on_workers(workers, replicas=replicas)).get("PodDisruptionBudget")
    assert (budget["spec"]["minAvailable"] if budget else None) == available


def test_no_replicas_suspend_the_cluster() -> None:
    assert [objects(on_workers(replicas=count))["RayService"]["spec"]["suspend"] for count in (0, 1)] == [True, False]


def test_the_longest_name_leaves_kuberay_room_for_its_own() -> None:
    name = objects(on_workers(name="m" * 63))["RayService"]["metadata"]["name"]
    assert len(name) <= 47
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name)


def test_the_image_has_the_ray_that_kuberay_is_told_of() -> None:
    assert f"\nray=={RAY_VERSION} " in LOCKED.read_text()


_ASKED = """
import json, sys, yaml
from ray._private import ray_constants
from ray.serve.schema import ServeDeploySchema
understood = ServeDeploySchema.model_validate(yaml.safe_load(sys.stdin))
(application,) = understood.applications
told = understood.http_options.host, understood.http_options.port, application.import_path, application.route_prefix
print(json.dumps([ray_constants.RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S, *told]))
"""


def test_ray_understands_what_it_is_told_and_has_the_time_to_drain_its_pods_the_heads_last() -> None:
    made = on_workers()
    told = objects(made)["RayService"]["spec"]["serveConfigV2"]
    command = [sys.executable, "-c", _ASKED]
    asked = subprocess.run(command, input=told, capture_output=True, text=True, check=True)
    drains, *understood = json.loads(asked.stdout)
    assert understood == ["0.0.0.0", 8000, "policy_server.ray.application:build", "/"]
    found = {name: one["spec"] for name, one in templates(made).items()}
    sleeps = {name: one["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] for name, one in found.items()}
    for name, one in found.items():
        assert one["terminationGracePeriodSeconds"] > sleeps[name] + drains
    assert sleeps["head"] > sleeps["worker"] + drains


def test_nothing_is_empty() -> None:
    """Server-side apply drops empty values, which would look like a difference for ever."""
    for one in objects(on_workers({"replicas": 2, "resources": {"limits": {"cpu": 2, "memory": "4Gi"}}})).values():
        for node in nodes(one):
            assert node
