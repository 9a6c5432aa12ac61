"""What the restricted Pod Security standard wants of every pod and container that the operator makes."""

from policy_operator.desired.metadata import Object

_USER = 65532
"""Who all images run as."""


def pod_security() -> Object:
    """The security context of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Object:
    """The security context of a container; it writes to its volumes alone."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
