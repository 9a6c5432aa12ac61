"""`GET /clients`: gives away what it finds, and nothing else."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.bundles import floats
from tests.unit.server.conftest import Serve

LANGUAGES = ["java", "python"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two SDKs."""
    folder = tmp_path / "clients"
    folder.mkdir()
    for language in LANGUAGES:
        (folder / f"{language}.zip").write_text(f"zip of {language}")
    (folder / ".r.zip").write_text("half")  # it is being written
    return folder


@pytest.fixture
def client(serve: Serve, categorical: Path, folder: Path, tmp_path: Path) -> TestClient:
    """A client without a key of a server that has them, and needs keys."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "only").write_text("the-key")
    keyed = {"auth": "apiKey", "apiKeysDirectory": str(tmp_path / "keys")}
    return serve(categorical, floats("a", "b", "c"), clientsDirectory=str(folder), **keyed)


@pytest.mark.parametrize("prefix", ["", "/default/test"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_sdks_are_listed_where_they_are_found(client: TestClient, prefix: str, slash: str) -> None:
    listed = client.get(f"{prefix}/clients{slash}").json()["clients"]
    assert [each["language"] for each in listed] == LANGUAGES
    assert [client.get(each["url"]).text for each in listed] == [f"zip of {language}" for language in LANGUAGES]


def test_an_sdk_is_a_zip_that_browsers_save_under_the_servers_name(client: TestClient) -> None:
    answer = client.get("/clients", params={"language": "python"})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="test-python.zip"'


@pytest.mark.parametrize("language", ["cobol", "", "r", ".r", "../clients/python"])
def test_another_language_is_refused_with_those_that_there_are(client: TestClient, language: str) -> None:
    answer = client.get("/clients", params={"language": language})
    assert answer.status_code == 404
    assert "there are java, python" in answer.json()["detail"]


def test_sdks_that_are_written_later_are_found(client: TestClient, folder: Path) -> None:
    (folder / "r.zip").write_text("zip of r")
    assert client.get("/clients", params={"language": "r"}).text == "zip of r"


@pytest.mark.parametrize("named", [False, True])
def test_without_sdks_the_answer_says_how_to_have_them(
    serve: Serve, categorical: Path, tmp_path: Path, named: bool
) -> None:
    changes = {"clientsDirectory": str(tmp_path / "none")} if named else {}
    answer = serve(categorical, floats("a", "b", "c"), **changes).get("/clients")
    assert answer.status_code == 404
    assert "policyserver up --clients" in answer.json()["detail"]
