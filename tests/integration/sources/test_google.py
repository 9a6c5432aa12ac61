"""Google's storage, from fake-gcs-server, a server process that speaks its protocol but checks no token."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.sources.conftest import FOLDER, MODEL, Fetcher, program, running
from tests.integration.sources.web import Said, WebServer
from tests.ports import free_port

ACCESS_TOKEN = {"access_token": "ya29.cheese", "expires_in": 3600, "token_type": "Bearer"}


@pytest.fixture(scope="module")
def storage(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that names the server, as Google's own libraries have it."""
    port = free_port()
    command = [str(program("fake-gcs-server")), "-scheme=http", "-host=127.0.0.1", f"-port={port}"]
    command += [f"-data={stored}", "-backend=memory"]
    with running(command, port, tmp_path_factory.mktemp("google") / "log"):
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}


@pytest.fixture(scope="module")
def tokens() -> Iterator[WebServer]:
    """What gives an access token for a signed assertion (RFC 7523)."""
    with WebServer(lambda _: Said(200, json.dumps(ACCESS_TOKEN).encode(), {"Content-Type": "application/json"})) as web:
        yield web


@pytest.fixture(scope="module")
def service_account(tokens: WebServer) -> str:
    """The key of a service account."""
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"client_email": "mouse@maze", "private_key_id": "1", "token_uri": f"{tokens.url}/token"}
    return json.dumps({"type": "service_account", "private_key": private.decode()} | account)


def test_an_object_is_fetched_by_a_service_account(
    fetch: Fetcher, storage: dict[str, str], tokens: WebServer, service_account: str
) -> None:
    secret = fetch.secret(GOOGLE_APPLICATION_CREDENTIALS_JSON=service_account)
    done = fetch("gs://models/mouse.zip", "--credentials", secret, environment=storage)
    assert done.code == 0, done.errors
    assert (fetch.output / "model").read_bytes() == MODEL
    assert b"assertion=" in tokens.asked[-1].body


def test_a_prefix_is_fetched_as_a_folder(fetch: Fetcher, storage: dict[str, str]) -> None:
    done = fetch("gs://models/saved", "--credentials", fetch.secret(HF_TOKEN="other"), environment=storage)
    assert done.code == 0, done.errors
    assert fetch.files() == FOLDER


def test_what_is_not_there_is_named(fetch: Fetcher, storage: dict[str, str]) -> None:
    done = fetch("gs://models/nothing", "--credentials", fetch.secret(HF_TOKEN="other"), environment=storage)
    assert "gs://models/nothing: not found" in done.error


def test_asking_for_a_token_goes_where_connections_are_checked(
    fetch: Fetcher, storage: dict[str, str], service_account: str
) -> None:
    """Google's library asks with another HTTP client than the storage's."""
    secret = fetch.secret(GOOGLE_APPLICATION_CREDENTIALS_JSON=service_account)
    done = fetch("gs://models/mouse.zip", "--credentials", secret, "--addresses=private", environment=storage)
    assert "leads to 127.0.0.1, a loopback address" in done.error
    assert "PRIVATE KEY" not in done.errors
