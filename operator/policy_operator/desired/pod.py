"""The pods of a PolicyServer: `fetch` and `convert` bring each model, then `server` serves them."""

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.api_policies import Policy
from policy_operator.desired import configuration
from policy_operator.desired.metadata import Object, labels
from policy_operator.desired.models import MODEL_KEY, model_annotation, part, policies_by_part
from policy_operator.desired.sources import fetch_mounts, fetch_options, fetch_volumes
from policy_operator.resources import Resources
from policy_operator.server_config import PASSWORD_KEY, conversion_options, store_of
from policy_operator.settings import Settings

API_PORT = 8000
METRICS_PORT = 8080

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
            "annotations": {MODEL_KEY: model_annotation(server)},
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
            "initContainers": [
                container
                for name, policy in policies_by_part(server).items()
                for container in (_fetch(name, policy, settings), _convert(name, policy, settings))
            ],
            "containers": [_server(server, settings)],
            "volumes": _volumes(server, config_name),
        }
        | pull_secrets(settings),
    }


def pull_secrets(settings: Settings) -> Object:
    """What the spec of every pod says of the Secrets with which its images are pulled; nothing where there are none."""
    secrets = [{"name": name} for name in settings.image_pull_secrets]
    return {"imagePullSecrets": secrets} if secrets else {}


def _fetch(name: str, policy: Policy, settings: Settings) -> Object:
    return _container(
        part("fetch", name),
        settings.server_image,
        # Kubernetes would put a variable's value where $(NAME) stands.
        ["policy_server.importers", "fetch", policy.model_uri.replace("$", "$$"), f"--output={_FETCHED}"],
        [f"--result={_RESULT}", *fetch_options(policy, settings), *(["--optional"] if name else [])],
        writable={part("fetched", name): _FETCHED},
        readable=fetch_mounts(name, policy),
        memory_limit="512Mi",
    )


def _convert(name: str, policy: Policy, settings: Settings) -> Object:
    """Runs what reads model files, which may be hostile: it has no credentials, and nothing else of the pod's."""
    bundle = configuration.bundle_of(name)
    return _container(
        part("convert", name),
        settings.converting_image(policy.format),
        ["policy_server.importers", "convert", f"{_FETCHED}/model", f"--output={bundle}"],
        [
            f"--config={_CONFIG}/{configuration.CONFIG_FILE}",
            *conversion_options(policy),
            # Where a policy fails, the others are served: it says so, and lets the pod go on.
            *([f"--result={_RESULT}", "--optional"] if name else []),
        ],
        writable={part("bundle", name): str(bundle.parent)},
        readable={part("fetched", name): _FETCHED, "config": _CONFIG},
        memory_limit="2Gi",
    )


def _server(server: PolicyServer, settings: Settings) -> Object:
    bundles = {part("bundle", name): str(configuration.bundle_of(name).parent) for name in policies_by_part(server)}
    keys = {} if server.spec.auth == "none" else {"keys": str(configuration.KEYS)}
    container = _container(
        "server",
        settings.server_image,
        ["policy_server"],
        [f"--config={_CONFIG}/{configuration.CONFIG_FILE}", *_processes(server)],
        writable={"state": str(configuration.STATE.parent)} if _has_file(server) else {},
        readable={**bundles, "config": _CONFIG, **_router_mounts(server), **keys},
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


def _has_file(server: PolicyServer) -> bool:
    """Whether the pod keeps what its router learns."""
    return server.is_routed and store_of(server) is None


def _router_mounts(server: PolicyServer) -> dict[str, str]:
    """Where the server finds what its router is told."""
    if not server.is_routed:
        return {}
    mounts, shared = {"router": str(configuration.SETTINGS.parent)}, store_of(server)
    if shared is None or shared.own:
        mounts["learned"] = str(configuration.LEARNED.parent)
    if shared is not None and shared.password_secret:
        mounts["store"] = str(configuration.PASSWORD.parent)
    return mounts


def _router_volumes(server: PolicyServer) -> list[Object]:
    if not server.is_routed:
        return []
    name, shared = server.metadata.name, store_of(server)
    volumes: list[Object] = [{"name": "router", "configMap": {"name": names.router_settings(name)}}]
    if shared is None:
        volumes.append({"name": "state", "emptyDir": {"sizeLimit": "1Gi"}})
    if shared is None or shared.own:
        # Optional: at first nothing is learned.
        volumes.append({"name": "learned", "configMap": {"name": names.learned(name), "optional": True}})
    if shared is not None and shared.password_secret:
        # Optional, as the keys are.
        items = [{"key": PASSWORD_KEY, "path": PASSWORD_KEY}]
        password = {"secretName": shared.password_secret, "items": items, "optional": True}
        volumes.append({"name": "store", "secret": password})
    return volumes


def _volumes(server: PolicyServer, config_name: str) -> list[Object]:
    policies = policies_by_part(server)
    scratch = [part(purpose, name) for name in policies for purpose in ("fetched", "bundle")]
    volumes: list[Object] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        *({"name": volume, "emptyDir": {"sizeLimit": "2Gi"}} for volume in scratch),
        {"name": "config", "configMap": {"name": config_name}},
        *fetch_volumes(policies, configuration.digests_name(server.metadata.name)),
        *_router_volumes(server),
    ]
    if server.spec.api_key_secret is not None:
        # Optional: without the Secret the server itself says what is missing, instead of a pod that never starts.
        volumes.append({"name": "keys", "secret": {"secretName": server.spec.api_key_secret.name, "optional": True}})
    return volumes
