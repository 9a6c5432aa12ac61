"""The head of a POST of JSON: all that is asked of it, read by the parser that uvicorn has, too."""

from dataclasses import dataclass
from typing import Self

import httptools

from policy_server.auth import KEY_NAME

_KEY = KEY_NAME.encode()
EPISODE_HEADER = "X-Episode-Id"
LONGEST_EPISODE_ID = 256
_EPISODE = EPISODE_HEADER.lower().encode()
_ONLY_ONCE = (b"content-length", b"content-type", _KEY, _EPISODE)
_UNUSUAL = (b"transfer-encoding", b"expect", b"upgrade")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """An ordinary head: HTTP/1.1, kept alive, a JSON body of a declared length, nothing there twice.

    Attributes:
        path: what is asked for, without the query.
        length: that of the body in bytes, 1 or more.
        key: the API key in its own header, if any.
        episode: the id of the episode that goes on, if any.
    """

    path: str
    length: int
    key: bytes | None
    episode: str | None

    @classmethod
    def read(cls, head: bytes) -> Self | None:
        """Returns what the head says, or None where anything is out of the ordinary."""
        reader = _Reader()
        parser = httptools.HttpRequestParser(reader)
        try:
            parser.feed_data(head)
            path = httptools.parse_url(reader.url).path
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        fields = reader.fields
        ordinary = (
            reader.ends_with_the_headers
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and fields.get(b"content-type") == b"application/json"
            and fields.get(b"content-length", b"0").isdigit()
            and not any(name in fields for name in _UNUSUAL)
            and 0 < len(fields.get(_EPISODE, b"-")) <= LONGEST_EPISODE_ID
        )
        if not ordinary or not reader.url.startswith(b"/"):
            return None
        length = int(fields.get(b"content-length", b"0"))
        if not length or b"%" in path:
            return None
        episode = None if (given := fields.get(_EPISODE)) is None else given.decode("latin-1")
        return cls(path.decode("ascii"), length, fields.get(_KEY), episode)


class _Reader:
    """Takes the parser's calls."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: dict[bytes, bytes] = {}
        self.ends_with_the_headers = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self.fields and name in _ONLY_ONCE:
            raise ValueError(name)  # the parser makes an error of its own of it
        self.fields[name] = value

    def on_headers_complete(self) -> None:
        self.ends_with_the_headers = True

    def on_body(self, body: bytes) -> None:
        self.ends_with_the_headers = False
