"""What Roles allow, and what the operator asks for, in the same words."""

from collections.abc import Iterable
from typing import Any

from policy_operator.kinds import Permission

Right = tuple[str, str, str]
"""API group, resource and verb."""


def granted(documents: Iterable[dict[str, Any]], kind: str, name: str) -> set[Right]:
    """All that one role among the documents allows."""
    (role,) = [one for one in documents if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(permissions: Iterable[Permission]) -> set[Right]:
    """All that the permissions are."""
    return {(one.kind.group, one.resource, verb) for one in permissions for verb in one.verbs}
