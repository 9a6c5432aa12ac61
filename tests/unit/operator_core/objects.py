"""Deployments and pods as a cluster has them, cut down to what is read."""

import json
from typing import Any

Object = dict[str, Any]

MODEL, OTHER_MODEL = "a" * 64, "b" * 64


def deployment(
    wanted: int = 2,
    pods: int = 2,
    updated: int = 2,
    available: int = 2,
    progress: str = "NewReplicaSetAvailable",
    version: str = "v2",
    observed: bool = True,
    key: str = "uri",
) -> Object:
    """A Deployment whose template makes pods of `version`."""
    return {
        "metadata": {"name": "mouse", "generation": 3},
        "spec": {
            "replicas": wanted,
            "template": {
                "metadata": {"annotations": {"policyserver.io/version": version, "policyserver.io/model": key}}
            },
        },
        "status": {
            "observedGeneration": 3 if observed else 2,
            "replicas": pods,
            "updatedReplicas": updated,
            "availableReplicas": available,
            "conditions": [{"type": "Progressing", "status": "True", "reason": progress}],
        },
    }


def pod(
    name: str,
    version: str = "v2",
    *,
    ready: bool = False,
    digest: str | None = None,
    created: str = "2026-01-01T00:00:00Z",
    ends: bool = False,
    key: str = "uri",
    **status: Any,
) -> Object:
    """A pod; without more said, one that waits."""
    annotations = {"policyserver.io/version": version, "policyserver.io/model": key}
    metadata = {"name": name, "creationTimestamp": created, "annotations": annotations}
    if ends:
        metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    if digest:
        status.setdefault("initContainerStatuses", []).append(
            {"name": "fetch", "state": {"terminated": {"exitCode": 0, "message": json.dumps({"sha256": digest})}}}
        )
    status["conditions"] = [*status.get("conditions", []), {"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": metadata, "status": status}


def container(name: str, state: Object, last: Object | None = None) -> Object:
    """The status of one container."""
    return {"name": name, "image": "policyserver/server:1", "state": state, "lastState": last or {}}


def ended(message: str = "", code: int = 2, reason: str = "Error") -> Object:
    """The state of a container that ended."""
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


def several_keys(*policies: str) -> str:
    """The annotation with the keys of several models."""
    return json.dumps({name: f"key of {name}" for name in policies})


def brought(policy: str, fetched: str, converted: str = "") -> list[Object]:
    """How the init containers of one of several policies ended: with a digest, or with an `error: …` that is let be."""
    failed = fetched.startswith("error:")
    said = {"error": fetched} if failed else {"sha256": fetched}
    convert = {"error": "error: nothing was fetched" if failed else converted} if failed or converted else None
    return [
        container(f"fetch-{policy}", ended(json.dumps(said), 0, "Completed")),
        container(f"convert-{policy}", ended(json.dumps(convert) if convert else "", 0, "Completed")),
    ]
