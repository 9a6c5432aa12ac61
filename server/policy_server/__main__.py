"""`python -m policy_server`: the serving process, as a pod's container and `policyserver up` start it."""

import argparse
import os
import socket
import sys
from pathlib import Path

from prometheus_client import REGISTRY

from policy_server.metrics_endpoint import serve_metrics
from policy_server.processes import Supervisor
from policy_server.worker import log_to_stderr, refuse_port, work


def main() -> int:
    """Serves until a signal; returns the exit code."""
    arguments = _parser().parse_args()
    log_to_stderr()
    if arguments.processes == 1:
        return work(arguments)
    parent, arguments.parent = arguments.parent, os.getpid()
    supervisor = Supervisor(work, arguments, arguments.processes, parent)
    REGISTRY.register(supervisor)
    port = arguments.port
    try:
        with socket.create_server((arguments.host, port)):
            pass  # nobody else has it
        port = arguments.metrics_port
        serve_metrics(arguments.host, port, REGISTRY, supervisor.tallies)
    except OSError as error:
        return refuse_port(arguments.host, port, error)
    return supervisor.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m policy_server", description="Serve imported policies over HTTP.")
    parser.add_argument("--config", type=Path, required=True, help="a ServerConfig as JSON, or a folder of them")
    parser.add_argument("--host", default="0.0.0.0", help="the address to listen on (default: %(default)s)")  # noqa: S104 -- a pod's
    parser.add_argument("--port", type=int, default=8000, help="the API's port (default: %(default)s)")
    parser.add_argument("--metrics-port", type=int, default=8080, help="Prometheus' port (default: %(default)s)")
    parser.add_argument(
        "--grace-seconds", type=int, default=20, help="time for requests under way at the end (default: %(default)s)"
    )
    parser.add_argument(
        "--drain-seconds",
        type=int,
        default=5,
        help="the part of it in which clients are asked to connect elsewhere (default: %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=_positive,
        default=1,
        metavar="N",
        help="how many processes share the port, each on one core (default: %(default)s)",
    )
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
