"""What a URI names, and how it is shown to people."""

import re
from pathlib import Path
from urllib.parse import unquote

from policy_server.errors import ImportFailed

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""Two characters at least, so that a Windows drive is no scheme."""
_URI_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+|data:\S+")
_DATA_SHOWN = 40


def scheme(uri: str) -> str:
    """Returns the scheme in lower case, or `""` for a plain path."""
    match = _SCHEME.match(uri)
    return match.group()[:-1].lower() if match else ""


def redacted(uri: str) -> str:
    """Returns the URI without user, password, query and fragment, any of which may hold a credential.

    A `data:` URI is cut after 40 characters: it is the whole model.
    """
    kind = scheme(uri)
    if kind == "":
        return uri
    if kind == "data":
        return uri if len(uri) <= _DATA_SHOWN else uri[:_DATA_SHOWN] + "…"
    match = re.match(r"([^:]+://)([^/?#]*)([^?#]*)", uri)
    if match is None:
        return re.split("[?#]", uri, maxsplit=1)[0]
    start, authority, path = match.groups()
    host = authority.rpartition("@")[2]
    if not re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d*)?", host):
        host, path = "…", ""  # an unescaped / or ? in a password moved the host: rather show nothing
    return start + host + path


def redacted_text(text: str) -> str:
    """Returns the text with every URI in it redacted; for messages and tracebacks of libraries."""
    return _URI_IN_TEXT.sub(lambda match: redacted(match.group()), text)


def local_path(uri: str) -> Path | None:
    """Returns the path that a plain path or a `file:` URI names, None for any other URI.

    A relative path is relative to the working directory, also after `file:`.

    Raises:
        ImportFailed: the `file:` URI names another host.
    """
    if scheme(uri) == "":
        return Path(uri)
    if scheme(uri) != "file":
        return None
    rest = uri[len("file:") :]
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise ImportFailed(f"{redacted(uri)} names the host {host!r}: write file:///PATH or file:PATH")
        rest = slash + path
    return Path(unquote(rest))


def path_in_volume(uri: str, volumes: Path | None) -> Path:
    """Returns the path that `pvc://CLAIM/PATH` names, below the folder `volumes / CLAIM`.

    Raises:
        ImportFailed: there are no volumes here, the URI isn't such, or its path leads out of the volume.
    """
    if volumes is None:
        raise ImportFailed(
            f"{redacted(uri)} is on a volume of a Kubernetes cluster, which isn't here: name the file itself,"
            " file:///PATH, or serve it in the cluster"
        )
    match = re.fullmatch(r"pvc://([a-z0-9][-a-z0-9.]*)(?:/(.*))?", uri)
    if match is None:
        raise ImportFailed(f"{redacted(uri)} names no claim: write pvc://CLAIM/PATH")
    volume = (volumes / match[1]).resolve()
    path = (volume / unquote(match[2] or "").lstrip("/")).resolve()
    # Who writes to the volume may have put a link there, which would lead to what only this process may read.
    if not path.is_relative_to(volume):
        raise ImportFailed(f"{redacted(uri)} leads out of its volume: put the file itself there")
    return path
