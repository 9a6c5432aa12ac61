"""One process that serves: alone, or as one of several on the same port."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import closing, suppress
from functools import partial
from multiprocessing.connection import Connection

import uvicorn
import uvloop
from prometheus_client import REGISTRY

from policy_server.draining import DrainingServer, Farewell
from policy_server.engines import Engines
from policy_server.errors import PolicyServerError
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.metrics_endpoint import serve_metrics
from policy_server.processes import BAD_INPUT, answer_with
from policy_server.protocol import PredictionProtocol, ShortWays
from policy_server.serving import Serving

log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS = 120
LOST = 1
"""The exit code of a process whose policies can't go on without what has ended; started anew, it can."""


def work(arguments: argparse.Namespace, questions: Connection | None = None) -> int:
    """Serves; with `questions`, as one of several processes, of which another one answers Prometheus."""
    log_to_stderr()
    host, metrics, engines = Host(), Metrics(), Engines(arguments.processes)
    serving = Serving(host, arguments.config, metrics, engines)
    with closing(engines):
        try:
            serving.load()
        except PolicyServerError as error:
            print(f"error: {error}", file=sys.stderr)
            return BAD_INPUT
        return _listen(host, serving, metrics, engines, arguments, questions)


def _listen(
    host: Host,
    serving: Serving,
    metrics: Metrics,
    engines: Engines,
    arguments: argparse.Namespace,
    questions: Connection | None,
) -> int:
    """Serves what is loaded until a signal, or until what the policies need is lost; returns the exit code."""
    # What is loaded now stays: collecting garbage need not look at it while a request waits.
    gc.collect()
    gc.freeze()
    port = arguments.port
    try:
        # Bound here, so that a port in use is told in one line.
        listener = socket.create_server((arguments.host, port), backlog=2048, reuse_port=questions is not None)
        # Inherited by every connection. Event loops set it only where the socket says that it is TCP, which this one
        # doesn't, and without it an answer waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if questions is None:
            port = arguments.metrics_port
            serve_metrics(arguments.host, port, REGISTRY, lambda: metrics.tallies)
        else:
            answer_with(metrics.tallies, questions)
    except OSError as error:
        return refuse_port(arguments.host, port, error)
    uvloop.run(_serve(host, serving, engines, listener, arguments))
    if engines.lost():
        engines.close()
        os._exit(LOST)  # in order, it would wait for them
    return 0


def log_to_stderr() -> None:
    """Begins to log."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)


def refuse_port(host: str, port: int, error: OSError) -> int:
    """Says why a port can't be listened on; returns the exit code."""
    reason = (error.strerror or str(error)).partition(" (while")[0]
    print(f"error: port {port} of {host}: {reason}; choose another", file=sys.stderr)
    return BAD_INPUT


async def _serve(
    host: Host, serving: Serving, engines: Engines, listener: socket.socket, arguments: argparse.Namespace
) -> None:
    farewell = Farewell(host)
    server = DrainingServer(
        uvicorn.Config(
            farewell,
            http=partial(PredictionProtocol, ShortWays(host, farewell)),  # type: ignore[arg-type]  # as good as a class
            ws="none",
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
    # When it has ended, uvicorn sends itself the signal again, for whoever was to have it before: nobody.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    following = asyncio.create_task(serving.follow())
    watching = asyncio.create_task(_stop_without(server, arguments.parent, engines))
    try:
        await server.serve(sockets=[listener])
    finally:
        watching.cancel()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following  # routers hand over what they know


async def _stop_without(server: uvicorn.Server, parent: int | None, engines: Engines) -> None:
    """Stops when what engines need is gone, or the parent, so that a killed `policyserver up` leaves no server."""
    while parent is None or os.getppid() == parent:
        if lost := engines.lost():
            log.error("%s ended: the server ends, to be started anew with it", " and ".join(lost))
            break
        await asyncio.sleep(0.5)  # nothing tells of either
    server.should_exit = True
