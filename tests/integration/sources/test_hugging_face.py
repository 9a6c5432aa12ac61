"""The Hugging Face Hub, as a server of this test's own says it: `hf:` was never run against the real one."""

import hashlib
import json
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest

from tests.integration.sources.conftest import FOLDER, MODEL, Fetcher
from tests.integration.sources.web import Asked, Said, WebServer, part

TOKEN = "hf_cheese-in-the-third-box"
COMMIT = "c0ffee" * 6 + "c0ff"
FILES = {"mouse.zip": MODEL, **{f"saved/{name}": content for name, content in FOLDER.items()}}


class Hub:
    """The repository team/mouse; its large files lie on another host, as the Hub has it."""

    def __init__(self) -> None:
        self.storage = WebServer(lambda asked: part(MODEL, asked))
        self.web = WebServer(self._answer)
        self.failures = 0

    def _answer(self, asked: Asked) -> Said:
        path = unquote(urlsplit(asked.path).path)
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Said(401, b'{"error": "Invalid username or password."}')
        if path.startswith("/team/mouse/resolve/"):
            return self._file(asked, path.split("/", 5)[5])
        if not path.startswith("/api/models/team/mouse"):
            return Said(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        below = path.removeprefix("/api/models/team/mouse")
        if below.startswith("/tree/"):
            return self._tree("/".join(below.split("/")[3:]), recursive="recursive=true" in asked.path.lower())
        info = {"_id": "1", "id": "team/mouse", "modelId": "team/mouse", "sha": COMMIT, "private": True, "siblings": []}
        return Said(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _tree(self, folder: str, recursive: bool) -> Said:
        prefix = f"{folder}/" if folder else ""
        found: dict[str, dict[str, object]] = {}
        for name, content in FILES.items():
            if name.startswith(prefix):
                first, slash, rest = name.removeprefix(prefix).partition("/")
                if recursive and slash:
                    first, slash = f"{first}/{rest}", ""
                kind = {"type": "directory", "size": 0} if slash else {"type": "file", "size": len(content)}
                oid = hashlib.sha1(content, usedforsecurity=False).hexdigest()
                found[first] = kind | {"path": prefix + first, "oid": oid}
        if not found:
            return Said(404, b'{"error": "not found"}', {"X-Error-Code": "EntryNotFound"})
        return Said(200, json.dumps(list(found.values())).encode(), {"Content-Type": "application/json"})

    def _file(self, asked: Asked, name: str) -> Said:
        if self.failures:
            self.failures -= 1
            return Said(503, b"later")
        if name not in FILES:
            return Said(404, b"", {"X-Error-Code": "EntryNotFound"})
        if name == "mouse.zip":
            return Said(302, b"", {"Location": f"{self.storage.url}/blob", "X-Repo-Commit": COMMIT})
        return part(FILES[name], asked)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub, and its storage."""
    hub = Hub()
    with hub.web, hub.storage:
        yield hub


def test_a_file_is_fetched_and_the_token_stays_with_the_hub(fetch: Fetcher, hub: Hub) -> None:
    secret = fetch.secret(HF_TOKEN=TOKEN, HF_ENDPOINT=hub.web.url)
    done = fetch("hf://team/mouse/mouse.zip", "--credentials", secret)
    assert done.code == 0, done.errors
    assert (fetch.output / "model").read_bytes() == MODEL
    assert hub.storage.asked
    assert not [one for one in hub.storage.asked if "authorization" in one.headers]


def test_a_folder_is_fetched(fetch: Fetcher, hub: Hub) -> None:
    secret = fetch.secret(HF_TOKEN=TOKEN, HF_ENDPOINT=hub.web.url)
    done = fetch("hf://team/mouse/saved", "--credentials", secret)
    assert done.code == 0, done.errors
    assert fetch.files() == FOLDER


def test_a_hub_that_is_out_of_breath_is_asked_again(fetch: Fetcher, hub: Hub) -> None:
    hub.failures = 2
    secret = fetch.secret(HF_TOKEN=TOKEN, HF_ENDPOINT=hub.web.url)
    assert fetch("hf://team/mouse/mouse.zip", "--credentials", secret).code == 0


def test_a_wrong_token_is_told_and_not_shown(fetch: Fetcher, hub: Hub) -> None:
    secret = fetch.secret(HF_TOKEN="hf_mistaken-cheese", HF_ENDPOINT=hub.web.url)
    error = fetch("hf://team/mouse/mouse.zip", "--credentials", secret).error
    assert "HTTP 401" in error
    assert "mistaken" not in error


def test_what_is_not_there_is_named(fetch: Fetcher, hub: Hub) -> None:
    secret = fetch.secret(HF_TOKEN=TOKEN, HF_ENDPOINT=hub.web.url)
    for uri in ("hf://team/mouse/nothing.zip", "hf://team/cat/mouse.zip"):
        error = fetch(uri, "--credentials", secret).error
        assert uri in error


def test_an_endpoint_on_the_loopback_is_refused_in_a_cluster(fetch: Fetcher, hub: Hub) -> None:
    secret = fetch.secret(HF_TOKEN=TOKEN, HF_ENDPOINT=hub.web.url)
    done = fetch("hf://team/mouse/mouse.zip", "--credentials", secret, "--addresses=public")
    assert "leads to 127.0.0.1, a loopback address" in done.error
    assert hub.web.asked == []
