"""What a container in which Ray runs needs beside what serves in it: memory that its processes share, and settings."""

from policy_operator.desired.metadata import Object

_OBJECT_STORE_MEBIBYTES = 80
"""The least that Ray takes. Requests and answers are small, and travel without it."""


def ray_environment() -> list[Object]:
    """What Ray may take of a pod; the image has its other settings."""
    settings = {
        # By default it is a third of the node's memory, whatever the pod may use.
        "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": str(_OBJECT_STORE_MEBIBYTES * 2**20),
        # Each of Ray's many logs may have five files of 512 MiB otherwise, more than the pod's /tmp.
        "RAY_ROTATION_MAX_BYTES": str(10 * 2**20),
        "RAY_ROTATION_BACKUP_COUNT": "1",
    }
    return [{"name": name, "value": value} for name, value in settings.items()]


def ray_mounts() -> dict[str, str]:
    """Where volumes are mounted; Ray keeps all else in /tmp."""
    return {"shm": "/dev/shm"}  # noqa: S108  the pod's own


def ray_volumes() -> list[Object]:
    """The volumes, which count as memory of the pod."""
    return [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}}]
