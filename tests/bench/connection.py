"""One kept-alive HTTP connection of the load generator, on a bare socket."""

import re
import select
import socket
from dataclasses import dataclass, field

CONNECT_SECONDS = 10.0

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Connection:
    """A kept-alive connection, with at most one request under way."""

    port: int
    request: bytes
    epoll: select.epoll
    since: float = 0.0
    reconnects: int = 0
    failed: int = 0
    _received: bytes = b""
    _socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._connect()

    def send(self, since: float) -> None:
        """Sends the request, whose latency counts from `since`."""
        self.since = since
        self._socket.send(self.request)

    def fileno(self) -> int:
        """Returns what epoll knows it by."""
        return self._socket.fileno()

    def answered(self) -> bool:
        """Reads what is there; tells whether the answer is whole. Connects again where the server hung up."""
        data = self._socket.recv(65536)
        if not data:
            self._reconnect()
            self._socket.send(self.request)
            return False
        if self._received:
            data = self._received + data
        head = data.find(b"\r\n\r\n")
        if head < 0 or not _whole(data, head):
            self._received = data
            return False
        self._received = b""
        self.failed += data[9:12] != b"200"
        if data.find(b"onnection: close", 0, head) >= 0:
            self._reconnect()
        return True

    def _reconnect(self) -> None:
        self.reconnects += 1
        self.close()
        self._connect()

    def _connect(self) -> None:
        self._received = b""
        self._socket = socket.create_connection(("127.0.0.1", self.port), CONNECT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.epoll.register(self._socket, select.EPOLLIN)

    def close(self) -> None:
        """Hangs up."""
        self.epoll.unregister(self._socket)
        self._socket.close()


def _whole(data: bytes, head: int) -> bool:
    if length := _LENGTH.search(data, 0, head):
        return len(data) >= head + 4 + int(length[1])
    return data.endswith(b"0\r\n\r\n")  # chunked
