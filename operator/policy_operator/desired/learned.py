"""What a running router is given and what is kept of it: its settings at once, and what it learned for its next pod."""

import hashlib
import json
from collections.abc import Collection, Mapping

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.desired import configuration
from policy_operator.desired.metadata import Object, child
from policy_operator.kinds import CONFIG_MAP, POD

LARGEST_SNAPSHOT = 900 * 1024
"""Bytes; a ConfigMap may have 1 MiB, with all that is beside its data."""
SETTINGS = "policyserver.io/router"
"""Annotation of a running pod: the hash of the router's settings that it was told to read."""


def learned(server: PolicyServer, snapshot: str) -> Object:
    """What a router had learned, as it told it, for a store that is still empty; it stays until the PolicyServer goes.

    Pods mount it if it is there, under a name that never changes, so that writing it starts no rollout.
    """
    name = names.learned(server.metadata.name)
    return child(CONFIG_MAP, server, name) | {"data": {configuration.LEARNED.name: snapshot}}


def completed(snapshot: str, former: Mapping[str, object] | None, policies: Collection[str]) -> str:
    """A snapshot with what a former one knew of policies that it lacks: those that couldn't be loaded this time."""
    text = (former or {}).get("data", {}).get(configuration.LEARNED.name)  # type: ignore[attr-defined]  # a ConfigMap's
    try:
        new, old = json.loads(snapshot), json.loads(text or "{}")
        known = {arm["name"] for arm in new["arms"]}
        lacking = [arm for arm in old.get("arms", []) if arm["name"] in policies and arm["name"] not in known]
    except (ValueError, KeyError, TypeError, AttributeError):
        return snapshot
    return json.dumps(new | {"arms": [*new["arms"], *lacking]}, separators=(",", ":")) if lacking else snapshot


def settings_hash(config_map: Mapping[str, object]) -> str:
    """What stands for the router's settings in a ConfigMap."""
    return hashlib.sha256(json.dumps(config_map["data"], sort_keys=True).encode()).hexdigest()[:16]


def told(pod: Object, settings: str) -> Object:
    """A pod with a note of its router's settings, for which its node brings mounted ConfigMaps up to date at once."""
    metadata = {name: pod["metadata"][name] for name in ("namespace", "name", "uid")}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.name,
        "metadata": metadata | {"annotations": {SETTINGS: settings}},
    }


def untold(pods: list[Object], config_map: str, settings: str) -> list[Object]:
    """The running pods that follow these settings and may not have read them yet."""
    return [
        pod
        for pod in pods
        if pod.get("status", {}).get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        and pod["metadata"].get("annotations", {}).get(SETTINGS) != settings
        and any(volume.get("configMap", {}).get("name") == config_map for volume in pod["spec"].get("volumes", ()))
    ]
