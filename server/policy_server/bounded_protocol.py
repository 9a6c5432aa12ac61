"""What uvicorn with httptools leaves open: heads and trailers of any size, and offers of another protocol.

A client may offer one with any request, as the JDK's does (`Upgrade: h2c`), and a server may ignore it (RFC 9110,
section 7.8). httptools ends such a message with its head: its body would be lost, or be the next request.
"""

import sys
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 65_536
"""Of the request line, the headers, the trailers and the framing of chunks; as many as uvicorn with h11 allows."""
_FRAMING = 16
"""Bytes that each byte of the body may bring along; a chunk of one byte has six."""
_OFFERING = (b"connection", b"upgrade", b"http2-settings")
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
        self._data = b""
        self.unfinished = False

    def data_received(self, data: bytes) -> None:
        """Counts what comes in; what is the body is taken off again."""
        self._besides += len(data)
        self._data = data
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

    def on_headers_complete(self) -> None:
        """Begins to answer, but not what will be read again."""
        if not self._offers_another_protocol():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Ends the count."""
        if not self._offers_another_protocol():
            self.unfinished = False
            super().on_message_complete()

    def _offers_another_protocol(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _unsupported_upgrade_warning(self) -> None:
        """Reads the message again, as if nothing had been offered; uvicorn calls this when httptools ends it."""
        upgrade = sys.exc_info()[1]
        if not isinstance(upgrade, httptools.HttpParserUpgrade) or not self._offers_another_protocol():
            return
        rest = self._data[upgrade.args[0] :]
        fields = [field for field in self.headers if field[0] not in _OFFERING]
        if any(name == b"connection" and b"close" in value.lower() for name, value in self.headers):
            fields.append((b"connection", b"close"))
        start = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        super().data_received(b"\r\n".join([start, *(b"%b: %b" % field for field in fields), b"", rest]))
