"""A small HTTP server that gives the answers that a test prepared, and keeps what it was asked."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RIGHT = (200, {"actions": [1], "probability": 0.5})
TAKEN = (202, {"outcome": "learned", "learned": True})
HANG_UP = (0, None)
"""Closes the connection without an answer."""


@dataclass
class Asked:
    """One request."""

    path: str
    key: str | None
    body: Any
    client: tuple[str, int]
    episode: str | None


@dataclass
class Answering:
    """What a test knows of the server.

    Attributes:
        url: where it listens.
        answers: status, content and headers of those to come; once there are none, RIGHT, and TAKEN of rewards.
        asked: all requests.
    """

    url: str
    answers: list[tuple[Any, ...]]
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def answering(answers: Iterable[tuple[Any, ...]] = ()) -> Iterator[Answering]:
    """Runs the server in a thread."""

    class Handler(BaseHTTPRequestHandler):
        """Gives the next answer."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            here.asked.append(
                Asked(self.path, self.headers["access-token"], body, self.client_address, self.headers["X-Episode-Id"])
            )
            last = TAKEN if self.path.endswith("/feedback") else RIGHT
            status, content, *headers = here.answers.pop(0) if here.answers else last
            if status == 0:
                self.close_connection = True
                return
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = Answering(f"http://127.0.0.1:{server.server_port}/mouse", list(answers))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
