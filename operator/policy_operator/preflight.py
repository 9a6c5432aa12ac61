"""Asks, before anything starts, whether the operator may do what it will have to do."""

import asyncio
from collections.abc import Iterable

from policy_operator import kinds
from policy_operator.cluster import Cluster
from policy_operator.cluster_errors import Refused
from policy_operator.errors import PolicyOperatorError
from policy_operator.kinds import Permission
from policy_operator.settings import LEASE_NAME, Settings

REMEDY = "apply manifests/install/cluster.yaml, or manifests/install/namespaced.yaml for one namespace (--namespace)"


class NotPrepared(PolicyOperatorError):
    """The cluster isn't prepared for the operator."""


async def require_prepared(cluster: Cluster, settings: Settings) -> None:
    """NotPrepared names the permission, or the kind, that is missing."""
    missing = await asyncio.gather(
        _missing(cluster, settings.namespace, kinds.PERMISSIONS),
        _missing(cluster, settings.operator_namespace, kinds.LEASE_PERMISSIONS),
    )
    if found := [*missing[0], *missing[1]]:
        raise NotPrepared(f"not allowed: {'; '.join(found)}. {REMEDY}")
    if not await cluster.serves(kinds.POLICY_SERVER):
        raise NotPrepared(f"the cluster has no kind {kinds.POLICY_SERVER}: kubectl apply -f crds/policyservers.yaml")


async def _missing(cluster: Cluster, namespace: str | None, permissions: Iterable[Permission]) -> list[str]:
    asked = [(permission, verb) for permission in permissions for verb in permission.verbs]
    answers = await asyncio.gather(*(_allowed(cluster, namespace, permission, verb) for permission, verb in asked))
    refused: dict[str, list[str]] = {}
    for (permission, verb), allowed in zip(asked, answers, strict=True):
        if not allowed:
            refused.setdefault(f"{permission.resource}.{permission.kind.group}".rstrip("."), []).append(verb)
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    return [f"{', '.join(verbs)} {resource} {where}" for resource, verbs in refused.items()]


async def _allowed(cluster: Cluster, namespace: str | None, permission: Permission, verb: str) -> bool:
    attributes = {
        "verb": verb,
        "group": permission.kind.group,
        "resource": permission.kind.plural,
        "subresource": permission.subresource,
        "namespace": namespace or "",
        # The Role allows this one Lease and no other; to create, Kubernetes can't be asked for a name.
        "name": LEASE_NAME if permission.kind is kinds.LEASE and verb != "create" else "",
    }
    kind = kinds.ACCESS_REVIEW
    try:
        review = await cluster.create(
            {
                "apiVersion": kind.api_version,
                "kind": kind.name,
                "metadata": {},
                "spec": {"resourceAttributes": attributes},
            }
        )
    except Refused as error:
        raise NotPrepared(f"the API server refuses us: {error}") from None
    return bool(review["status"]["allowed"])
