"""One process's PolicyServers, each under its path; a single one also at the root.

ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html): `scope["root_path"]` tells an application where it is
mounted, so that its documentation links to itself, whatever stands in front.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route, compile_path
from starlette.types import Message, Receive, Scope, Send

from policy_server.fast_path import FastPath
from policy_server.tallies import Tallies


class Mounted:
    """One PolicyServer's application: its routes with and without the trailing slash, timed and counted.

    Attributes:
        short: the short ways of some of its routes, for who can take them.
    """

    def __init__(self, name: str, app: FastAPI, short: Mapping[str, FastPath], tallies: Tallies) -> None:
        self.short = short
        self._name = name
        self._app = app
        self._all = tallies
        self._tallies = {route: tallies.route(name, route) for route in short}
        paths = [route.path for route in app.routes if isinstance(route, Route)]
        self._declared = {path.rstrip("/"): path for path in paths if "{" not in path}
        self._templates = {path: compile_path(path.rstrip("/"))[0] for path in paths if "{" in path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send, prefix: str) -> None:
        """Answers a request whose path begins with `prefix`."""
        start = time.perf_counter()
        route, path = self.route(scope["path"][len(prefix) :])
        code = 500

        async def observe(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self._app({**scope, "root_path": prefix, "path": prefix + path}, receive, observe)
        finally:
            self._all.route(self._name, route).count(code, time.perf_counter() - start)

    def answer(self, route: str, body: bytes, episode: str | None) -> bytes | None:
        """Returns the body of the answer to a POST of JSON on a route with a short way; None: only FastAPI can tell.

        `episode` is what the head says of it.
        """
        start = time.perf_counter()
        answer = self.short[route].answer(body, episode)
        if answer is not None:
            self._tallies[route].count(200, time.perf_counter() - start)
        return answer

    def route(self, path: str) -> tuple[str, str]:
        """Returns the route's declared path, which metrics count it by, and the request's path in its spelling."""
        bare = path.rstrip("/")
        if (declared := self._declared.get(bare)) is not None:
            return declared, declared
        for template, pattern in self._templates.items():
            if pattern.match(bare):
                return template, f"{bare}/" if template.endswith("/") else bare
        return "other", path


class Host:
    """The process's ASGI application. `mounted` may be replaced at any time: requests end where they began."""

    def __init__(self) -> None:
        self.mounted: Mapping[str, Mounted] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Finds the PolicyServer of a request by the longest path that fits."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return  # uvicorn answers a WebSocket that is not accepted with 403
        path = scope["path"]
        if (found := self.find(path)) is not None:
            mounted, prefix = found
            await mounted(scope, receive, send, prefix)
        elif path in ("/", "/healthz", "/readyz"):
            await _answer(send, 200 if self.mounted else 503, "ok" if self.mounted else _NOTHING)
        else:
            served = ", ".join(f"{prefix}/" for prefix in sorted(self.mounted))
            await _answer(send, 404, {"detail": f"Not Found. Served here: {served or 'nothing yet'}"})

    def find(self, path: str) -> tuple[Mounted, str] | None:
        """Returns the application that answers a path, and the part of the path that leads to it."""
        mounted = self.mounted
        fitting = [prefix for prefix in mounted if _under(path, prefix)]
        if fitting:
            prefix = max(fitting, key=len)
            return mounted[prefix], prefix
        return (next(iter(mounted.values())), "") if len(mounted) == 1 else None


_NOTHING = {"detail": "Nothing is served yet."}


def _under(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) :][:1] in ("", "/")


async def _answer(send: Send, status: int, content: Any) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
