"""Credentials for where models come from: few names are known, and nothing else of a Secret is ever looked at."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from policy_server.config import MODEL_CREDENTIALS
from policy_server.errors import ImportFailed

_LONGEST = 64 * 1024
_NO_SECRETS = frozenset({"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "HF_ENDPOINT", "HTTP_ORIGIN"})
_SHORTEST_SECRET = 4
"""In characters; what is shorter can't be told from the words of a message."""


def read(folder: Path) -> dict[str, str]:
    """Returns the credentials in a folder, a file for each, as Kubernetes mounts a Secret.

    Raises:
        ImportFailed: there are none, or one can't be read; the message names it but shows nothing of it.
    """
    found = {}
    for name in MODEL_CREDENTIALS:
        try:
            with (folder / name).open("rb") as file:
                raw = file.read(_LONGEST + 1)
            text = raw.decode().strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError):
            raise ImportFailed(f"the credential {name} in {folder} can't be read: it must be a text") from None
        # A line break in a header or a URL would begin another one.
        is_line = text.isprintable() or name.endswith("_JSON")
        if len(raw) > _LONGEST or not text or not is_line:
            raise ImportFailed(f"the credential {name} in {folder} is empty, too long or no line of text")
        found[name] = text
    if not found:
        raise ImportFailed(
            f"the Secret {folder.name} of spec.modelCredentials isn't there, or it has none of the keys"
            f" {', '.join(MODEL_CREDENTIALS)}: kubectl create secret generic {folder.name} --from-literal=KEY=VALUE"
        )
    return found


def scrubbed(text: str, credentials: Mapping[str, str]) -> str:
    """Returns the text without the credentials, which servers and libraries like to repeat."""
    secrets = {value for name, value in credentials.items() if name in MODEL_CREDENTIALS and name not in _NO_SECRETS}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "…")
    return text


def web_headers(uri: str, credentials: Mapping[str, str]) -> dict[str, str]:
    """Returns the header that authorizes a request of an http or https URI, if the credentials are for its host.

    Whoever wrote the Secret says in HTTP_ORIGIN who may see it (https://models.example, with a port where it isn't the
    scheme's own); whoever wrote the URI doesn't.

    Raises:
        ImportFailed: there are credentials for http, and something about them is missing or wrong.
    """
    token, user, password = (credentials.get(f"HTTP_{name}") for name in ("BEARER_TOKEN", "USERNAME", "PASSWORD"))
    if token is None and user is None and password is None:
        return {}
    allowed = _origin(credentials.get("HTTP_ORIGIN", ""))
    if allowed is None:
        raise ImportFailed(
            "credentials for http need HTTP_ORIGIN beside them, as https://models.example: who gets them"
        )
    if allowed != _origin(uri):
        return {}
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    if user is None or password is None:
        raise ImportFailed("credentials for http are HTTP_BEARER_TOKEN, or both of HTTP_USERNAME and HTTP_PASSWORD")
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def google_token(credentials: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the key of a Google service account, None where there is none.

    Raises:
        ImportFailed: it is something else, such as a configuration that runs a program to get a key.
    """
    text = credentials.get("GOOGLE_APPLICATION_CREDENTIALS_JSON")
    if text is None:
        return None
    try:
        token = json.loads(text)
    except ValueError:
        token = None
    if not isinstance(token, dict) or token.get("type") != "service_account":
        raise ImportFailed("GOOGLE_APPLICATION_CREDENTIALS_JSON must be the JSON key of a service account")
    return token


def _origin(uri: str) -> tuple[str, str, int] | None:
    """Returns scheme, host and port (RFC 6454), None where there are none."""
    try:
        parts = urlsplit(uri)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
