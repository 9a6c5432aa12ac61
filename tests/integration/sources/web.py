"""Web servers of tests: what each answers is written down in the test, and what each was asked is kept."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes = b""


@dataclass
class Said:
    """An answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class WebServer:
    """Answers on a port of its own as long as the block lasts."""

    def __init__(self, answer: Callable[[Asked], Said], host: str = "127.0.0.1", port: int = 0) -> None:
        self.asked: list[Asked] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked.append(Asked(self.command, self.path, headers, body))
                said = answer(asked[-1])
                self.send_response(said.status)
                for name, value in ({"Content-Length": str(len(said.body))} | dict(said.headers)).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(said.body)

            do_GET = do_POST = do_HEAD = _answer  # noqa: N815  # the base class looks for these names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
                pass

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def part(content: bytes, asked: Asked) -> Said:
    """The content, or the part of it that a Range header (RFC 9110) asks for."""
    wanted = asked.headers.get("range", "").removeprefix("bytes=")
    if not wanted:
        return Said(200, content, {"Accept-Ranges": "bytes"})
    first, _, last = wanted.partition("-")
    end = min(int(last or len(content)), len(content) - 1)
    piece = content[int(first) : end + 1]
    return Said(206, piece, {"Content-Range": f"bytes {first}-{end}/{len(content)}"})
