"""http: credentials and where they go, tries, and what a process in a cluster shows."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.integration.sources.conftest import MODEL, Fetcher
from tests.integration.sources.web import Asked, Said, WebServer

TOKEN = "cheese-is-in-the-third-box"
BEARER = f"Bearer {TOKEN}"


@pytest.fixture
def servers() -> Iterator[tuple[WebServer, WebServer]]:
    """One that wants a token and sends its guests on to another, which doesn't."""
    with ExitStack() as stack:
        other = stack.enter_context(WebServer(lambda _: Said(200, MODEL)))

        def answer(asked: Asked) -> Said:
            if asked.headers.get("authorization") != BEARER:
                return Said(401, b"who are you")
            if asked.path.startswith("/elsewhere"):
                return Said(302, b"", {"Location": f"{other.url}/model?signature=hush"})
            return Said(302, b"", {"Location": "/there"}) if asked.path == "/here" else Said(200, MODEL)

        yield stack.enter_context(WebServer(answer)), other


def test_a_token_goes_to_its_origin_and_follows_no_redirect_to_another(
    fetch: Fetcher, servers: tuple[WebServer, WebServer]
) -> None:
    first, other = servers
    secret = fetch.secret(HTTP_BEARER_TOKEN=TOKEN, HTTP_ORIGIN=first.url)
    assert fetch(f"{first.url}/here", "--credentials", secret).code == 0
    assert [one.headers["authorization"] for one in first.asked] == [BEARER, BEARER]
    assert fetch(f"{first.url}/elsewhere", "--credentials", secret).code == 0
    assert (fetch.output / "model").read_bytes() == MODEL
    assert [one.headers.get("authorization") for one in other.asked] == [None]


def test_a_token_does_not_go_where_a_uri_sends_it(fetch: Fetcher, servers: tuple[WebServer, WebServer]) -> None:
    first, other = servers
    secret = fetch.secret(HTTP_BEARER_TOKEN=TOKEN, HTTP_ORIGIN=first.url)
    assert fetch(f"{other.url}/model", "--credentials", secret).code == 0
    assert "authorization" not in other.asked[0].headers


def test_on_a_laptop_the_environment_has_the_token(fetch: Fetcher, servers: tuple[WebServer, WebServer]) -> None:
    first, _ = servers
    environment = {"HTTP_BEARER_TOKEN": TOKEN, "HTTP_ORIGIN": first.url}
    assert fetch(f"{first.url}/there", environment=environment).code == 0


def test_a_token_is_in_no_message(fetch: Fetcher) -> None:
    def echo(asked: Asked) -> Said:
        return Said(302, b"", {"Location": f"ftp://nowhere/{asked.headers['authorization']}"})

    with WebServer(echo) as web:
        secret = fetch.secret(HTTP_BEARER_TOKEN=TOKEN, HTTP_ORIGIN=web.url)
        done = fetch(f"{web.url}/model?key=hush", "--credentials", secret)
    assert f"{web.url}/model" in done.error
    assert TOKEN not in done.errors
    assert "hush" not in done.errors


def test_a_server_that_is_busy_is_asked_again(fetch: Fetcher) -> None:
    answers = iter([Said(503), Said(429), Said(200, MODEL)])
    with WebServer(lambda _: next(answers)) as web:
        done = fetch(f"{web.url}/model", f"--sha256={hashlib.sha256(MODEL).hexdigest()}")
        assert done.code == 0, done.errors
        assert len(web.asked) == 3


def test_a_missing_secret_is_told_by_its_name(fetch: Fetcher) -> None:
    error = fetch(
        "https://models.example/a.zip", "--credentials", fetch.secret("mouse-http"), "--addresses=public"
    ).error
    assert "the Secret mouse-http of spec.modelCredentials isn't there" in error
    assert "kubectl create secret generic mouse-http" in error


@pytest.mark.parametrize("uri", ["memory://a", "ftp://models.example/a", "local:///etc/passwd", "github://a:b@/c"])
def test_a_cluster_knows_few_schemes(fetch: Fetcher, uri: str) -> None:
    assert "models come from file, pvc, http, https, s3, gs and hf" in fetch(uri, "--addresses=public").error
