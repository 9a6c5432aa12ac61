"""Connections to an ASGI application through uvicorn's own protocol, or through ours, without a socket between."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from policy_server.draining import Farewell
from policy_server.host import Host
from policy_server.protocol import PredictionProtocol, ShortWays

DEADLINE_SECONDS = 60.0

Answer = Callable[[bytes, str | None], bytes | None]
"""That of a short way."""


class Wire(asyncio.Transport):
    """The far end of a connection: what was written to it."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 40000)})
        self.written = bytearray()
        self.writes = 0
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed, "written after the end"
        self.written += data
        self.writes += 1

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """What is sent is fed piece by piece in any case."""

    def resume_reading(self) -> None:
        """See pause_reading."""


class Client:
    """One connection after the other to one application."""

    def __init__(self, host: Host, *, short: bool, keep_alive_seconds: float = 120) -> None:
        self.loop = asyncio.new_event_loop()
        self.farewell = Farewell(host)
        self._config = Config(
            self.farewell,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",  # as the process has it
            timeout_keep_alive=keep_alive_seconds,  # type: ignore[arg-type]  # any number will do
        )
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
        self._make: Callable[..., HttpToolsProtocol] = (
            partial(PredictionProtocol, ShortWays(host, self.farewell)) if short else HttpToolsProtocol
        )
        self.protocol: HttpToolsProtocol | None = None
        self.connect()

    def connect(self) -> None:
        """Opens a new connection; the former ends as when its client goes away."""
        self._disconnect()
        self.wire = Wire()
        self.protocol = self._make(config=self._config, server_state=self.state, app_state={}, _loop=self.loop)
        self.protocol.connection_made(self.wire)

    def _disconnect(self) -> None:
        if self.protocol is not None:
            self.protocol.connection_lost(None)
            while self.state.tasks:
                self.loop.run_until_complete(asyncio.wait(self.state.tasks))

    def close(self) -> None:
        """Ends all."""
        self._disconnect()
        self.loop.close()

    def send(self, pieces: Iterable[bytes]) -> bytes:
        """Returns all that comes back once nothing more does."""
        if self.wire.closed:
            self.connect()
        return self.loop.run_until_complete(asyncio.wait_for(self._send(pieces), DEADLINE_SECONDS))

    async def _send(self, pieces: Iterable[bytes]) -> bytes:
        assert self.protocol is not None
        self.wire.written.clear()
        self.wire.writes = 0
        for piece in pieces:
            if not self.wire.closed:
                self.protocol.data_received(piece)
            await self._settle(self.protocol)
        return bytes(self.wire.written)

    async def _settle(self, protocol: HttpToolsProtocol) -> None:
        """Lets the application do what it can without more bytes."""
        for _ in range(50):
            if not self.state.tasks:
                return
            await asyncio.sleep(0)
        while self.state.tasks and not protocol.cycle.more_body:
            await asyncio.wait(self.state.tasks)

    def wait_for_the_end(self) -> None:
        """Returns once the server has closed the connection."""
        ended = asyncio.wait_for(self._end(), DEADLINE_SECONDS)
        self.loop.run_until_complete(ended)

    async def _end(self) -> None:
        while not self.wire.closed:  # noqa: ASYNC110  # a transport tells nobody
            await asyncio.sleep(0.01)


class Taken:
    """Counts the requests that a host's short ways answer."""

    def __init__(self, host: Host) -> None:
        self.count = 0
        for mounted in host.mounted.values():
            for way in mounted.short.values():
                way.answer = self._counting(way.answer)  # type: ignore[method-assign,assignment]

    def _counting(self, answer: Answer) -> Answer:
        def counted(body: bytes, episode: str | None) -> bytes | None:
            answered = answer(body, episode)
            self.count += answered is not None
            return answered

        return counted
