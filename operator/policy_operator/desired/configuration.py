"""The ConfigMaps of a PolicyServer: what its server and its router are told, and which digests models must have."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from policy_operator import names
from policy_operator.api import PolicyServer
from policy_operator.desired.metadata import Object, child
from policy_operator.desired.models import policies_by_part
from policy_operator.kinds import CONFIG_MAP
from policy_operator.server_config import PASSWORD_KEY, ResolvedSchema, router_settings, server_config, store_of
from policy_server.config import RoutingConfig, StoreConfig

KEYS = Path("/etc/policyserver/keys")
CONFIG_FILE = "server.json"
SETTINGS = Path("/etc/policyserver/router/settings.json")
PASSWORD = Path("/etc/policyserver/store") / PASSWORD_KEY
STATE = Path("/state/router.db")
CLIENTS = Path("/clients")
LEARNED = Path("/etc/policyserver/learned/router.json")


def configuration(server: PolicyServer, resolved: ResolvedSchema) -> Object:
    """The server's configuration.

    Its name holds its hash and it can't be changed: pods of a former version, which go on while a new one starts, never
    see the new one's schema.
    """
    bundles = {policy.name: bundle_of(name) for name, policy in policies_by_part(server).items()}
    config = server_config(server, resolved, bundles, KEYS, _routing(server))
    if server.clients:
        config = config.model_copy(update={"clients_directory": CLIENTS})
    # Shadows are a router's; saying so without one would start a rollout of what is there since before there were any.
    needless = None if server.is_routed else {"policies": {"__all__": {"shadow"}}}
    text = config.model_dump_json(by_alias=True, exclude_none=True, exclude=needless, indent=2)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    name = names.child(server.metadata.name, f"config-{digest}")
    return child(CONFIG_MAP, server, name) | {"immutable": True, "data": {CONFIG_FILE: text}}


def bundle_of(policy: str) -> Path:
    """Where a pod has the bundle of a policy, which is called as in `models.part`."""
    return Path(f"/bundles/{policy}/policy" if policy else "/bundle/policy")


def _routing(server: PolicyServer) -> RoutingConfig:
    """Where a pod's router finds what it is told, and where it keeps what it learns."""
    shared = store_of(server)
    if shared is None:
        store = StoreConfig(path=STATE, snapshot=LEARNED)
    else:
        password = PASSWORD if shared.password_secret else None
        # One that the operator runs takes over from the file of the only pod that there was before, and back.
        snapshot = LEARNED if shared.own else None
        store = StoreConfig(redis=shared.url, password_file=password, prefix="/".join(server.key), snapshot=snapshot)
    return RoutingConfig(settings=SETTINGS, store=store)


def router(server: PolicyServer) -> Object:
    """What the router follows. Pods mount it under a name that never changes, so that edits start no rollout."""
    text = router_settings(server).model_dump_json(by_alias=True, exclude_none=True, indent=2)
    return child(CONFIG_MAP, server, names.router_settings(server.metadata.name)) | {"data": {SETTINGS.name: text}}


def digests_name(server: str) -> str:
    """The name of the ConfigMap with the digests."""
    return names.child(server, "digests")


def digests(server: PolicyServer, pins: Mapping[str, str]) -> Object:
    """The digest that each model was first served with, by the key of its URI.

    Pods mount it if it is there, under a name that never changes, so that writing it starts no second rollout.
    """
    return child(CONFIG_MAP, server, digests_name(server.metadata.name)) | {"data": dict(pins)}
