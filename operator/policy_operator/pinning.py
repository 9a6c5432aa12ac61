"""Keeps all pods of a URI at one model: the digest that was first served is the one that holds."""

from collections.abc import Collection, Iterable, Mapping

from policy_operator.desired.metadata import Object
from policy_operator.desired.models import model_keys
from policy_operator.rollout import converted_digest, fetched_digest


def pinned(known: Mapping[str, str], pods: Iterable[Object], in_use: Collection[str]) -> dict[str, str]:
    """The digest of every URI in use, by its key; what is known stays, what is new comes from the oldest pod.

    Only of a model that was converted: a broken one must not keep out what replaces it.
    """
    pins = {key: digest for key, digest in known.items() if key in in_use}
    for pod in sorted(pods, key=lambda pod: (pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"])):
        for policy, key in model_keys(pod).items():
            if key in in_use and (digest := converted_digest(pod, policy)) is not None:
                pins.setdefault(key, digest)
    return dict(sorted(pins.items()))


def mismatched(pods: Iterable[Object], pins: Mapping[str, str]) -> list[Object]:
    """The pods that serve something else than was pinned, as one that fetched before there was a pin may."""
    return [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and any(
            (digest := fetched_digest(pod, policy)) is not None and pins.get(key, digest) != digest
            for policy, key in model_keys(pod).items()
        )
    ]
