"""How serving ends without failing a request, whoever still has a connection.

uvicorn closes the connections that are idle when it is told to end. A client that sends its next request in that moment
is answered by nobody, and must not repeat a POST by itself. So after SIGTERM answers first say `Connection: close`:
clients open their next connection to another pod, and few idle ones are left to be closed.
"""

import asyncio
import signal
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLOSE = (b"connection", b"close")


class Farewell:
    """The application; once `said`, every answer is the last one of its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.said = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if not self.said:
            await self._app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        await self._app(scope, receive, closing)


class DrainingServer(uvicorn.Server):
    """Serves on for some seconds after SIGTERM, until no connection is left; Ctrl-C, or a second signal, ends it."""

    def __init__(self, config: uvicorn.Config, farewell: Farewell, seconds: float) -> None:
        super().__init__(config)
        self._farewell = farewell
        self._seconds = seconds
        self._end: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes a signal."""
        if sig == signal.SIGTERM and not self._farewell.said and self._seconds > 0:
            self._farewell.said = True
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Tells, ten times a second, whether to end."""
        if self._farewell.said:
            now = asyncio.get_running_loop().time()
            self._end = self._end or now + self._seconds
            self.should_exit = self.should_exit or now >= self._end or not self.server_state.connections
        return await super().on_tick(counter)
