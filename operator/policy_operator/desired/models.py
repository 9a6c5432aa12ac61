"""Which models a PolicyServer's pods have, and what stands for each of them in a pod.

Where the spec has but a modelUri, its policy is called "" here: its containers and volumes bear no name besides what
they are for.
"""

import hashlib
import json
from collections.abc import Mapping

from policy_operator.api import PolicyServer
from policy_operator.api_policies import Policy
from policy_operator.desired.metadata import Object

MODEL_KEY = "policyserver.io/model"
"""Annotation of a pod: the key of the model that it serves, or, of several, a JSON object of policies and keys."""


def policies_by_part(server: PolicyServer) -> Mapping[str, Policy]:
    """The policies by what their containers and volumes are called after."""
    return {policy.name if server.is_routed else "": policy for policy in server.policies}


def part(purpose: str, policy: str) -> str:
    """The name of a container or volume: `fetch`, or `fetch-NAME` for one of several policies."""
    return f"{purpose}-{policy}" if policy else purpose


def model_annotation(server: PolicyServer) -> str:
    """The value of the annotation MODEL_KEY."""
    keys = {name: key_of_model(policy) for name, policy in policies_by_part(server).items()}
    return json.dumps(keys) if server.is_routed else keys[""]


def model_keys(pod_or_template: Object) -> Mapping[str, str]:
    """The keys of a pod's models, by policy."""
    written: str | None = pod_or_template["metadata"].get("annotations", {}).get(MODEL_KEY)
    if written is None:
        return {}
    keys: dict[str, str] = json.loads(written) if written.startswith("{") else {"": written}
    return keys


def key_of_model(policy: Policy) -> str:
    """What stands for a model: for its URI, which stays with one digest, or for the URI and the digest asked for."""
    uri, digest = policy.model_uri, policy.sha256
    return uri_key(uri if digest is None else f"{uri} {digest}")


def uri_key(uri: str) -> str:
    """What stands for a URI where a file name is needed."""
    return hashlib.sha256(uri.encode()).hexdigest()[:32]
