"""What all children of a PolicyServer have in common."""

from typing import Any

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.kinds import Kind

Object = dict[str, Any]

MANAGED_BY = {"app.kubernetes.io/managed-by": "policyserver-operator"}
INSTANCE = "app.kubernetes.io/instance"


APP = "policyserver"
"""What the pods of a Deployment of ours are called; those of other workloads are called otherwise."""


def selector(server: str, app: str = APP) -> dict[str, str]:
    """The labels by which pods are found; they can't change as long as a Deployment lives."""
    return {"app.kubernetes.io/name": app, INSTANCE: server}


def labels(server: str, app: str = APP) -> dict[str, str]:
    """The labels of every child."""
    return selector(server, app) | MANAGED_BY


def child(kind: Kind, server: PolicyServer, name: str, app: str = APP) -> Object:
    """The head of a child. Without a uid, as in a file that nobody has applied yet, it has no owner."""
    metadata: Object = {
        "name": name,
        "namespace": server.metadata.namespace,
        "labels": labels(server.metadata.name, app),
    }
    if references := owner_references(server, controller=True):
        metadata["ownerReferences"] = references
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}


def owner_references(server: PolicyServer, *, controller: bool) -> list[Object]:
    """By which Kubernetes deletes an object with its PolicyServer; one owner at most may be its controller."""
    if not server.metadata.uid:
        return []
    return [
        {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": server.metadata.name,
            "uid": server.metadata.uid,
            "controller": controller,
            # Blocking would need a right to the owner's finalizers.
            "blockOwnerDeletion": False,
        }
    ]
