"""Downloads over whatever fsspec speaks; http and https need nothing but aiohttp."""
# ruff: noqa: PLC0415  # files and data: URIs need neither fsspec nor aiohttp

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any

from policy_server.errors import ImportFailed
from policy_server.importers.limits import Budget
from policy_server.importers.uri import redacted, redacted_text, scheme

TRIES = 3
_FIRST_PAUSE = 1.0


def download(target: Path, budget: Budget, pause: Callable[[float], object]) -> None:
    """Downloads `budget.uri` to `target`, in three tries where the connection or the server fails.

    Args:
        target: becomes a file, or a folder where the URI names one.
        budget: the URI, the bytes and the time.
        pause: waits that many seconds; called between two tries.

    Raises:
        ImportFailed: the message names the URI without credentials, and the reason.
    """
    uri = budget.uri
    if "::" in uri:
        raise ImportFailed(f"{redacted(uri)} is a chain (::): name the file or archive itself")
    for attempt in range(1, TRIES + 1):
        budget.seconds_left()
        try:
            _download_once(target, budget)
        except ImportFailed:
            raise
        except TimeoutError:  # asyncio's and fsspec's are this one
            raise budget.too_late() from None
        except Exception as error:  # each file system of fsspec has errors of its own
            if attempt == TRIES or not _passes(error):
                tries = f" (tried {attempt} times)" if attempt > 1 else ""
                raise ImportFailed(f"can't fetch {redacted(uri)}: {_reason(error)}{tries}") from error
        else:
            return
        budget.start_again()
        pause(min(_FIRST_PAUSE * 2 ** (attempt - 1), budget.seconds_left()))


def _download_once(target: Path, budget: Budget) -> None:
    import fsspec

    web = scheme(budget.uri) in ("http", "https")
    try:
        files, path = fsspec.url_to_fs(budget.uri, **(_web_options(budget) if web else {}), skip_instance_cache=True)
    except (ImportError, ValueError) as error:
        raise ImportFailed(f"can't fetch {redacted(budget.uri)}: {redacted_text(str(error))}") from None
    # A web server has no folders, and asking whether it has would be one request more.
    if web or not files.isdir(path):
        _get(files, path, target, budget)
        return
    target.mkdir(exist_ok=True)
    root = PurePosixPath(path)
    for name, info in sorted(files.find(path, detail=True).items()):
        relative = PurePosixPath(name).relative_to(root)
        if info.get("type") != "file" or info.get("islink") or ".." in relative.parts:
            raise ImportFailed(f"{redacted(budget.uri)} holds {str(relative)!r}, which is no plain file: remove it")
        place = target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        _get(files, name, place, budget)


def _web_options(budget: Budget) -> dict[str, Any]:
    import aiohttp

    return {
        "client_kwargs": {
            "timeout": aiohttp.ClientTimeout(total=budget.seconds_left()),
            "trust_env": True,  # proxies and .netrc, as curl has it
        },
        # The digest is of the file, not of what a server makes of it under way.
        "headers": {"Accept-Encoding": "identity"},
    }


def _get(files: Any, path: str, target: Path, budget: Budget) -> None:
    from fsspec.callbacks import Callback

    class Count(Callback):  # type: ignore[misc]  # fsspec has no types
        def relative_update(self, inc: int = 1) -> None:
            budget.take(inc)

    files.get_file(path, str(target), callback=Count())
    # Not every file system reports each piece; what lies here now is what counts.
    if target.stat().st_size > budget.max_bytes:
        budget.take(target.stat().st_size)


def _passes(error: Exception) -> bool:
    """Whether another try may help: lost connections and 5xx, no answer of the kind 4xx."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status > 0:
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR
    names = {base.__name__ for base in type(error).__mro__}
    # aiohttp's errors by name, so that this module needs no aiohttp for other schemes.
    return isinstance(error, ConnectionError | asyncio.IncompleteReadError) or bool(
        names & {"ClientConnectionError", "ClientPayloadError"}
    )


def _reason(error: Exception) -> str:
    """Returns what happened, without the URL that libraries put into their messages."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status > 0:
        return f"HTTP {status} {getattr(error, 'message', '')}".rstrip()
    if isinstance(error, FileNotFoundError):
        return "not found (HTTP 404 or its like): look at the URI"
    text = redacted_text(str(error)) or type(error).__name__
    return f"{type(error).__name__}: {text}"
