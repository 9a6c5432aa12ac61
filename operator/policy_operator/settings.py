"""What whoever runs the operator decides."""

from dataclasses import dataclass

FIELD_MANAGER = "policyserver-operator"
LEASE_NAME = "policyserver-operator"


@dataclass(frozen=True)
class Settings:
    """The options of `policy-operator run`."""

    server_image: str = "policyserver/server:latest"
    """Serves, fetches, and converts what needs no framework."""
    importer_image: str = "policyserver/importer:latest"
    """Converts what needs a framework."""
    namespace: str | None = None
    """The one namespace that is served; None: all of them."""
    operator_namespace: str = "default"
    """Where the Lease is."""
    cluster_domain: str | None = None
    """Ends the host names of Services in `status.url`; None: they end in .svc, which every pod resolves."""
    identity: str = "policy-operator"
    """Who holds the Lease; unique among the operator's replicas."""
    health_port: int = 8080
    """Where `/healthz` answers."""
    workers: int = 8
    """How many PolicyServers are reconciled at a time."""
    resync_seconds: float = 600.0
    """How often every PolicyServer is looked at, whatever was or wasn't seen to change."""
