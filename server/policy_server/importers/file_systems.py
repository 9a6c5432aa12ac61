"""The file systems that models come from, each opened so that it keeps to what a fetch may use and where it may go."""
# ruff: noqa: PLC0415  # each library is large, and only one of them is needed

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policy_server.errors import ImportFailed
from policy_server.importers import credentials as known
from policy_server.importers.addresses import Guard
from policy_server.importers.uri import redacted, redacted_text, scheme

WEB = ("http", "https")
_S3, _GOOGLE, _HUGGING_FACE = ("s3", "s3a"), ("gs", "gcs"), ("hf",)
_LONGEST_WAIT = 60.0
"""Seconds for one connection or one read."""


@dataclass(frozen=True)
class Access:
    """What a fetch may use, and where it may go."""

    credentials: Mapping[str, str] | None = field(default=None, repr=False)
    """By the names of `MODEL_CREDENTIALS`; None: whatever the libraries find in the environment and at home."""
    guard: Guard | None = None
    """None: every address may be connected to."""
    volumes: Path | None = None
    """Holds a folder for each `pvc:` claim; None: there are none."""

    @property
    def given(self) -> Mapping[str, str]:
        """The credentials of those who have no library to find them."""
        return os.environ if self.credentials is None else self.credentials


@dataclass(frozen=True)
class Opened:
    """A file system and the path in it that a URI names."""

    files: Any
    """As fsspec's AbstractFileSystem has it."""
    path: str
    get_options: Mapping[str, Any] = field(default_factory=dict)
    """What its `get_file` is told."""


def open_uri(uri: str, access: Access, seconds: float) -> Opened:
    """Opens a URI of any scheme that fsspec knows; under a guard, of those whose connections it sees.

    Args:
        uri: what is fetched.
        access: the credentials and the guard.
        seconds: that are left for everything.

    Raises:
        ImportFailed: there is no such scheme, its library isn't installed, or the credentials aren't such.
    """
    kind = scheme(uri)
    options: dict[str, Any] = {}
    get_options: dict[str, Any] = {}
    if kind in WEB:
        options = _web(uri, access, seconds)
    elif kind in _S3:
        options = _s3(access, seconds)
    elif kind in _GOOGLE:
        # One stream: several would be held in memory, 32 MB each.
        options, get_options = _google(access, seconds), {"concurrency": 1}
    elif kind in _HUGGING_FACE:
        options = _hugging_face(access)
    elif access.guard is not None:
        raise ImportFailed(
            f"can't fetch {redacted(uri)}: in a cluster, models come from file, pvc, http, https, s3, gs and hf"
        )
    import fsspec

    try:
        if kind in WEB:  # url_to_fs takes an IPv6 address for a chain
            files, path = fsspec.filesystem(kind, **options, skip_instance_cache=True), uri
        else:
            files, path = fsspec.url_to_fs(uri, **options, skip_instance_cache=True)
    except ImportError as error:
        raise ImportFailed(f"{kind}: URIs need a library ({error}): install policyserver[sources]") from error
    except ValueError as error:
        raise ImportFailed(f"can't fetch {redacted(uri)}: {redacted_text(str(error))}") from None
    return Opened(files, path, get_options)


def _web(uri: str, access: Access, seconds: float) -> dict[str, Any]:
    import aiohttp

    return {
        "client_kwargs": {
            "timeout": aiohttp.ClientTimeout(total=seconds),
            "trust_env": access.guard is None,  # proxies and .netrc, as curl has it
        },
        # The digest is of the file, not of what a server makes of it under way. aiohttp drops the authorization where a
        # redirect leads to another origin.
        "headers": {"Accept-Encoding": "identity"} | known.web_headers(uri, access.given),
    }


def _s3(access: Access, seconds: float) -> dict[str, Any]:
    wait = min(seconds, _LONGEST_WAIT)
    options: dict[str, Any] = {
        "max_concurrency": 1,  # ten would hold half a gigabyte in memory
        "config_kwargs": {"connect_timeout": wait, "read_timeout": wait, "retries": {"max_attempts": 1}},
        "use_listings_cache": False,
    }
    given = access.credentials
    if given is None:
        return options
    region = given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION")
    return options | {
        "key": given.get("AWS_ACCESS_KEY_ID"),
        "secret": given.get("AWS_SECRET_ACCESS_KEY"),
        "token": given.get("AWS_SESSION_TOKEN"),
        "endpoint_url": given.get("AWS_ENDPOINT_URL"),
        "client_kwargs": {"region_name": region} if region else {},
        "anon": "AWS_ACCESS_KEY_ID" not in given,
    }


def _google(access: Access, seconds: float) -> dict[str, Any]:
    # Its other way, for buckets with folders, goes through gRPC, whose connections no guard sees.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    token = known.google_token(access.given)
    if token is None and access.credentials is not None:
        return {"token": "anon", "requests_timeout": min(seconds, _LONGEST_WAIT)}
    return {"token": token, "requests_timeout": seconds}


def _hugging_face(access: Access) -> dict[str, Any]:
    # Its own transfer is written in Rust, whose connections no guard sees.
    os.environ["HF_HUB_DISABLE_XET"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if access.credentials is None:
        return {}
    return {"token": access.credentials.get("HF_TOKEN", False), "endpoint": access.credentials.get("HF_ENDPOINT")}
