"""The ConfigMaps of a PolicyServer: what its server is told, and which digests its models must have."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.desired.metadata import Object, child
from policy_operator.kinds import CONFIG_MAP
from policy_operator.server_config import ResolvedSchema, server_config

BUNDLE = Path("/bundle/policy")
KEYS = Path("/etc/policyserver/keys")
CONFIG_FILE = "server.json"


def configuration(server: PolicyServer, resolved: ResolvedSchema) -> Object:
    """The server's configuration.

    Its name holds its hash and it can't be changed: pods of a former version, which go on while a new one starts, never
    see the new one's schema.
    """
    config = server_config(server, resolved, BUNDLE, KEYS)
    text = config.model_dump_json(by_alias=True, exclude_none=True, indent=2)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    name = names.child(server.metadata.name, f"config-{digest}")
    return child(CONFIG_MAP, server, name) | {"immutable": True, "data": {CONFIG_FILE: text}}


def digests_name(server: str) -> str:
    """The name of the ConfigMap with the digests."""
    return names.child(server, "digests")


def digests(server: PolicyServer, pins: Mapping[str, str]) -> Object:
    """The digest that each model was first served with, by the key of its URI.

    Pods mount it if it is there, under a name that never changes, so that writing it starts no second rollout.
    """
    return child(CONFIG_MAP, server, digests_name(server.metadata.name)) | {"data": dict(pins)}


def key_of_model(server: PolicyServer) -> str:
    """What stands for a model: for its URI, which stays with one digest, or for the URI and the digest asked for."""
    uri, digest = server.spec.model_uri, server.spec.sha256
    return uri_key(uri if digest is None else f"{uri} {digest}")


def uri_key(uri: str) -> str:
    """What stands for a URI where a file name is needed."""
    return hashlib.sha256(uri.encode()).hexdigest()[:32]
