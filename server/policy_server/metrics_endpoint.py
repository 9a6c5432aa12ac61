"""The port that whoever runs the server asks: Prometheus for `/metrics`, the operator for `/routers`."""

import json
from collections.abc import Callable, Iterable
from socket import AF_INET6
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from policy_server.tallies import Tallies

ROUTERS = "/routers"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = AF_INET6


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 -- its base's name
        """Says nothing."""


def serve_metrics(host: str, port: int, registry: CollectorRegistry, tallies: Callable[[], Tallies]) -> None:
    """Answers in threads of its own until the process ends; raises OSError where the port can't be had."""
    metrics = make_wsgi_app(registry)

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].rstrip("/") != ROUTERS:
            return metrics(environ, start_response)  # type: ignore[no-any-return]  # WSGI has no types
        reports = tallies().reports
        body = json.dumps([report.content(name) for name, report in sorted(reports.items())]).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    server = make_server(host, port, answer, _Server6 if ":" in host else _Server, _Quiet)
    Thread(target=server.serve_forever, daemon=True, name="metrics").start()
