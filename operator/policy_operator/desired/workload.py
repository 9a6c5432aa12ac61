"""What runs and keeps running: ServiceAccount, Deployment, PodDisruptionBudget."""

import hashlib
import json

from policy_operator.api import PolicyServer
from policy_operator.desired.metadata import Object, child, selector
from policy_operator.desired.pod import pod_template
from policy_operator.kinds import DEPLOYMENT, DISRUPTION_BUDGET, SERVICE_ACCOUNT
from policy_operator.settings import Settings

VERSION = "policyserver.io/version"
"""Annotation of a pod: the hash of its template. By it a pod is known to be of the current version.

`HASH.N` is the N-th attempt to bring what a version couldn't serve at first.
"""


def service_account(server: PolicyServer) -> Object:
    """An account without any right, so that pods don't share the namespace's default one."""
    return child(SERVICE_ACCOUNT, server, server.metadata.name) | {"automountServiceAccountToken": False}


def deployment(server: PolicyServer, config_name: str, settings: Settings, attempt: str | None) -> Object:
    """The pods, replaced one by one and never fewer than asked for.

    `attempt` is the version that they should have as long as nothing else about them changes.
    """
    template = pod_template(server, config_name, settings)
    template["metadata"]["annotations"][VERSION] = version(template, attempt)
    return child(DEPLOYMENT, server, server.metadata.name) | {
        "spec": {
            "replicas": server.spec.replicas,
            "selector": {"matchLabels": selector(server.metadata.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            "template": template,
        }
    }


def version(pods: object, attempt: str | None) -> str:
    """Returns the version of pods that are made from what is given."""
    digest = hashlib.sha256(json.dumps(pods, sort_keys=True).encode()).hexdigest()[:10]
    return attempt if attempt is not None and attempt.partition(".")[0] == digest else digest


def disruption_budget(server: PolicyServer) -> Object | None:
    """Lets nodes be emptied one pod at a time, and never waits for a pod that doesn't work anyway.

    There is none of a pod that serves alone.
    """
    workers = server.ray_workers
    pods = min(server.spec.replicas, 1) * workers.fewest if workers else server.spec.replicas
    if pods <= 1:
        return None
    return child(DISRUPTION_BUDGET, server, server.metadata.name) | {
        "spec": {
            # Of pods that KubeRay makes, Kubernetes can't know how many there should be.
            **({"minAvailable": pods - 1} if workers else {"maxUnavailable": 1}),
            "selector": {"matchLabels": selector(server.metadata.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
    }
