"""The pods of a PolicyServer: `fetch` and `convert` bring the model, then `server` serves it."""

from policy_operator.api import PolicyServer
from policy_operator.desired import configuration
from policy_operator.desired.metadata import Object, labels
from policy_operator.desired.sources import fetch_mounts, fetch_options, fetch_volumes
from policy_operator.resources import Resources
from policy_operator.server_config import conversion_options
from policy_operator.settings import Settings

API_PORT = 8000
METRICS_PORT = 8080
MODEL_KEY = "policyserver.io/model"
"""Annotation of a pod: the key of the URI that its model came from."""

_USER = 65532
_RESULT = "/dev/termination-log"
_CONFIG = "/etc/policyserver/config"
_FETCHED = "/fetched"
_REQUESTS = {"cpu": "100m", "memory": "128Mi"}


def pod_template(server: PolicyServer, config_name: str, settings: Settings) -> Object:
    """The template of the pods, which meets the restricted Pod Security standard."""
    return {
        "metadata": {
            "labels": labels(server.metadata.name),
            "annotations": {MODEL_KEY: configuration.key_of_model(server)},
        },
        "spec": {
            "serviceAccountName": server.metadata.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 30,  # more than the sleep before and the server's own 20
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [_fetch(server, settings), _convert(server, settings)],
            "containers": [_server(server, settings)],
            "volumes": _volumes(server, config_name),
        },
    }


def _fetch(server: PolicyServer, settings: Settings) -> Object:
    return _container(
        "fetch",
        settings.server_image,
        # Kubernetes would put a variable's value where $(NAME) stands.
        ["policy_server.importers", "fetch", server.spec.model_uri.replace("$", "$$"), f"--output={_FETCHED}"],
        [f"--result={_RESULT}", *fetch_options(server, settings)],
        writable={"fetched": _FETCHED},
        readable=fetch_mounts(server),
        memory_limit="512Mi",
    )


def _convert(server: PolicyServer, settings: Settings) -> Object:
    """Runs what reads model files, which may be hostile: it has no credentials, and nothing else of the pod's."""
    return _container(
        "convert",
        settings.converting_image(server.spec.format),
        ["policy_server.importers", "convert", f"{_FETCHED}/model", f"--output={configuration.BUNDLE}"],
        [f"--config={_CONFIG}/{configuration.CONFIG_FILE}", *conversion_options(server)],
        writable={"bundle": str(configuration.BUNDLE.parent)},
        readable={"fetched": _FETCHED, "config": _CONFIG},
        memory_limit="2Gi",
    )


def _server(server: PolicyServer, settings: Settings) -> Object:
    keys = {} if server.spec.auth == "none" else {"keys": str(configuration.KEYS)}
    container = _container(
        "server",
        settings.server_image,
        ["policy_server"],
        [f"--config={_CONFIG}/{configuration.CONFIG_FILE}", *_processes(server)],
        writable={},
        readable={"bundle": str(configuration.BUNDLE.parent), "config": _CONFIG, **keys},
    )
    return container | {
        "resources": _resources(server),
        "ports": [
            {"name": "http", "containerPort": API_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe("/readyz", period=1, failures=120),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        # Routers learn of a pod's end after the pod does: it serves on until they have.
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }


def _processes(server: PolicyServer) -> list[str]:
    count = server.spec.resources.processes if server.spec.resources else 1
    return [f"--processes={count}"] if count > 1 else []


def _resources(server: PolicyServer) -> Object:
    given = server.spec.resources or Resources()
    limits, requests = (amounts.written() if amounts else {} for amounts in (given.limits, given.requests))
    # A request above its limit is refused, and where there is a limit alone, Kubernetes takes it for the request.
    usual = _REQUESTS | ({"memory": f"{64 * (given.processes + 1)}Mi"} if given.processes > 1 else {})
    defaults = {name: amount for name, amount in usual.items() if name not in limits}
    return {"requests": defaults | requests} | ({"limits": limits} if limits else {})


def _container(
    name: str,
    image: str,
    command: list[str],
    options: list[str],
    *,
    writable: dict[str, str],
    readable: dict[str, str],
    memory_limit: str | None = None,
) -> Object:
    """One container; `writable` and `readable` say where volumes are mounted."""
    return {
        "name": name,
        "image": image,
        "command": ["python", "-m", command[0]],
        "args": [*command[1:], *options],
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108  the pod's own
        "resources": {"requests": dict(_REQUESTS)} | ({"limits": {"memory": memory_limit}} if memory_limit else {}),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # What a container says last becomes the PolicyServer's condition.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  the pod's own
            *({"name": volume, "mountPath": path} for volume, path in writable.items()),
            *({"name": volume, "mountPath": path, "readOnly": True} for volume, path in readable.items()),
        ],
    }


def _probe(path: str, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _volumes(server: PolicyServer, config_name: str) -> list[Object]:
    volumes: list[Object] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "fetched", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "bundle", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "config", "configMap": {"name": config_name}},
        *fetch_volumes(server, configuration.digests_name(server.metadata.name)),
    ]
    if server.spec.api_key_secret is not None:
        # Optional: without the Secret the server itself says what is missing, instead of a pod that never starts.
        volumes.append({"name": "keys", "secret": {"secretName": server.spec.api_key_secret.name, "optional": True}})
    return volumes
