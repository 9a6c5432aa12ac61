import base64
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from policy_server.errors import ImportFailed
from policy_server.importers.digest import sha256_of
from policy_server.importers.fetch import fetch
from policy_server.importers.file_systems import Access
from policy_server.importers.limits import Budget
from policy_server.importers.progress import Lines

CONTENT = b"a model, more or less " * 1000


class ModelServer(BaseHTTPRequestHandler):
    """Answers by path; `asked` holds the path of each request."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        ModelServer.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path == "/model.zip" or (path == "/flaky.zip" and len(ModelServer.asked) > 1):
            self._answer(200, CONTENT)
        elif path == "/moved.zip":
            self.send_response(302)
            self.send_header("Location", "/model.zip")
            self.end_headers()
        elif path == "/endless.zip":
            self.send_response(200)  # no Content-Length: only counting helps
            self.end_headers()
            while True:
                try:
                    self.wfile.write(bytes(65536))
                except OSError:
                    return
        elif path == "/cut.zip":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"not all")
        elif path in {"/broken.zip", "/flaky.zip"}:
            self._answer(503, b"later")
        elif path == "/secret.zip":
            self._answer(403, b"no")
        elif path == "/silent.zip":
            stop.wait(30)
        else:
            self._answer(404, b"no")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        pass


stop = threading.Event()


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    ModelServer.asked.clear()
    stop.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), ModelServer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Fetches, expects the refusal, and that it leaves nothing behind; returns the message."""

    def run(uri: str, **options: Any) -> str:
        with pytest.raises(ImportFailed) as caught:
            fetch(uri, tmp_path / "out", pause=lambda seconds: None, **options)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    return run


def test_a_url_is_fetched_with_its_digest(url: str, tmp_path: Path) -> None:
    pieces: list[int] = []
    fetched = fetch(f"{url}/model.zip?token=secret", tmp_path / "out", progress=pieces.append)
    assert fetched.uri == f"{url}/model.zip"
    assert fetched.path == tmp_path / "out" / "model"
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert fetched.bytes == sum(pieces) == len(CONTENT)
    assert os.listdir(tmp_path / "out") == ["model"]  # noqa: PTH208  # hidden files too


def test_a_redirect_is_followed(url: str, tmp_path: Path) -> None:
    assert fetch(f"{url}/moved.zip", tmp_path / "out").path.read_bytes() == CONTENT


def test_a_missing_url_is_asked_for_once_and_named_without_credentials(url: str, refused: Callable[..., str]) -> None:
    message = refused(url.replace("//", "//user:secret@") + "/nothing.zip?token=secret")
    assert f"{url}/nothing.zip" in message
    assert "404" in message
    assert "secret" not in message
    assert len(ModelServer.asked) == 1


def test_a_forbidden_url_is_asked_for_once(url: str, refused: Callable[..., str]) -> None:
    assert "HTTP 403" in refused(f"{url}/secret.zip?signature=hidden")
    assert len(ModelServer.asked) == 1


def test_a_server_error_is_tried_again(url: str, tmp_path: Path) -> None:
    pauses: list[float] = []
    fetched = fetch(f"{url}/flaky.zip", tmp_path / "out", pause=pauses.append)
    assert fetched.path.read_bytes() == CONTENT
    assert len(pauses) == 1


def test_a_server_that_stays_broken_is_tried_three_times(url: str, refused: Callable[..., str]) -> None:
    message = refused(f"{url}/broken.zip")
    assert "HTTP 503" in message
    assert "3 times" in message
    assert len(ModelServer.asked) == 3


def test_a_body_that_ends_early_is_no_model(url: str, refused: Callable[..., str]) -> None:
    assert "3 times" in refused(f"{url}/cut.zip")


def test_nobody_listening_is_said_after_three_tries(url: str, refused: Callable[..., str]) -> None:
    assert "(tried 3 times)" in refused("http://127.0.0.1:1/model.zip")


def test_bytes_are_counted_and_not_believed(url: str, refused: Callable[..., str]) -> None:
    assert "larger than 1,000,000 bytes" in refused(f"{url}/endless.zip", max_bytes=1_000_000)


def test_a_server_that_says_nothing_is_left_after_the_timeout(url: str, refused: Callable[..., str]) -> None:
    assert "--timeout" in refused(f"{url}/silent.zip", timeout=0.2)


@pytest.mark.parametrize("uri", ["{folder}/a.bin", "file:{folder}/a.bin", "file://{folder}/a.bin"])
def test_a_local_file_is_copied(tmp_path: Path, uri: str) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    fetched = fetch(uri.format(folder=tmp_path), tmp_path / "out")
    assert fetched.path.read_bytes() == CONTENT


def test_a_relative_file_uri_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    assert fetch("file:a.bin", tmp_path / "out").bytes == len(CONTENT)


def test_a_folder_is_copied_with_a_digest_of_names_and_contents(tmp_path: Path) -> None:
    source = tmp_path / "saved"
    (source / "variables").mkdir(parents=True)
    (source / "saved_model.pb").write_bytes(b"graph")
    (source / "variables" / "data").write_bytes(b"numbers")
    fetched = fetch(str(source), tmp_path / "out")
    assert (fetched.path / "variables" / "data").read_bytes() == b"numbers"
    assert fetched.sha256 == sha256_of(source)
    assert fetched.bytes == 12
    (source / "variables" / "data").rename(source / "variables" / "date")
    assert sha256_of(source) != fetched.sha256


def test_a_folder_of_another_file_system_is_copied(tmp_path: Path) -> None:
    import fsspec  # noqa: PLC0415

    memory = fsspec.filesystem("memory")
    memory.pipe({"/saved/saved_model.pb": b"graph", "/saved/variables/data": b"numbers"})
    fetched = fetch("memory://saved", tmp_path / "out")
    assert (fetched.path / "variables" / "data").read_bytes() == b"numbers"
    memory.rm("/saved", recursive=True)


def test_a_link_inside_a_folder_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    source = tmp_path / "saved"
    source.mkdir()
    (source / "passwords").symlink_to("/etc/passwd")
    assert "is a link" in refused(str(source))


def test_a_data_uri_is_decoded(tmp_path: Path) -> None:
    uri = "data:application/zip;base64," + base64.b64encode(CONTENT).decode()
    fetched = fetch(uri, tmp_path / "out")
    assert fetched.path.read_bytes() == CONTENT
    assert len(fetched.uri) == 41


def test_a_data_uri_without_base64_is_decoded(tmp_path: Path) -> None:
    assert fetch("data:,a%ffb", tmp_path / "out").path.read_bytes() == b"a\xffb"


@pytest.mark.parametrize("uri", ["data:;base64,???", "data:nocomma"])
def test_a_wrong_data_uri_is_refused(uri: str, refused: Callable[..., str]) -> None:
    assert uri in refused(uri)


def test_local_bytes_are_bounded_too(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert "larger than 10 bytes" in refused(str(tmp_path / "a.bin"), max_bytes=10)
    assert "larger than 10 bytes" in refused("data:,12345678901", max_bytes=10)


@pytest.mark.parametrize("uri", ["nothing.zip", "file:nothing.zip", "nosuch://a/b", "zip://a::http://b/c.zip"])
def test_what_cannot_be_fetched_is_named(uri: str, refused: Callable[..., str]) -> None:
    assert uri.partition("://")[0] in refused(uri)


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path: Path, refused: Callable[..., str]) -> None:
    source = tmp_path / "saved"
    (source / "variables").mkdir(parents=True)
    (source / "saved_model.pb").write_bytes(b"graph")
    (source / "variables").chmod(0)
    if os.access(source / "variables", os.R_OK):
        pytest.skip("this user may read everything")
    assert f"user {os.getuid()} may not read {source / 'variables'}" in refused(str(source))


def test_the_digest_that_is_asked_for_stands_above_the_one_that_was_first_served(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"second").hexdigest()
    fetched = fetch("data:,second", tmp_path / "out", sha256=digest, pinned="f" * 64)
    assert fetched.sha256 == digest


def test_another_digest_than_the_one_that_is_asked_for_is_refused(refused: Callable[..., str]) -> None:
    message = refused("data:,second", sha256="f" * 64)
    assert hashlib.sha256(b"second").hexdigest() in message
    assert "f" * 64 in message


def test_a_volume_is_read_where_it_is_mounted(tmp_path: Path) -> None:
    volume = tmp_path / "volumes" / "trained"
    (volume / "mouse and cheese").mkdir(parents=True)
    (volume / "mouse and cheese" / "model.zip").write_bytes(CONTENT)
    access = Access(volumes=volume.parent)
    for uri in ("pvc://trained/mouse%20and%20cheese/model.zip", "pvc://trained//mouse and cheese/model.zip"):
        assert fetch(uri, tmp_path / "out", access=access).path.read_bytes() == CONTENT
    assert fetch("pvc://trained", tmp_path / "out", access=access).path.is_dir()


@pytest.mark.parametrize("path", ["link", "folder/link", "../secret", "%2e%2e/secret", "folder/../../secret"])
def test_nothing_outside_of_a_volume_is_read(tmp_path: Path, refused: Callable[..., str], path: str) -> None:
    volume = tmp_path / "volumes" / "trained"
    (volume / "folder").mkdir(parents=True)
    (tmp_path / "volumes" / "secret").write_text("s3cret")
    (volume / "link").symlink_to("../secret")
    (volume / "folder" / "link").symlink_to("/etc/passwd")
    assert "leads out of its volume" in refused(f"pvc://trained/{path}", access=Access(volumes=volume.parent))


def test_a_volume_needs_a_cluster(refused: Callable[..., str]) -> None:
    assert "on a volume of a Kubernetes cluster" in refused("pvc://trained/model.zip")


def test_a_server_is_asked_no_longer_than_there_is_time(tmp_path: Path) -> None:
    """Also where a library would wait for ever: it goes on in a thread that nobody waits for."""
    go_on = threading.Event()
    budget = Budget("s3://models/mouse.zip", 1, 0.2)
    with pytest.raises(ImportFailed, match=r"took more than 0\.2 s"):
        budget.bounded(go_on.wait)
    go_on.set()


def test_a_log_gets_a_line_now_and_then() -> None:
    said: list[str] = []
    time = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    lines = Lines(said.append, lambda: next(time))
    for count in (1000, 500, -500):
        lines.add(count)
    assert said == ["fetching: 1,500 bytes so far"]


def test_a_failed_fetch_keeps_what_was_fetched_before(tmp_path: Path) -> None:
    fetch("data:,first", tmp_path / "out")
    with pytest.raises(ImportFailed):
        fetch("data:;base64,???", tmp_path / "out")
    assert (tmp_path / "out" / "model").read_bytes() == b"first"
    fetch("data:,second", tmp_path / "out")
    assert (tmp_path / "out" / "model").read_bytes() == b"second"
