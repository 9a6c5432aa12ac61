"""The pods of a PolicyServer: `fetch` and `convert` bring each model, then `server` serves them."""

from collections.abc import Mapping

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.api_engine import Engine
from policy_operator.api_policies import Policy
from policy_operator.desired import configuration
from policy_operator.desired.metadata import Object, labels
from policy_operator.desired.models import MODEL_KEY, model_annotation, part, policies_by_part
from policy_operator.desired.ray_node import ray_environment, ray_mounts, ray_volumes
from policy_operator.desired.security import container_security, pod_security
from policy_operator.desired.sources import fetch_mounts, fetch_options, fetch_volumes
from policy_operator.resources import Resources
from policy_operator.server_config import PASSWORD_KEY, conversion_options, store_of
from policy_operator.settings import Settings

API_PORT = 8000
METRICS_PORT = 8080

_RESULT = "/dev/termination-log"
CONFIG = "/etc/policyserver/config"
_FETCHED = "/fetched"
_CLIENTS = "clients"
_REQUESTS = {"cpu": "100m", "memory": "128Mi"}
_RAY_REQUESTS = {"cpu": "1", "memory": "1536Mi"}
"""Measured with one policy: about a dozen processes."""


def pod_template(server: PolicyServer, config_name: str, settings: Settings, container: Object | None = None) -> Object:
    """The template of the pods, which meets the restricted Pod Security standard.

    `container` is what serves in them, if it isn't what serves alone in a pod.
    """
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
            "securityContext": pod_security(),
            "initContainers": [
                container
                for name, policy in policies_by_part(server).items()
                for container in (_fetch(name, policy, settings), _convert(name, policy, settings))
            ]
            + ([_write_clients(server, settings)] if server.clients else []),
            "containers": [container or server_container(server, settings)],
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
            f"--config={CONFIG}/{configuration.CONFIG_FILE}",
            *conversion_options(policy),
            # Where a policy fails, the others are served: it says so, and lets the pod go on.
            *([f"--result={_RESULT}", "--optional"] if name else []),
        ],
        writable={part("bundle", name): str(bundle.parent)},
        readable={part("fetched", name): _FETCHED, "config": CONFIG},
        memory_limit="2Gi",
    )


def _write_clients(server: PolicyServer, settings: Settings) -> Object:
    """Writes the SDKs of what is going to be served: it looks at all but the keys, and keeps no pod from serving."""
    namespace, name = server.key
    return _container(
        "write-clients",
        settings.sdk_image,
        ["policy_server.sdks", f"{CONFIG}/{configuration.CONFIG_FILE}", f"--output={configuration.CLIENTS}"],
        [
            *("--zip", "--optional", f"--url=http://{name}.{namespace}.svc"),
            *(f"--language={language}" for language in server.clients),
        ],
        writable={_CLIENTS: str(configuration.CLIENTS)},
        readable={
            **_bundle_mounts(server),
            "config": CONFIG,
            **({"router": str(configuration.SETTINGS.parent)} if server.is_routed else {}),
        },
        memory_limit="1Gi",
    )


def server_container(server: PolicyServer, settings: Settings) -> Object:
    """What serves; with engine RayServe, a Ray of its own."""
    keys = {} if server.spec.auth == "none" else {"keys": str(configuration.KEYS)}
    by_ray = server.spec.engine == Engine.RAY_SERVE
    container = _container(
        "server",
        settings.ray_image if by_ray else settings.server_image,
        ["policy_server"],
        [f"--config={CONFIG}/{configuration.CONFIG_FILE}", *([] if by_ray else _processes(server))],
        writable={
            **({"state": str(configuration.STATE.parent)} if _has_file(server) else {}),
            **(ray_mounts() if by_ray else {}),
        },
        readable={
            **_bundle_mounts(server),
            "config": CONFIG,
            **_router_mounts(server),
            **keys,
            **({_CLIENTS: str(configuration.CLIENTS)} if server.clients else {}),
        },
    )
    return container | {
        "env": [*container["env"], *(ray_environment() if by_ray else ())],
        "resources": _resources(server),
        "ports": [
            {"name": "http", "containerPort": API_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "startupProbe": probe("/readyz", period=1, failures=300 if by_ray else 120),
        "readinessProbe": probe("/readyz", period=2, failures=2),
        "livenessProbe": probe("/healthz", period=10, failures=3),
        # Routers learn of a pod's end after the pod does: it serves on until they have.
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }


def _bundle_mounts(server: PolicyServer) -> dict[str, str]:
    return {part("bundle", name): str(configuration.bundle_of(name).parent) for name in policies_by_part(server)}


def _processes(server: PolicyServer) -> list[str]:
    count = server.spec.resources.processes if server.spec.resources else 1
    return [f"--processes={count}"] if count > 1 else []


def _resources(server: PolicyServer) -> Object:
    given = server.spec.resources or Resources()
    if server.spec.engine == Engine.RAY_SERVE:
        return written_resources(given, _RAY_REQUESTS)
    usual = _REQUESTS | ({"memory": f"{64 * (given.processes + 1)}Mi"} if given.processes > 1 else {})
    return written_resources(given, usual)


def written_resources(given: Resources, usual: Mapping[str, str]) -> Object:
    """What a container asks for, as Kubernetes has it; what isn't said is as usual."""
    limits, requests = (amounts.written() if amounts else {} for amounts in (given.limits, given.requests))
    # A request above its limit is refused, and where there is a limit alone, Kubernetes takes it for the request.
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
        "securityContext": container_security(),
        # What a container says last becomes the PolicyServer's condition.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  the pod's own
            *({"name": volume, "mountPath": path} for volume, path in writable.items()),
            *({"name": volume, "mountPath": path, "readOnly": True} for volume, path in readable.items()),
        ],
    }


def probe(path: str, period: int, failures: int, port: str | int = "http") -> Object:
    """A question that the node asks a container again and again."""
    return {
        "httpGet": {"path": path, "port": port},
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
        *([{"name": _CLIENTS, "emptyDir": {"sizeLimit": "64Mi"}}] if server.clients else ()),
        *(ray_volumes() if server.spec.engine == Engine.RAY_SERVE else ()),
    ]
    if server.spec.api_key_secret is not None:
        # Optional: without the Secret the server itself says what is missing, instead of a pod that never starts.
        volumes.append({"name": "keys", "secret": {"secretName": server.spec.api_key_secret.name, "optional": True}})
    return volumes
