"""The Valkey of a router that learns in several pods, where its PolicyServer names none.

What it holds lives as long as the PolicyServer: the volume belongs to that, not to the StatefulSet, which comes and
goes as a store is needed. One that is needed again goes on from what was learned before.
"""

from collections.abc import Iterable

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.desired import configuration
from policy_operator.desired.metadata import Object, child, labels, owner_references, selector
from policy_operator.desired.pod import pull_secrets
from policy_operator.desired.security import container_security, pod_security
from policy_operator.kinds import SECRET, SERVICE, STATEFUL_SET
from policy_operator.server_config import PASSWORD_KEY
from policy_operator.settings import Settings

PORT = 6379
_APP = "policyserver-store"
_PASSWORD = configuration.PASSWORD
# A reward is acknowledged once it is here, so it must be on the disk. Where there is no more room, a write is refused:
# nothing that was learned is dropped. Arguments and variables, by which the password could come, others can see.
SERVE = f"""\
[ -s {_PASSWORD} ] || {{ echo "error: the Secret of the store holds no {PASSWORD_KEY}" >&2; exit 2; }}
command -v valkey-server > /dev/null && server=valkey-server || server=redis-server
exec "$server" - <<END
requirepass $(cat {_PASSWORD})
bind * -::*
port {PORT}
dir /data
appendonly yes
appendfsync always
save ""
maxmemory 256mb
maxmemory-policy noeviction
END
"""
# While it still reads what it has on the disk, it says LOADING.
ANSWERS = f"""\
command -v valkey-cli > /dev/null && client=valkey-cli || client=redis-cli
{{ echo "AUTH $(cat {_PASSWORD})"; echo PING; }} | "$client" -p {PORT} | grep -q PONG
"""


def password(server: PolicyServer, text: str) -> Object:
    """The Secret with the store's password."""
    return child(SECRET, server, names.store(server.metadata.name), _APP) | {"stringData": {PASSWORD_KEY: text}}


def objects(server: PolicyServer, settings: Settings) -> list[Object]:
    """What runs the store, and how it is reached."""
    name = names.store(server.metadata.name)
    service = child(SERVICE, server, name, _APP) | {
        "spec": {
            "selector": selector(server.metadata.name, _APP),
            "ports": [{"name": "store", "port": PORT, "targetPort": "store", "protocol": "TCP"}],
        }
    }
    return [service, _stateful_set(server, settings, name)]


def uses_store(pods: Iterable[Object], server: str) -> bool:
    """Whether one of the pods learns in the PolicyServer's store."""
    name = names.store(server)
    volumes = (volume for pod in pods for volume in pod["spec"].get("volumes", ()))
    return any(volume.get("secret", {}).get("secretName") == name for volume in volumes)


def _stateful_set(server: PolicyServer, settings: Settings, name: str) -> Object:
    claim: Object = {"name": "data", "labels": labels(server.metadata.name, _APP)}
    if owners := owner_references(server, controller=False):
        claim["ownerReferences"] = owners
    return child(STATEFUL_SET, server, name, _APP) | {
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": selector(server.metadata.name, _APP)},
            # In order, a pod that never gets ready would never be replaced by a better one.
            "podManagementPolicy": "Parallel",
            "template": {
                "metadata": {"labels": labels(server.metadata.name, _APP)},
                "spec": _pod(server, settings, name),
            },
            "volumeClaimTemplates": [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": claim,
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            ],
        }
    }


def _pod(server: PolicyServer, settings: Settings, name: str) -> Object:
    container = {
        "name": "store",
        "image": settings.store_image,
        "command": ["sh", "-c", SERVE],
        "ports": [{"name": "store", "containerPort": PORT, "protocol": "TCP"}],
        # More than twice what it may hold: while it writes its file anew, there may be two copies.
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "640Mi"}},
        "startupProbe": _probe(period=1, failures=600),
        "readinessProbe": _probe(period=5, failures=2),
        "livenessProbe": _probe(period=10, failures=6),
        "securityContext": container_security(),
        # What it says last becomes the PolicyServer's condition.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "password", "mountPath": str(_PASSWORD.parent), "readOnly": True},
        ],
    }
    return {
        "serviceAccountName": server.metadata.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security() | {"fsGroupChangePolicy": "OnRootMismatch"},
        "containers": [container],
        "volumes": [{"name": "password", "secret": {"secretName": name}}],
    } | pull_secrets(settings)


def _probe(period: int, failures: int) -> Object:
    return {
        "exec": {"command": ["sh", "-c", ANSWERS]},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
