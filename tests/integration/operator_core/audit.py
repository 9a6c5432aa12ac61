"""What the operator asked of the API server, from the audit log, which is written before the answer is sent."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OPERATOR = "policyserver-operator"
_WRITING = ("create", "patch", "update", "delete")


def requests(log: Path) -> Iterator[dict[str, Any]]:
    """All requests of any operator, oldest first."""
    for line in log.read_text().splitlines():
        if OPERATOR in line:
            entry = json.loads(line)
            if entry["user"].get("username", "").endswith(f":{OPERATOR}") and "objectRef" in entry:
                yield entry


def reconciliations(log: Path, namespace: str, server: str) -> int:
    """How often the operator has begun to look at one PolicyServer."""
    wanted = ("get", "policyservers", namespace, server)
    return sum(_subject(entry) == wanted for entry in requests(log))


def writes(log: Path, namespace: str) -> list[tuple[str, str, str]]:
    """Verb, resource and name of all that the operator has written, or tried to, into one namespace."""
    subjects = (_subject(entry) for entry in requests(log))
    return [(verb, kind, name) for verb, kind, where, name in subjects if where == namespace and verb in _WRITING]


def permissions(log: Path) -> Counter[tuple[str, str, str]]:
    """The rights that were used: API group, resource and verb, as a Role has them."""
    used: Counter[tuple[str, str, str]] = Counter()
    for entry in requests(log):
        reference = entry["objectRef"]
        resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
        group = reference.get("apiGroup", "")
        used[group, resource, entry["verb"]] += 1
        if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:
            used[group, resource, "create"] += 1  # what server-side apply creates, RBAC must allow to be created
    return used


def _subject(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    reference = entry["objectRef"]
    return entry["verb"], reference["resource"], reference.get("namespace", ""), reference.get("name", "")
