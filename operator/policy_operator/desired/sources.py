"""What `fetch` needs for the place that a model comes from, and nobody else in the pod gets."""

import re

from policy_operator.api import PolicyServer
from policy_operator.desired.metadata import Object
from policy_operator.settings import Settings
from policy_server.config import MODEL_CREDENTIALS

PINS = "/etc/policyserver/digests"
_CREDENTIALS = "/etc/policyserver/credentials"
_VOLUMES = "/volumes"
_REMOTE = ("http", "https", "s3", "s3a", "gs", "gcs", "hf")


def fetch_options(server: PolicyServer, settings: Settings) -> list[str]:
    """What the importers' `fetch` is told besides the URI."""
    spec = server.spec
    options = [f"--addresses={'private' if settings.allow_private_model_addresses else 'public'}"]
    if spec.sha256 is None:
        options.append(f"--pins={PINS}")
    else:
        options.append(f"--sha256={spec.sha256}")
    if secret := _secret(server):
        options.append(f"--credentials={_CREDENTIALS}/{secret}")
    if _claim(server):
        options.append(f"--volumes={_VOLUMES}")
    return options


def fetch_mounts(server: PolicyServer) -> dict[str, str]:
    """Where `fetch` finds which volumes, all of them only to be read."""
    mounts = {} if server.spec.sha256 else {"digests": PINS}
    if secret := _secret(server):
        mounts["credentials"] = f"{_CREDENTIALS}/{secret}"
    if claim := _claim(server):
        mounts["claim"] = f"{_VOLUMES}/{claim}"
    return mounts


def fetch_volumes(server: PolicyServer, digests_name: str) -> list[Object]:
    """The volumes that only `fetch` mounts."""
    volumes: list[Object] = []
    if server.spec.sha256 is None:
        # Optional: the first pod starts before there is anything to pin.
        volumes.append({"name": "digests", "configMap": {"name": digests_name, "optional": True}})
    if secret := _secret(server):
        # Only what is known: nobody gets at other Secrets of the namespace by naming them here. Optional: without the
        # Secret, `fetch` says what is missing, instead of a pod that never starts.
        items = [{"key": name, "path": name} for name in MODEL_CREDENTIALS]
        volumes.append({"name": "credentials", "secret": {"secretName": secret, "items": items, "optional": True}})
    if claim := _claim(server):
        volumes.append({"name": "claim", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    return volumes


def _secret(server: PolicyServer) -> str | None:
    """The Secret, where something is asked for credentials; a file on the node could be one of them."""
    spec = server.spec
    if spec.model_credentials is None or spec.model_uri.partition(":")[0] not in _REMOTE:
        return None
    return spec.model_credentials.name


def _claim(server: PolicyServer) -> str | None:
    found = re.match("pvc://([^/]+)", server.spec.model_uri)
    return found[1] if found else None
