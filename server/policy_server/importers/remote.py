"""Downloads over whatever fsspec speaks, in several tries."""

import asyncio
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from policy_server.errors import ImportFailed
from policy_server.importers.credentials import scrubbed
from policy_server.importers.file_systems import WEB, Access, Opened, open_uri
from policy_server.importers.limits import Budget
from policy_server.importers.uri import redacted, redacted_text, scheme

TRIES = 3
_FIRST_PAUSE = 1.0
_SOME_TIME_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_CONNECTION_ERRORS = {
    *("ClientConnectionError", "ClientPayloadError"),  # aiohttp
    *("ConnectionError", "HTTPClientError", "IncompleteReadError"),  # botocore, requests
    *("NetworkError", "ProtocolError", "TimeoutException"),  # httpx
}
"""By name, so that this module needs none of the libraries."""


def download(target: Path, budget: Budget, access: Access, pause: Callable[[float], object]) -> None:
    """Downloads `budget.uri` to `target`, in three tries where the connection or the server fails.

    Args:
        target: becomes a file, or a folder where the URI names one.
        budget: the URI, the bytes and the time.
        access: the credentials, and where may be connected to.
        pause: waits that many seconds; called between two tries.

    Raises:
        ImportFailed: the message names the URI without credentials, and the reason.
    """
    uri = budget.uri
    if "::" in re.sub(r"\[[^]]*\]", "", uri):  # in brackets it is of an IPv6 address
        raise ImportFailed(f"{redacted(uri)} is a chain (::): name the file or archive itself")
    for attempt in range(1, TRIES + 1):
        budget.seconds_left()
        try:
            budget.bounded(lambda: _download_once(target, budget, access))
        except ImportFailed:
            raise
        except TimeoutError:  # asyncio's and fsspec's are this one
            raise budget.too_late() from None
        except Exception as error:  # each file system of fsspec has errors of its own
            if _status(error) is None and access.guard is not None and access.guard.refused:
                raise _refused(uri, access.guard.refused[-1]) from error
            if attempt == TRIES or not _passes(error):
                tries = f" (tried {attempt} times)" if attempt > 1 else ""
                reason = scrubbed(_reason(error), access.given)
                raise ImportFailed(f"can't fetch {redacted(uri)}: {reason}{tries}") from error
        else:
            return
        budget.start_again()
        pause(min(_FIRST_PAUSE * 2 ** (attempt - 1), budget.seconds_left()))


def _download_once(target: Path, budget: Budget, access: Access) -> None:
    opened = open_uri(budget.uri, access, budget.seconds_left())
    files, path = opened.files, opened.path
    # A web server has no folders, and asking whether it has would be one request more. Elsewhere, `info` asks for an
    # object first, which needs no right to list others.
    if scheme(budget.uri) in WEB or files.info(path)["type"] != "directory":
        _get(opened, path, target, budget)
        return
    target.mkdir(exist_ok=True)
    root = PurePosixPath(path)
    for name, info in sorted(files.find(path, detail=True).items()):
        relative = PurePosixPath(name).relative_to(root)
        if name.endswith("/") and not info.get("size"):
            continue  # what consoles of object stores make for a folder: an object without content
        if info.get("type") != "file" or info.get("islink") or ".." in relative.parts:
            raise ImportFailed(f"{redacted(budget.uri)} holds {str(relative)!r}, which is no plain file: remove it")
        place = target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        _get(opened, name, place, budget)


def _get(opened: Opened, path: str, target: Path, budget: Budget) -> None:
    from fsspec.callbacks import Callback  # noqa: PLC0415  # fsspec is there by now

    class Count(Callback):  # type: ignore[misc]  # fsspec has no types
        counted = 0

        def set_size(self, size: int | None) -> None:
            budget.require_room(size or 0)

        def relative_update(self, inc: int = 1) -> None:
            self.counted += inc
            budget.take(inc)

    count = Count()
    opened.files.get_file(path, str(target), callback=count, **opened.get_options)
    # Not every file system reports each piece; what lies here now is what counts.
    if (unreported := target.stat().st_size - count.counted) > 0:
        budget.take(unreported)


def _status(error: BaseException) -> int | None:
    """Returns the HTTP status that an error is about, wherever its library keeps it; None for a lost connection."""
    for one in _causes(error):
        if _is_lost_connection(one):
            return None  # aiohttp gives this a status, too, which nobody sent
        response = getattr(one, "response", None)
        if isinstance(response, dict):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        elif response is not None:  # httpx, requests
            status = getattr(response, "status_code", None)
        else:  # aiohttp, gcsfs
            status = getattr(one, "status", None) or getattr(one, "code", None)
        if isinstance(status, int) and status >= HTTPStatus.BAD_REQUEST:
            return status
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _passes(error: Exception) -> bool:
    """Whether another try may help: lost connections, 5xx and "not so fast", no other answer of the kind 4xx."""
    status = _status(error)
    if status is not None:
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _SOME_TIME_LATER
    return any(_is_lost_connection(one) for one in _causes(error))


def _is_lost_connection(error: BaseException) -> bool:
    names = {base.__name__ for base in type(error).__mro__}
    return isinstance(error, ConnectionError | asyncio.IncompleteReadError) or bool(names & _CONNECTION_ERRORS)


def _reason(error: Exception) -> str:
    """Returns what happened, without the URL that libraries put into their messages."""
    if isinstance(error, FileNotFoundError):
        return "not found (HTTP 404 or its like): look at the URI"
    status = _status(error)
    if status is not None and getattr(error, "status", None) == status:
        return f"HTTP {status} {getattr(error, 'message', '')}".rstrip()
    text = redacted_text(str(error)) or type(error).__name__
    if type(error).__name__ == "NoCredentialsError":  # botocore's, on a laptop
        return "there are no credentials: set AWS_ACCESS_KEY_ID and so on, or FSSPEC_S3_ANON=true for a public bucket"
    return f"HTTP {status}: {text}" if status is not None else f"{type(error).__name__}: {text}"


def _refused(uri: str, what: str) -> ImportFailed:
    remedy = (
        "whoever runs the operator may allow those (--allow-private-model-addresses)"
        if what.endswith("private address")
        else "no model may come from there"
    )
    return ImportFailed(f"{redacted(uri)} leads to {what}: {remedy}")
