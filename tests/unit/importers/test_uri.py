from pathlib import Path

import pytest

from policy_server.errors import ImportFailed
from policy_server.importers.uri import local_path, redacted, redacted_text


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:secret@models.example:8443/a.zip?token=secret#secret", "https://models.example:8443/a.zip"),
        ("s3://key:secret@bucket/a/b.zip", "s3://bucket/a/b.zip"),
        ("https://models.example/team@site/a.zip", "https://models.example/team@site/a.zip"),
        ("https://user:sec/ret@models.example/a.zip", "https://…"),
        ("https://user:sec?ret@models.example/a.zip", "https://…"),
        ("https://[::1]:8000/a.zip", "https://[::1]:8000/a.zip"),
        ("file:models/a.zip", "file:models/a.zip"),
        ("models/a?b.zip", "models/a?b.zip"),
        ("data:;base64," + "A" * 60, "data:;base64," + "A" * 27 + "…"),
    ],
)
def test_a_uri_is_shown_without_credentials(uri: str, shown: str) -> None:
    assert redacted(uri) == shown


def test_uris_inside_a_librarys_message_are_shown_without_credentials() -> None:
    text = "no route to https://user:secret@host/a?token=secret, url='http://host/b?key=secret'"
    assert "secret" not in redacted_text(text)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("a/b.zip", "a/b.zip"),
        ("/a/b.zip", "/a/b.zip"),
        ("file:a/b.zip", "a/b.zip"),
        ("file:/a/b.zip", "/a/b.zip"),
        ("file:///a/b%20c.zip", "/a/b c.zip"),
        ("file://localhost/a.zip", "/a.zip"),
    ],
)
def test_local_uris_name_paths(uri: str, path: str) -> None:
    assert local_path(uri) == Path(path)


def test_other_schemes_name_no_path() -> None:
    assert local_path("https://models.example/a.zip") is None


def test_a_file_uri_with_a_host_is_refused() -> None:
    with pytest.raises(ImportFailed, match="'models'"):
        local_path("file://models/a.zip")
