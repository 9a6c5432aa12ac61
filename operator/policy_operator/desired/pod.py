"""The pods of a PolicyServer: `fetch` and `convert` bring the model, then `server` serves it."""

from policy_operator.api import PolicyServer
from policy_operator.desired import configuration
from policy_operator.desired.metadata import Object, labels
from policy_operator.settings import Settings

API_PORT = 8000
METRICS_PORT = 8080
MODEL_KEY = "policyserver.io/model"
"""Annotation of a pod: the key of the URI that its model came from."""

_USER = 65532
_RESULT = "/dev/termination-log"
_PINS = "/etc/policyserver/digests"
_CONFIG = "/etc/policyserver/config"
_FETCHED = "/fetched"
_REQUESTS = {"cpu": "100m", "memory": "128Mi"}


def pod_template(server: PolicyServer, config_name: str, settings: Settings) -> Object:
    """The template of the pods, which meets the restricted Pod Security standard."""
    uri = server.spec.model_uri
    return {
        "metadata": {
            "labels": labels(server.metadata.name),
            "annotations": {MODEL_KEY: configuration.uri_key(uri)},
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
            "initContainers": [_fetch(uri, settings), _convert(server, settings)],
            "containers": [_server(server, settings)],
            "volumes": _volumes(server, config_name),
        },
    }


def _fetch(uri: str, settings: Settings) -> Object:
    return _container(
        "fetch",
        settings.server_image,
        # Kubernetes would put a variable's value where $(NAME) stands.
        ["policy_server.importers", "fetch", uri.replace("$(", "$$("), f"--output={_FETCHED}"],
        [f"--result={_RESULT}", f"--pins={_PINS}"],
        writable={"fetched": _FETCHED},
        readable={"digests": _PINS},
        memory_limit="512Mi",
    )


def _convert(server: PolicyServer, settings: Settings) -> Object:
    """Runs what reads model files, which may be hostile: it has no credentials, and nothing else of the pod's."""
    given = server.spec.format
    config = f"{_CONFIG}/{configuration.CONFIG_FILE}"
    return _container(
        "convert",
        settings.importer_image if given is None or given.needs_framework else settings.server_image,
        ["policy_server.importers", "convert", f"{_FETCHED}/model", f"--output={configuration.BUNDLE}"],
        [f"--config={config}", *([f"--format={given}"] if given else [])],
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
        [f"--config={_CONFIG}/{configuration.CONFIG_FILE}"],
        writable={},
        readable={"bundle": str(configuration.BUNDLE.parent), "config": _CONFIG, **keys},
    )
    return container | {
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
        # Optional: the first pod starts before there is anything to pin.
        {
            "name": "digests",
            "configMap": {"name": configuration.digests_name(server.metadata.name), "optional": True},
        },
    ]
    if server.spec.api_key_secret is not None:
        # Optional: without the Secret the server itself says what is missing, instead of a pod that never starts.
        volumes.append({"name": "keys", "secret": {"secretName": server.spec.api_key_secret.name, "optional": True}})
    return volumes
