"""Brings what a URI names onto this machine, bounded in bytes and time, and converts nothing."""

import base64
import binascii
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from policy_server.errors import ImportFailed
from policy_server.importers.digest import bytes_of, regular_files, sha256_of
from policy_server.importers.file_systems import Access
from policy_server.importers.limits import Budget, ignore
from policy_server.importers.remote import download
from policy_server.importers.uri import local_path, path_in_volume, redacted, scheme

FETCHED_NAME = "model"
"""What was fetched lies under this name, whatever the URI calls it, so that the next step needn't be told."""
DEFAULT_MAX_BYTES = 1024**3
DEFAULT_TIMEOUT = 600.0
ANYTHING = Access()
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Fetched:
    """What lies on this machine now."""

    uri: str
    """What was fetched, without credentials."""
    path: Path
    """The file or folder."""
    sha256: str
    """The digest that `sha256_of` gives."""
    bytes: int
    """The size, of all files together."""


def fetch(
    uri: str,
    directory: Path,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    timeout: float = DEFAULT_TIMEOUT,
    sha256: str | None = None,
    pinned: str | None = None,
    access: Access = ANYTHING,
    progress: Callable[[int], object] = ignore,
    pause: Callable[[float], object] = time.sleep,
) -> Fetched:
    """Fetches into `directory / "model"`, replacing what an earlier fetch left there; on failure nothing changes.

    Args:
        uri: a path, `file:`, `pvc:`, `http:`, `https:`, `data:`, `s3:`, `gs:`, `hf:` or any URI that fsspec opens; it
            may name a folder of files.
        directory: made if it isn't there.
        max_bytes: the most that may be fetched.
        timeout: seconds for everything, all tries together.
        sha256: the digest that is asked for; any other is refused.
        pinned: the digest that was first served from the URI; any other is refused, unless `sha256` asks for it.
        access: the credentials, where may be connected to, and where the volumes are.
        progress: is told the size in bytes of each piece; a negative number takes a failed try back.
        pause: waits that many seconds between two tries.

    Raises:
        ImportFailed: nothing was fetched; the message names the URI, without credentials, and the reason.
    """
    budget = Budget(uri, max_bytes, timeout, progress)
    made = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".fetch.", dir=directory))
    except OSError as error:
        raise ImportFailed(f"can't write into {directory}: {error.strerror}") from None
    try:
        arrived = staging / FETCHED_NAME
        _bring(uri, arrived, budget, access, pause)
        fetched = Fetched(redacted(uri), arrived, sha256_of(arrived), bytes_of(arrived))
        if sha256 is not None and fetched.sha256 != sha256:
            raise ImportFailed(
                f"{fetched.uri} gives content of the sha256 {fetched.sha256}, not of {sha256} as was asked for: correct"
                " the URI or the digest"
            )
        if sha256 is None and pinned is not None and fetched.sha256 != pinned:
            raise ImportFailed(
                f"{fetched.uri} gives other content than was first served from it (sha256 {fetched.sha256}, then"
                f" {pinned}): give the new model a URI of its own, or its digest beside the URI"
            )
        target = directory / FETCHED_NAME
        if target.is_symlink() or target.exists():
            target.rename(staging / "replaced")
        arrived.rename(target)
        made = False
        return replace(fetched, path=target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if made:
            directory.rmdir()


def _bring(uri: str, target: Path, budget: Budget, access: Access, pause: Callable[[float], object]) -> None:
    path = path_in_volume(uri, access.volumes) if scheme(uri) == "pvc" else local_path(uri)
    if path is not None:
        try:
            _copy(path, target, budget)
        except PermissionError as error:
            reason = f"user {os.getuid()} may not read {error.filename}"
            raise ImportFailed(f"can't read {redacted(uri)}: {reason}: let everyone read it") from None
        except OSError as error:
            raise ImportFailed(f"can't read {redacted(uri)}: {error.strerror} ({error.filename})") from None
    elif scheme(uri) == "data":
        data = _data(uri)
        budget.take(len(data))
        target.write_bytes(data)
    else:
        download(target, budget, access, pause)


def _copy(source: Path, target: Path, budget: Budget) -> None:
    """Copies a file, or a folder without links; `source` itself may be a link, as volumes of Kubernetes make them."""
    if source.is_dir():
        files = regular_files(source)
        target.mkdir()
    elif source.is_file():
        files = [("", source)]
    else:
        reason = "is neither a file nor a folder" if source.exists() else "doesn't exist"
        raise ImportFailed(f"{redacted(budget.uri)} {reason} (looked at {source.absolute()})")
    for name, path in files:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as reading, place.open("xb") as writing:
            while chunk := reading.read(_CHUNK):
                budget.take(len(chunk))
                writing.write(chunk)


def _data(uri: str) -> bytes:
    """Returns the bytes of a `data:` URI (RFC 2397)."""
    header, comma, text = uri.partition(",")
    if not comma:
        raise ImportFailed(f"{redacted(uri)} has no comma: write data:;base64,BYTES")
    raw = unquote_to_bytes(text)
    if not header.endswith(";base64"):
        return raw
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error as error:
        raise ImportFailed(f"{redacted(uri)} isn't base64: {error}") from None


def pinned_digest(uri: str, pins: Path) -> str | None:
    """Returns the digest that was first served from a URI, if the folder `pins` knows it.

    The file of a URI is named by the first 32 digits of its SHA-256, since a URI can't be a file's name.
    """
    file = pins / hashlib.sha256(uri.encode()).hexdigest()[:32]
    return file.read_text().strip() if file.is_file() else None


def as_json(fetched: Fetched) -> dict[str, Any]:
    """Returns what `fetch` prints."""
    return {
        "uri": fetched.uri,
        "path": str(fetched.path),
        "sha256": fetched.sha256,
        "bytes": fetched.bytes,
    }
