"""`python -m policy_server`: the serving process, as a pod's container and `policyserver up` start it."""

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

import uvicorn
import uvloop
from prometheus_client import start_http_server

from policy_server.draining import DrainingServer, Farewell
from policy_server.errors import PolicyServerError
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.serving import Serving

EXIT_BAD_INPUT = 2
_KEEP_ALIVE_SECONDS = 120


def main() -> int:
    """Serves until a signal; returns the exit code."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    host = Host()
    serving = Serving(host, arguments.config, Metrics())
    try:
        serving.load()
    except PolicyServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    port = arguments.port
    try:
        # Bound here, so that a port in use is told in one line.
        listener = socket.create_server((arguments.host, port), backlog=2048)
        # Inherited by every connection. Event loops set it only where the socket says that it is TCP, which this one
        # doesn't, and without it an answer waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = arguments.metrics_port
        start_http_server(port, arguments.host)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        print(f"error: port {port} of {arguments.host}: {reason}; choose another", file=sys.stderr)
        return EXIT_BAD_INPUT
    uvloop.run(_serve(host, serving, listener, arguments))
    return 0


async def _serve(host: Host, serving: Serving, listener: socket.socket, arguments: argparse.Namespace) -> None:
    farewell = Farewell(host)
    server = DrainingServer(
        uvicorn.Config(
            farewell,
            log_config=None,
            access_log=False,  # the metrics count every request
            proxy_headers=False,  # nothing here depends on who the client is, or on what it asked a proxy for
            log_level="warning",
            server_header=False,
            # Longer than proxies keep idle connections (nginx 60 s, Traefik 90 s): who closes first is never surprised.
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, arguments.grace_seconds - arguments.drain_seconds),
        ),
        farewell,
        arguments.drain_seconds,
    )
    following = asyncio.create_task(serving.follow())
    orphaned = asyncio.create_task(_stop_with(server, arguments.parent)) if arguments.parent else None
    try:
        await server.serve(sockets=[listener])
    finally:
        following.cancel()
        if orphaned:
            orphaned.cancel()


async def _stop_with(server: uvicorn.Server, parent: int) -> None:
    """Stops when the parent is gone, so that a killed `policyserver up` leaves no server behind."""
    while os.getppid() == parent:  # noqa: ASYNC110 -- nothing tells of it
        await asyncio.sleep(0.5)
    server.should_exit = True


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
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
