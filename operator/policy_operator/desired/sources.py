"""What `fetch` needs for the place that a model comes from, and nobody else in the pod gets."""

import re
from collections.abc import Mapping

from policy_operator.api_policies import Policy
from policy_operator.desired.metadata import Object
from policy_operator.desired.models import part
from policy_operator.settings import Settings
from policy_server.config import MODEL_CREDENTIALS

PINS = "/etc/policyserver/digests"
_CREDENTIALS = "/etc/policyserver/credentials"
_VOLUMES = "/volumes"
_REMOTE = ("http", "https", "s3", "s3a", "gs", "gcs", "hf")


def fetch_options(policy: Policy, settings: Settings) -> list[str]:
    """What the importers' `fetch` is told besides the URI."""
    options = [f"--addresses={'private' if settings.allow_private_model_addresses else 'public'}"]
    if policy.sha256 is None:
        options.append(f"--pins={PINS}")
    else:
        options.append(f"--sha256={policy.sha256}")
    if secret := _secret(policy):
        options.append(f"--credentials={_CREDENTIALS}/{secret}")
    if _claim(policy):
        options.append(f"--volumes={_VOLUMES}")
    return options


def fetch_mounts(name: str, policy: Policy) -> dict[str, str]:
    """Where `fetch` finds which volumes, all of them only to be read; `name` is that of `models.part`."""
    mounts = {} if policy.sha256 else {"digests": PINS}
    if secret := _secret(policy):
        mounts[part("credentials", name)] = f"{_CREDENTIALS}/{secret}"
    if claim := _claim(policy):
        mounts[part("claim", name)] = f"{_VOLUMES}/{claim}"
    return mounts


def fetch_volumes(policies: Mapping[str, Policy], digests_name: str) -> list[Object]:
    """The volumes that only `fetch` mounts."""
    volumes: list[Object] = []
    if any(policy.sha256 is None for policy in policies.values()):
        # Optional: the first pod starts before there is anything to pin.
        volumes.append({"name": "digests", "configMap": {"name": digests_name, "optional": True}})
    for name, policy in policies.items():
        if secret := _secret(policy):
            # Only what is known: nobody gets at other Secrets of the namespace by naming them here. Optional: without
            # the Secret, `fetch` says what is missing, instead of a pod that never starts.
            items = [{"key": key, "path": key} for key in MODEL_CREDENTIALS]
            volume = {"secretName": secret, "items": items, "optional": True}
            volumes.append({"name": part("credentials", name), "secret": volume})
        if claim := _claim(policy):
            volume = {"claimName": claim, "readOnly": True}
            volumes.append({"name": part("claim", name), "persistentVolumeClaim": volume})
    return volumes


def _secret(policy: Policy) -> str | None:
    """The Secret, where something is asked for credentials; a file on the node could be one of them."""
    if policy.model_credentials is None or policy.model_uri.partition(":")[0] not in _REMOTE:
        return None
    return policy.model_credentials.name


def _claim(policy: Policy) -> str | None:
    found = re.match("pvc://([^/]+)", policy.model_uri)
    return found[1] if found else None
