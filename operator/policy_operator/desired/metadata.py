"""What all children of a PolicyServer have in common."""

from typing import Any

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.kinds import Kind

Object = dict[str, Any]

MANAGED_BY = {"app.kubernetes.io/managed-by": "policyserver-operator"}
INSTANCE = "app.kubernetes.io/instance"


def selector(server: str) -> dict[str, str]:
    """The labels by which pods are found; they can't change as long as a Deployment lives."""
    return {"app.kubernetes.io/name": "policyserver", INSTANCE: server}


def labels(server: str) -> dict[str, str]:
    """The labels of every child."""
    return selector(server) | MANAGED_BY


def child(kind: Kind, server: PolicyServer, name: str) -> Object:
    """The head of a child. Without a uid, as in a file that nobody has applied yet, it has no owner."""
    metadata: Object = {
        "name": name,
        "namespace": server.metadata.namespace,
        "labels": labels(server.metadata.name),
    }
    if server.metadata.uid:
        metadata["ownerReferences"] = [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "name": server.metadata.name,
                "uid": server.metadata.uid,
                "controller": True,
                # Blocking would need a right to the owner's finalizers.
                "blockOwnerDeletion": False,
            }
        ]
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
