"""`policy-operator`, also as `python -m policy_operator`: runs the operator, in a cluster or beside it."""

import asyncio
import logging
import socket
import sys
import uuid
from typing import Annotated

import typer

from policy_operator import handlers, metrics
from policy_operator.cluster import Cluster
from policy_operator.errors import PolicyOperatorError
from policy_operator.preflight import require_prepared
from policy_operator.settings import Settings

EXIT_NOT_PREPARED = 2

app = typer.Typer(
    name="policy-operator",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
DEFAULTS = Settings()


@app.callback()
def _about() -> None:
    """Turns PolicyServer resources into what serves them."""


@app.command()
def run(
    namespace: Annotated[
        str | None,
        typer.Option(envvar="POLICYSERVER_NAMESPACE", help="Serve this namespace only. Default: the whole cluster."),
    ] = None,
    operator_namespace: Annotated[
        str | None,
        typer.Option(
            envvar="POLICYSERVER_OPERATOR_NAMESPACE",
            help="Where the Lease is by which replicas elect a leader. Default: --namespace, or else `default`.",
        ),
    ] = None,
    server_image: Annotated[
        str, typer.Option(envvar="POLICYSERVER_SERVER_IMAGE", help="Image that serves, and fetches models.")
    ] = DEFAULTS.server_image,
    importer_image: Annotated[
        str,
        typer.Option(
            envvar="POLICYSERVER_IMPORTER_IMAGE",
            help="Images that convert what needs a framework; {framework} stands for tensorflow, torch or rllib.",
        ),
    ] = DEFAULTS.importer_image,
    store_image: Annotated[
        str,
        typer.Option(
            envvar="POLICYSERVER_STORE_IMAGE",
            help="Image with Valkey or Redis, which keeps what the replicas of a router learn.",
        ),
    ] = DEFAULTS.store_image,
    ray_image: Annotated[
        str, typer.Option(envvar="POLICYSERVER_RAY_IMAGE", help="Image that serves with engine RayServe.")
    ] = DEFAULTS.ray_image,
    sdk_image: Annotated[
        str, typer.Option(envvar="POLICYSERVER_SDK_IMAGE", help="Image that writes SDKs.")
    ] = DEFAULTS.sdk_image,
    image_pull_secrets: Annotated[
        list[str] | None,
        typer.Option(
            envvar="POLICYSERVER_IMAGE_PULL_SECRETS",
            help="Secret, in the namespace of a PolicyServer, with which these images are pulled; may be given several"
            " times, in the variable with spaces between.",
        ),
    ] = None,
    allow_private_model_addresses: Annotated[
        bool,
        typer.Option(
            envvar="POLICYSERVER_ALLOW_PRIVATE_MODEL_ADDRESSES",
            help="Let models come from private addresses, as object stores in the cluster have them; whoever may write"
            " a PolicyServer can then have those asked. Loopback, link-local and clouds' metadata addresses never are.",
        ),
    ] = DEFAULTS.allow_private_model_addresses,
    cluster_domain: Annotated[
        str | None,
        typer.Option(
            envvar="POLICYSERVER_CLUSTER_DOMAIN",
            help="Ends host names in status.url, as cluster.local. Default: they end in .svc, which pods resolve.",
        ),
    ] = None,
    health_port: Annotated[
        int, typer.Option(envvar="POLICYSERVER_HEALTH_PORT", min=1, max=65535, help="Port of /healthz.")
    ] = DEFAULTS.health_port,
    metrics_port: Annotated[
        int, typer.Option(envvar="POLICYSERVER_METRICS_PORT", min=1, max=65535, help="Port of /metrics.")
    ] = DEFAULTS.metrics_port,
    workers: Annotated[
        int, typer.Option(envvar="POLICYSERVER_WORKERS", min=1, help="PolicyServers that are worked on at a time.")
    ] = DEFAULTS.workers,
    resync_seconds: Annotated[
        float,
        typer.Option(
            envvar="POLICYSERVER_RESYNC_SECONDS",
            min=1,
            help="How often every PolicyServer is looked at, even if nothing was seen to change.",
        ),
    ] = DEFAULTS.resync_seconds,
) -> None:
    """Watch PolicyServers and make the cluster what they say, until SIGTERM.

    The cluster is the one it runs in, or else the kubeconfig's (KUBECONFIG, ~/.kube/config). Every option can be given
    as an environment variable too. Exit code 2: the cluster isn't prepared; the message names what is missing.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    settings = Settings(
        namespace=namespace,
        operator_namespace=operator_namespace or namespace or DEFAULTS.operator_namespace,
        server_image=server_image,
        importer_image=importer_image,
        store_image=store_image,
        ray_image=ray_image,
        sdk_image=sdk_image,
        image_pull_secrets=tuple(image_pull_secrets or ()),
        allow_private_model_addresses=allow_private_model_addresses,
        cluster_domain=cluster_domain,
        # A name may be taken again by a later process, which must not believe that the lease is its own.
        identity=f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}",
        health_port=health_port,
        metrics_port=metrics_port,
        workers=workers,
        resync_seconds=resync_seconds,
    )
    try:
        asyncio.run(_run(settings))
    except PolicyOperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_NOT_PREPARED)


async def _run(settings: Settings) -> None:
    async with Cluster.connect() as cluster:
        await require_prepared(cluster, settings)
        metrics.serve(settings.metrics_port)
        await handlers.serve(cluster, settings)


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
