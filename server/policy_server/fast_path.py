"""The short way of a prediction: one validation, one inference, one draw, one answer, and nothing else.

FastAPI declares the route, and answers whatever is out of the ordinary: a missing key, another content type, an
invalid body. The short way only takes a request of which it knows the whole answer, byte for byte that of FastAPI's
own path; any other it hands on, untouched, with the part of the body that it has read.
"""

import json
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.types import Message, Receive, Scope, Send

from policy_server.auth import KEY_NAME, ApiKeys
from policy_server.errors import PolicyServerError

_KEY = KEY_NAME.encode()
_JSON = b"application/json"
_HEADERS = (b"content-type", _JSON)

Answer = Callable[[Any], dict[str, Any]]
"""Makes the content of an answer of a validated body; raises PolicyServerError where there is none."""


class FastPath:
    """One POST route with a JSON body."""

    def __init__(self, body: Any, answer: Answer, keys: ApiKeys | None, most_bytes: int) -> None:
        """Takes the type of the body, what makes the answer's content, the keys, and the most a body may hold."""
        self._validate = TypeAdapter(body).validator.validate_python
        self._answer = answer
        self._keys = keys
        self._most_bytes = most_bytes

    async def take(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        """Answers the request and returns None; or returns what receives it, for whoever answers it instead."""
        if not self._takes(scope):
            return receive
        message = await receive()
        body = message.get("body", b"")
        if message["type"] != "http.request" or message.get("more_body") or len(body) > self._most_bytes:
            return _again(message, receive)
        try:
            # What FastAPI does with it, but for texts that aren't UTF-8: those it may decode itself.
            content = self._answer(self._validate(json.loads(body.decode()), from_attributes=True))
        except (ValueError, RecursionError, ValidationError, PolicyServerError):
            return _again(message, receive)
        answered = to_json(content)
        headers = [(b"content-length", b"%d" % len(answered)), _HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answered})
        return None

    def _takes(self, scope: Scope) -> bool:
        if scope["method"] != "POST":
            return False
        key = content_type = None
        for name, value in scope["headers"]:
            if name == b"content-type":
                content_type = value
            elif name == _KEY:
                key = value
        if content_type != _JSON:
            return False
        return self._keys is None or (key is not None and self._keys.accepts(key))


def _again(message: Message, receive: Receive) -> Receive:
    """Returns what receives a message once more, then what follows it."""
    read: Message | None = message

    async def receive_again() -> Message:
        nonlocal read
        if read is None:
            return await receive()
        first, read = read, None
        return first

    return receive_again
