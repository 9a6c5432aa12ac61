"""One process's PolicyServers, each under its path; a single one also at the root.

ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html): `scope["root_path"]` tells an application where it is
mounted, so that its documentation links to itself, whatever stands in front.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from starlette.routing import Route, compile_path
from starlette.types import Message, Receive, Scope, Send

from policy_server.fast_path import FastPath
from policy_server.metrics import Metrics


class Mounted:
    """One PolicyServer's application: its routes with and without the trailing slash, timed and counted."""

    def __init__(self, name: str, app: FastAPI, short: Mapping[str, FastPath], metrics: Metrics) -> None:
        self._name = name
        self._app = app
        self._short = short
        self._metrics = metrics
        self._answered: dict[tuple[str, int], Counter] = {}
        self._durations: dict[str, Histogram] = {}
        paths = [route.path for route in app.routes if isinstance(route, Route)]
        self._declared = {path.rstrip("/"): path for path in paths if "{" not in path}
        self._templates = {path: compile_path(path.rstrip("/"))[0] for path in paths if "{" in path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send, prefix: str) -> None:
        """Answers a request whose path begins with `prefix`."""
        start = time.perf_counter()
        route, path = self._route(scope["path"][len(prefix) :])
        code = 500
        try:
            if (short := self._short.get(route)) is not None:
                again = await short.take(scope, receive, send)
                if again is None:
                    code = 200
                    return
                receive = again

            async def observe(message: Message) -> None:
                nonlocal code
                if message["type"] == "http.response.start":
                    code = message["status"]
                await send(message)

            await self._app({**scope, "root_path": prefix, "path": prefix + path}, receive, observe)
        finally:
            self._count(route, code, time.perf_counter() - start)

    def _count(self, route: str, code: int, seconds: float) -> None:
        # Looking up a child by its labels costs more than counting: there are few, so they are kept.
        if (answered := self._answered.get((route, code))) is None:
            answered = self._answered[route, code] = self._metrics.requests.labels(self._name, route, str(code))
        if (duration := self._durations.get(route)) is None:
            duration = self._durations[route] = self._metrics.latency.labels(self._name, route)
        answered.inc()
        duration.observe(seconds)

    def _route(self, path: str) -> tuple[str, str]:
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
        mounted, path = self.mounted, scope["path"]
        prefix = None
        for candidate in mounted:
            if _under(path, candidate) and (prefix is None or len(candidate) > len(prefix)):
                prefix = candidate
        if prefix is not None:
            await mounted[prefix](scope, receive, send, prefix)
        elif len(mounted) == 1:
            await next(iter(mounted.values()))(scope, receive, send, "")
        elif path in ("/", "/healthz", "/readyz"):
            await _answer(send, 200 if mounted else 503, "ok" if mounted else {"detail": "Nothing is served yet."})
        else:
            served = ", ".join(f"{prefix}/" for prefix in sorted(mounted))
            await _answer(send, 404, {"detail": f"Not Found. Served here: {served or 'nothing yet'}"})


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
