"""A bound on what a request may hold; FastAPI's own answers in plain text where the length was declared."""

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Stops reading a body once it is too large, whatever length it declares."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; reading beyond the limit raises 413 where the body is read."""
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise HTTPException(413, f"The body is larger than {self._most_bytes} bytes.")
            return message

        await self._app(scope, receive_within_limit, send)
