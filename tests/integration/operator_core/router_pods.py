"""Plays the part of a pod's router: a web server on a loopback address, as if that were the pod's."""

import json
import random
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

from tests.integration.operator_core.api_client import Object

METRICS_PORT = 8080


def arm(name: str, **more: Any) -> Object:
    """What a router says of a policy that answers."""
    usual = {"digest": "a" * 64, "shadow": False, "state": "Available", "detail": None}
    return {"name": name} | usual | {"weight": 0.5, "decisions": 10, "rewards": 8, "meanReward": 0.25} | more


def report(name: str, *arms: Object, **more: Any) -> Object:
    """What a pod says of its router."""
    usual = {"mode": "EpsilonGreedy", "frozen": False, "storeAway": None, "arms": list(arms), "snapshot": None}
    return {"name": name} | usual | more


class RouterPod:
    """Answers `/routers` with what a test says."""

    def __init__(self, address: str | None = None) -> None:
        self.answer: list[Object] | bytes = []
        self.asked = 0
        pod = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pod.asked += self.path == "/routers"
                body = pod.answer if isinstance(pod.answer, bytes) else json.dumps(pod.answer).encode()
                self.send_response(200 if self.path == "/routers" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in (address or "") else socket.AF_INET

        # An address that no other test has; all of 127.0.0.0/8 is this machine's.
        self.address = address or f"127.{random.randint(2, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        self._server = Server((self.address, METRICS_PORT), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
