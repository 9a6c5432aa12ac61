"""The one place that talks to the API server. Objects are plain dicts; errors are those of `cluster_errors`."""

import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from policy_operator import kinds, metrics
from policy_operator.cluster_errors import ClusterError, Conflict, Expired, NotConnected, NotFound, Refused, Unavailable
from policy_operator.desired.metadata import Object
from policy_operator.kinds import Kind
from policy_operator.settings import FIELD_MANAGER

_REQUEST = aiohttp.ClientTimeout(total=15)
_METADATA_ONLY = "application/json;g=meta.k8s.io;v=v1;as=PartialObjectMetadata{}"
_PAGE = 500


@dataclass(frozen=True)
class Connection:
    """Where the API server is and who we are, for another client of it."""

    server: str
    ca_path: str | None
    insecure: bool
    scheme: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


@dataclass(frozen=True)
class Selection:
    """Some of the objects of one kind."""

    kind: Kind
    namespace: str | None = None
    labels: str = ""
    metadata_only: bool = False
    """Leaves out all but names and labels: what isn't needed isn't read."""


@dataclass(frozen=True)
class Event:
    """What a watch reports; a BOOKMARK says how far the watch is and nothing else."""

    type: str
    object: Object


class Cluster:
    """The API server, as one identity sees it."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._client = ApiClient(configuration)

    @classmethod
    @asynccontextmanager
    async def connect(cls) -> AsyncIterator[Self]:
        """As the pod's service account, or as the kubeconfig says (KUBECONFIG, else ~/.kube/config)."""
        configuration = Configuration()
        given = os.environ.get("KUBECONFIG")
        try:
            if not given and "KUBERNETES_SERVICE_HOST" in os.environ:
                load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            else:
                await load_kube_config(_kubeconfig(given), client_configuration=configuration)  # type: ignore[no-untyped-call]
        except ConfigException as error:
            raise NotConnected(f"the cluster's credentials can't be used: {error}") from None
        cluster = cls(configuration)
        try:
            yield cluster
        finally:
            await cluster._client.close()  # type: ignore[no-untyped-call]

    async def connection(self) -> Connection:
        """What another client needs; asked again, it holds the newest token."""
        configuration = self._configuration
        header = await configuration.get_api_key_with_prefix("BearerToken") or ""
        scheme, _, token = header.rpartition(" ")
        return Connection(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme=scheme.capitalize() or None,
            token=token.strip() or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster has the kind, and tells so to whoever asks what it has."""
        try:
            groups = await self._request("GET", "/apis")
            resources = await self._request("GET", f"/apis/{kind.api_version}")
        except NotFound:
            return False
        known = any(group["name"] == kind.group for group in groups["groups"])
        return known and any(resource["name"] == kind.plural for resource in resources["resources"])

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        try:
            found: Object = await self._request("GET", kind.path(namespace, name))
        except NotFound:
            return None
        return found

    async def list(self, selection: Selection) -> tuple[list[Object], str]:
        """The objects, and the version to watch them from. NotFound: the cluster has no such kind."""
        objects: list[Object] = []
        query = {"limit": str(_PAGE)} | _label_query(selection)
        while True:
            path = selection.kind.path(selection.namespace)
            page = await self._request("GET", path, query=query, accept=_accept(selection, "List"))
            objects += page["items"] or ()  # null where there is none
            if not page["metadata"].get("continue"):
                return objects, page["metadata"]["resourceVersion"]
            query["continue"] = page["metadata"]["continue"]

    async def watch(self, selection: Selection, version: str) -> AsyncIterator[Event]:
        """What happens to the objects after `version`, until the API server ends it, which it does every few minutes.

        Expired: list again.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            # Ends are spread, so that not all watches begin again at once.
            "timeoutSeconds": str(random.randint(240, 480)),  # noqa: S311  no secret
        } | _label_query(selection)
        # Bookmarks come about every minute: a stream that is silent for longer is dead.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
        path = selection.kind.path(selection.namespace)
        response = await self._send("GET", path, query=query, accept=_accept(selection), limits=timeout)
        try:
            await _require_success(response)
            buffer = b""
            async for chunk in response.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _error(event["object"].get("code", 0), event["object"].get("message", ""))
                    yield Event(event["type"], event["object"])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the watch of {selection.kind.plural} broke: {_said(error)}") from None
        finally:
            response.close()

    async def apply(self, desired: Object, *, status: bool = False) -> Object:
        """Makes the object's fields what they should be, and takes them from whoever set them otherwise."""
        kind, metadata = _kind(desired), desired["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], "status" if status else None)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        applied: Object = await self._request(
            "PATCH", path, query=query, body=desired, content_type="application/apply-patch+yaml"
        )
        metrics.WRITES.labels(kind.name, "patch").inc()
        return applied

    async def create(self, new: Object) -> Object:
        """Creates the object; Conflict where there is one of its name."""
        kind = _kind(new)
        created: Object = await self._request("POST", kind.path(new["metadata"].get("namespace")), body=new)
        metrics.WRITES.labels(kind.name, "create").inc()
        return created

    async def replace(self, changed: Object) -> Object:
        """Writes the object; Conflict where it changed since it was read."""
        kind, metadata = _kind(changed), changed["metadata"]
        written: Object = await self._request("PUT", kind.path(metadata["namespace"], metadata["name"]), body=changed)
        metrics.WRITES.labels(kind.name, "update").inc()
        return written

    async def delete(self, kind: Kind, live: Object) -> None:
        """Deletes this very object, not a later one of its name; one that is gone already is fine."""
        metadata = live["metadata"]
        options = {"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"}
        with suppress(NotFound, Conflict):
            await self._request("DELETE", kind.path(metadata["namespace"], metadata["name"]), body=options)
            metrics.WRITES.labels(kind.name, "delete").inc()

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        response = await self._send(
            method, path, query=query or {}, body=body, content_type=content_type, accept=accept
        )
        async with response:
            try:
                await _require_success(response)
                return await response.json()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable(f"no answer to {method} {path}: {_said(error)}") from None

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        limits: aiohttp.ClientTimeout = _REQUEST,
    ) -> aiohttp.ClientResponse:
        request = await self._client.param_serialize(
            method,
            f"{path}?{urlencode(query)}" if query else path,
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = await self._client.call_api(*request, _request_timeout=limits)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"no answer to {method} {path}: {_said(error)}") from None
        response: aiohttp.ClientResponse = answer.response
        return response


def _kubeconfig(given: str | None) -> str:
    """The kubeconfig, or several with colons between them, as kubectl has it."""
    files = given or str(Path.home() / ".kube" / "config")
    if not any(Path(file).expanduser().exists() for file in files.split(os.pathsep)):
        raise NotConnected(f"not in a cluster, and no kubeconfig {files}: set KUBECONFIG to the file that kubectl uses")
    return files


def _kind(an_object: Object) -> Kind:
    wanted = an_object["apiVersion"], an_object["kind"]
    every = (*kinds.WATCHED, kinds.SECRET, kinds.POLICY_SERVER, kinds.LEASE, kinds.ACCESS_REVIEW)
    return next(kind for kind in every if (kind.api_version, kind.name) == wanted)


def _label_query(selection: Selection) -> dict[str, str]:
    return {"labelSelector": selection.labels} if selection.labels else {}


def _accept(selection: Selection, suffix: str = "") -> str:
    return _METADATA_ONLY.format(suffix) if selection.metadata_only else "application/json"


async def _require_success(response: aiohttp.ClientResponse) -> None:
    if response.ok:
        return
    text = await response.text()
    try:
        message = json.loads(text).get("message") or text
    except (ValueError, AttributeError):
        message = text
    raise _error(response.status, " ".join(message.split())[:1024])


def _error(status: int, message: str) -> ClusterError:
    match status:
        case HTTPStatus.NOT_FOUND:
            return NotFound(message)
        case HTTPStatus.CONFLICT:
            return Conflict(message)
        case HTTPStatus.GONE:
            return Expired(message)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.TOO_MANY_REQUESTS:
            return Unavailable(message)
        case _ if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Refused(message)
    return Unavailable(message)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
