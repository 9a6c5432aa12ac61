"""HTTP/1.1 as uvicorn speaks it, but that ordinary predictions are answered at once, below ASGI, in one write.

Most of what an answer costs lies between the socket and the policy: a task, an event, three dicts and two writes for
each request. A request that arrives as clients send it (whole, or its head before its body) and has a short way needs
none of them. Everything else is uvicorn's: pipelined requests, other routes and methods, errors, draining.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from policy_server.bounded_protocol import BoundedProtocol
from policy_server.draining import Farewell
from policy_server.host import Host, Mounted
from policy_server.request_head import RequestHead

_END_OF_HEAD = b"\r\n\r\n"
_MOST_HELD = 65_536
"""Bytes of a request that are kept until the rest comes; uvicorn stops reading from a client at as many."""
_MOST_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class ShortWay:
    """What is known of a head: which route it asks, with a key that was accepted.

    Attributes:
        digests: those of the keys when that was found out; they may change.
        mounted: the application.
        route: its route.
        length: that of the body in bytes.
        episode: the id of the episode that goes on, if the head has it.
    """

    digests: object
    mounted: Mounted
    route: str
    length: int
    episode: str | None


class ShortWays:
    """Knows the heads that clients repeat, so that each is read and its key checked once."""

    def __init__(self, host: Host, farewell: Farewell) -> None:
        self._host = host
        self._farewell = farewell
        # By digest: no key stays in memory.
        self._known: dict[bytes, ShortWay] = {}
        self._served: Mapping[str, Mounted] = {}

    def of(self, head: bytes) -> ShortWay | None:
        """Returns the short way of a request with this head, if it has one now."""
        if self._farewell.said:
            return None
        if self._served is not self._host.mounted:
            self._served = self._host.mounted
            self._known.clear()  # what is known is of the former, of which nothing stays in memory
        digest = sha256(head).digest()
        way = self._known.get(digest)
        if way is not None:
            keys = way.mounted.short[way.route].keys
            if keys is None or keys.digests is way.digests:
                return way
        way = self._found(head)
        if way is not None:
            if len(self._known) >= _MOST_KNOWN:  # heads that hold an identifier are never seen again
                self._known.clear()
            self._known[digest] = way
        return way

    def _found(self, head: bytes) -> ShortWay | None:
        read = RequestHead.read(head)
        if read is None:
            return None
        found = self._host.find(read.path)
        if found is None:
            return None
        mounted, prefix = found
        route = mounted.route(read.path[len(prefix) :])[0]
        short = mounted.short.get(route)
        if short is None or read.length > short.most_bytes:
            return None
        digests = None if short.keys is None else short.keys.digests
        if short.keys is not None and (read.key is None or not short.keys.accepts(read.key)):
            return None
        return ShortWay(digests, mounted, route, read.length, read.episode)


class PredictionProtocol(BoundedProtocol):
    """One connection."""

    def __init__(self, ways: ShortWays, **connection: Any) -> None:
        super().__init__(**connection)
        self._ways = ways
        self._held = b""
        self._answered_at = 0.0
        self._default_headers: list[tuple[bytes, bytes]] | None = None
        self._start = b""

    def data_received(self, data: bytes) -> None:
        """Answers a whole request that has a short way; gives all else to uvicorn, in the order in which it came."""
        if self._held:
            data, self._held = self._held + data, b""
        elif (
            data[:5] != b"POST "
            or self.unfinished
            or not (self.cycle is None or self.cycle.response_complete)  # an answer before this one is under way
        ):
            super().data_received(data)
            return
        size = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if size > len(_END_OF_HEAD) and (way := self._ways.of(data[:size])) is not None:
            missing = size + way.length - len(data)
            if missing > 0 and size + way.length <= _MOST_HELD:
                self._held = data
                self._unset_keepalive_if_required()
                return
            if missing == 0 and not self.flow.write_paused:
                answer = way.mounted.answer(way.route, data[size:], way.episode)
                if answer is not None:
                    self._send(answer)
                    return
        super().data_received(data)

    def _send(self, answer: bytes) -> None:
        headers = self.server_state.default_headers
        if headers is not self._default_headers:  # uvicorn makes new ones each second, for the date
            self._default_headers = headers
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self._start = b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: "
        self.transport.write(b"%b%d\r\ncontent-type: application/json\r\n\r\n%b" % (self._start, len(answer), answer))
        self.server_state.total_requests += 1
        # One timer for many answers: it looks at this when it is due.
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive_for(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection on which nothing was asked since the last answer."""
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keep_alive_for(left)
        else:
            super().timeout_keep_alive_handler()

    def _keep_alive_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def shutdown(self) -> None:
        """Begins to end the connection; a request of which a part is here is still answered."""
        if self._held:
            data, self._held = self._held, b""
            super().data_received(data)
        super().shutdown()
