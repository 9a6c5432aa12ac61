"""The short way of a prediction: one validation, one inference, one draw, one answer, and nothing else.

FastAPI declares the route, and answers whatever is out of the ordinary: a missing key, another content type, an
invalid body. The short way only takes a request of which it knows the whole answer, byte for byte that of FastAPI's
own path; any other it leaves alone.
"""

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from policy_server.auth import ApiKeys

Answer = Callable[[Any, str | None], bytes]
"""Makes the body of an answer of a validated body and the head's episode; raises where there is none."""


class FastPath:
    """One POST route with a JSON body.

    Attributes:
        keys: the accepted keys; None serves everyone.
        most_bytes: the most that a body may hold.
    """

    def __init__(self, body: Any, answer: Answer, keys: ApiKeys | None, most_bytes: int) -> None:
        """Takes the type of the body, and what makes the answer's."""
        self.keys = keys
        self.most_bytes = most_bytes
        self._validate = TypeAdapter(body).validator.validate_json
        self._answer = answer

    def answer(self, body: bytes, episode: str | None) -> bytes | None:
        """Returns the answer's body; or None for a request that FastAPI must answer."""
        validate, make = self._validate, self._answer  # called as methods, they would be looked for in the class first
        try:
            return make(validate(body), episode)
        except Exception:  # noqa: BLE001  # whatever it is, it happens again on FastAPI's path, which knows what to say
            return None
