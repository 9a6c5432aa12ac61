"""What whoever runs the operator decides."""

from dataclasses import dataclass

from policy_server.config import Framework, ModelFormat

FIELD_MANAGER = "policyserver-operator"
LEASE_NAME = "policyserver-operator"


@dataclass(frozen=True)
class Settings:
    """The options of `policy-operator run`."""

    server_image: str = "policyserver/server:latest"
    """Serves, fetches, and converts what needs no framework."""
    importer_image: str = "policyserver/importer-{framework}:latest"
    """Converts what needs a framework; `{framework}` stands for tensorflow, torch or rllib."""
    ray_image: str = "policyserver/server-ray:latest"
    """Serves with engine RayServe."""
    sdk_image: str = "policyserver/sdk-generator:latest"
    """Writes SDKs."""
    store_image: str = "valkey/valkey:8"
    """Keeps what several replicas of a router learn: any image with Valkey or Redis, their command line and a shell."""
    image_pull_secrets: tuple[str, ...] = ()
    """Secrets of a PolicyServer's namespace with which the images of its pods are pulled."""
    allow_private_model_addresses: bool = False
    """Whether models may come from addresses of the cluster and of the networks beside it."""
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
    metrics_port: int = 8081
    """Where Prometheus is answered."""
    workers: int = 8
    """How many PolicyServers are reconciled at a time."""
    resync_seconds: float = 600.0
    """How often every PolicyServer is looked at, whatever was or wasn't seen to change."""

    def converting_image(self, model_format: ModelFormat | None) -> str:
        """Returns the image that converts a format: the server's where no framework is needed.

        Where no format is said, it is TensorFlow's: it also converts what needs none, and names the format of the rest.
        """
        framework = Framework.TENSORFLOW if model_format is None else model_format.framework
        if framework is None:
            return self.server_image
        return self.importer_image.replace("{framework}", framework.lower())
