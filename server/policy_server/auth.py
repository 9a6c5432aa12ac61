"""API keys, kept as the files of one folder, as Kubernetes mounts a Secret."""

import hmac
import logging
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from fastapi import Security
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from policy_server.errors import ConfigError
from policy_server.http_errors import rejection

KEY_NAME = "access-token"

# These only declare to OpenAPI where a key may stand; `KeyGuard` checks it.
SECURITY_SCHEMES = [
    Security(APIKeyHeader(name=KEY_NAME, auto_error=False, scheme_name="header")),
    Security(APIKeyQuery(name=KEY_NAME, auto_error=False, scheme_name="query")),
    Security(APIKeyCookie(name=KEY_NAME, auto_error=False, scheme_name="cookie")),
    Security(HTTPBearer(auto_error=False, scheme_name="bearer")),
]

log = logging.getLogger(__name__)


class ApiKeys:
    """The accepted keys; two at once rotate without a gap.

    Only digests are kept: they have one length, so that comparing them tells nothing of a key, not even its size.

    Attributes:
        digests: those of the accepted keys; another list when they change.
    """

    def __init__(self, directory: Path) -> None:
        """Reads the keys.

        Raises:
            ConfigError: there is none.
        """
        self._directory = directory
        self.digests = self._read()
        self._warned = False
        if not self.digests:
            raise ConfigError(f"no API key in {directory}: put one into the Secret, or say auth: none")

    def reload(self) -> None:
        """Reads the keys again; while there is none to read, those known before stay."""
        digests = self._read()
        if not digests and not self._warned:
            log.warning("no API key in %s: the keys read before stay accepted", self._directory)
        self._warned = not digests
        if digests and digests != self.digests:
            self.digests = digests
            log.info("API keys read again: %d accepted", len(digests))

    def accept(self, connection: HTTPConnection) -> bool:
        """Tells whether any of the places where a key may stand holds an accepted one."""
        return any(self.accepts(key) for key in _candidates(connection))

    def accepts(self, key: bytes) -> bool:
        """Tells whether a key is an accepted one, in a time that doesn't tell how near it came."""
        digest = sha256(key).digest()
        # A sum, not any(): every digest is compared, whichever matches.
        return sum(hmac.compare_digest(digest, accepted) for accepted in self.digests) > 0

    def _read(self) -> list[bytes]:
        try:
            # Kubernetes keeps the Secret's former and next state beside the keys, in folders named ..data and the like.
            files = sorted(path for path in self._directory.iterdir() if not path.name.startswith(".."))
            keys = [path.read_bytes().strip() for path in files if path.is_file()]
        except OSError as error:
            log.warning("can't read the API keys: %s", error)
            return []
        return [sha256(key).digest() for key in keys if key]


def _candidates(connection: HTTPConnection) -> Iterable[bytes]:
    """Yields keys as the client sent them: what stands in a header was read as Latin-1, a query as UTF-8."""
    if key := connection.headers.get(KEY_NAME):
        yield key.encode("latin-1")
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        yield token.strip().encode("latin-1")
    if key := connection.query_params.get(KEY_NAME):
        yield key.encode()
    if key := connection.cookies.get(KEY_NAME):
        yield key.encode("latin-1", "replace")


class KeyGuard:
    """Lets nothing past without a key but what is open, and looks before a body is read: strangers cost no parsing."""

    OPEN: ClassVar = {
        *("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"),
        *("/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/ui", "/clients"),
    }
    OPEN_FOLDERS: ClassVar = ("/static-offline-docs/", "/ui/")

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401, or passes the request on."""
        path = scope["path"][len(scope["root_path"]) :]
        open_to_all = path in self.OPEN or path.startswith(self.OPEN_FOLDERS) or (path == "/" and _asks_nothing(scope))
        if open_to_all or self._keys.accept(HTTPConnection(scope)):
            await self._app(scope, receive, send)
            return
        detail = (
            f"API key missing or wrong: send it in the header `{KEY_NAME}`, as `Authorization: Bearer KEY`,"
            f" or in the query or the cookie `{KEY_NAME}`"
        )
        await rejection(scope, 401, detail, {"WWW-Authenticate": "Bearer"})(scope, receive, send)


def _asks_nothing(scope: Scope) -> bool:
    """Whether a request is a GET without a body, which says "ok"; with one, it asks the policy for an action."""
    return scope["method"] == "GET" and not any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" 0"))
        for name, value in scope["headers"]
    )
