"""A bound on what a message may hold besides its body: uvicorn with httptools keeps heads and trailers of any size."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 65_536
"""Of the request line, the headers, the trailers and the framing of chunks; as many as uvicorn with h11 allows."""
_FRAMING = 16
"""Bytes that each byte of the body may bring along; a chunk of one byte has six."""
_BODY = b'{"detail":"The headers are larger than %d bytes."}' % MOST_BYTES
_ANSWER = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class BoundedProtocol(HttpToolsProtocol):
    """One connection; it is closed once a message has too much that isn't its body.

    Attributes:
        unfinished: whether the rest of a message is yet to come.
    """

    def __init__(self, **connection: Any) -> None:
        super().__init__(**connection)
        self._besides = 0
        self.unfinished = False

    def data_received(self, data: bytes) -> None:
        """Counts what comes in; what is the body is taken off again."""
        self._besides += len(data)
        super().data_received(data)
        if self.unfinished and self._besides > MOST_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
                self.transport.write(_ANSWER)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begins to count anew."""
        self._besides, self.unfinished = 0, True
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body off the count."""
        self._besides = max(self._besides - (1 + _FRAMING) * len(body), -MOST_BYTES)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the count."""
        self.unfinished = False
        super().on_message_complete()
