"""The RayService of a PolicyServer that outgrows a pod: KubeRay makes a Ray cluster of it, whose workers serve.

All pods bring the models as those of a Deployment do, under the same paths. The workers have their labels, too, so that
Service, PodDisruptionBudget and ServiceMonitor find them, whatever made the pods; the head, which has no place for
processes that answer, has others.
"""

import yaml

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.api_engine import RayWorkers
from policy_operator.desired import configuration
from policy_operator.desired.metadata import Object, child, labels
from policy_operator.desired.pod import API_PORT, CONFIG, pod_template, probe, server_container, written_resources
from policy_operator.desired.ray_node import ray_environment
from policy_operator.desired.security import container_security
from policy_operator.desired.workload import VERSION, version
from policy_operator.kinds import RAY_SERVICE
from policy_operator.resources import Amounts, Resources
from policy_operator.settings import Settings

RAY_VERSION = "2.60.0"
"""That of the image; KubeRay must know it."""
HEAD_APP = "policyserver-ray-head"
_APPLICATION = "policy_server.ray.application:build"
_WORKERS = "workers"
_DRAIN_SECONDS = 30
"""How long Ray goes on at most once it is told to end: what answers moves to other nodes first."""
_RAY_METRICS_PORT = 8090
_RAY_AGENT_PORT = 52365
_HEAD = Resources(requests=Amounts(cpu="500m", memory="2Gi"), limits=Amounts(memory="4Gi"))
_WORKER = {"cpu": "2", "memory": "2Gi"}
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def ray_service(
    server: PolicyServer, workers: RayWorkers, config_name: str, settings: Settings, attempt: str | None
) -> Object:
    """What KubeRay makes the cluster of. Of a new version it makes another one, and goes over to that once it serves.

    `attempt` is the version that pods should have as long as nothing else about them changes.
    """
    head, worker = (
        pod_template(server, config_name, settings, container)
        for container in (_head(server, settings), _worker(server, workers, settings))
    )
    head["metadata"]["labels"] = labels(server.metadata.name, HEAD_APP)
    scales = workers.fewest < workers.most
    if scales:
        head["spec"]["volumes"].append(_account())
    for template in (head, worker):
        (container,) = template["spec"]["containers"]
        before: int = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        template["spec"]["terminationGracePeriodSeconds"] = before + _DRAIN_SECONDS + 10
    made = version([head, worker], attempt)
    for template in (head, worker):
        template["metadata"]["annotations"][VERSION] = made
    return child(RAY_SERVICE, server, names.ray_service(server.metadata.name)) | {
        "spec": {
            "serveConfigV2": _serve_config(workers),
            "upgradeStrategy": {"type": "NewCluster"},
            "excludeHeadPodFromServeSvc": True,
            "suspend": server.spec.replicas == 0,
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "authOptions": {"mode": "token"},
                **(_autoscaler() if scales else {}),
                "headGroupSpec": {"rayStartParams": _parameters({"num-cpus": "0"}), "template": head},
                "workerGroupSpecs": [
                    {
                        "groupName": _WORKERS,
                        "replicas": workers.fewest,
                        "minReplicas": workers.fewest,
                        "maxReplicas": workers.most,
                        "rayStartParams": _parameters({}),
                        "template": worker,
                    }
                ],
            },
        }
    }


def _serve_config(workers: RayWorkers) -> str:
    """What Ray Serve is told. How policies are scaled stands in the configuration that the application reads.

    Requests arrive, and metrics are told, on each worker that there always is.
    """
    application = {
        "name": "policyserver",
        "route_prefix": "/",
        "import_path": _APPLICATION,
        "args": {"config": f"{CONFIG}/{configuration.CONFIG_FILE}", "ingresses": workers.fewest},
    }
    config = {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": API_PORT},  # noqa: S104  the pod's own
        "logging_config": {"enable_access_log": False},
        "applications": [application],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _parameters(own: dict[str, str]) -> dict[str, str]:
    """Options of `ray start`. Ray's own metrics make room for those of the policies."""
    return {"metrics-export-port": str(_RAY_METRICS_PORT)} | own


def _node(server: PolicyServer, settings: Settings) -> Object:
    """A container in which KubeRay starts Ray, instead of our server."""
    container = server_container(server, settings)
    return {name: value for name, value in container.items() if name not in ("command", "args", "startupProbe")} | {
        "livenessProbe": probe("/api/local_raylet_healthz", period=10, failures=12, port=_RAY_AGENT_PORT)
    }


def _worker(server: PolicyServer, workers: RayWorkers, settings: Settings) -> Object:
    resources = written_resources(workers.resources or Resources(), _WORKER)
    return _node(server, settings) | {
        # In a kind that isn't Kubernetes' own, nobody fills in what is empty.
        "resources": {name: amounts for name, amounts in resources.items() if amounts},
    }


def _head(server: PolicyServer, settings: Settings) -> Object:
    """The container of the head: it is ready before anything can serve, for KubeRay tells it then what to serve."""
    ports = {"gcs-server": 6379, "dashboard": 8265, "serve": API_PORT, "metrics": _RAY_METRICS_PORT}
    return _node(server, settings) | {
        "resources": written_resources(_HEAD, {}),
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "readinessProbe": probe("/api/local_raylet_healthz", period=2, failures=5, port=_RAY_AGENT_PORT),
        # The last to go: workers end with it.
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_SECONDS + 10}}},
    }


def _autoscaler() -> Object:
    """Has Ray ask KubeRay for as many workers as there is work for; nobody else in the pod gets its token."""
    return {
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "env": [{"name": "HOME", "value": "/tmp"}, *ray_environment()],  # noqa: S108  the pod's own
            "securityContext": container_security(),
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  the pod's own
                {"name": "account", "mountPath": _ACCOUNT, "readOnly": True},
            ],
        },
    }


def _account() -> Object:
    """The token of the ServiceAccount, as Kubernetes mounts it where every container may see it."""
    certificate = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": certificate},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": "account", "projected": {"sources": sources}}
