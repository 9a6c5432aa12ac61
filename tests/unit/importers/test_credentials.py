import base64
import json
from pathlib import Path

import pytest

from policy_server.errors import ImportFailed
from policy_server.importers.credentials import google_token, read, scrubbed, web_headers

BEARER = {"HTTP_ORIGIN": "https://models.example", "HTTP_BEARER_TOKEN": "s3cret"}


def secret(folder: Path, **values: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, value in values.items():
        (folder / name).write_bytes(value if isinstance(value, bytes) else value.encode())
    return folder


def test_known_keys_are_read_and_no_others(tmp_path: Path) -> None:
    folder = secret(tmp_path / "mouse", HF_TOKEN="s3cret\n", LD_PRELOAD="/evil.so", PYTHONPATH="/evil")
    assert read(folder) == {"HF_TOKEN": "s3cret"}


def test_a_missing_secret_is_named_with_the_keys_it_may_have(tmp_path: Path) -> None:
    for folder in (tmp_path / "mouse", secret(tmp_path / "mouse", OTHER="x")):
        with pytest.raises(ImportFailed, match=r"Secret mouse of spec\.modelCredentials.*AWS_ACCESS_KEY_ID"):
            read(folder)


@pytest.mark.parametrize("value", [b"", b" \n", b"s3cret\xff", b"s3cret\r\nHost: evil", b"s3cret" * 20_000])
def test_what_is_no_line_of_text_is_refused_and_not_shown(tmp_path: Path, value: bytes) -> None:
    with pytest.raises(ImportFailed, match="HF_TOKEN") as refused:
        read(secret(tmp_path / "mouse", HF_TOKEN=value))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "uri", ["https://models.example/a.zip", "https://MODELS.example:443/a.zip", "https://user@models.example/a"]
)
def test_a_token_is_for_its_origin(uri: str) -> None:
    assert web_headers(uri, BEARER) == {"Authorization": "Bearer s3cret"}


@pytest.mark.parametrize(
    "uri",
    [
        "http://models.example/a.zip",
        "https://models.example:8443/a.zip",
        "https://models.example.evil/a.zip",
        "https://models.example@evil/a.zip",
        "https://evil/https://models.example",
    ],
)
def test_a_token_is_for_nobody_else(uri: str) -> None:
    assert web_headers(uri, BEARER) == {}


def test_user_and_password_are_sent_as_http_has_it() -> None:
    given = {"HTTP_ORIGIN": "http://files:8000", "HTTP_USERNAME": "mouse", "HTTP_PASSWORD": "chéese"}
    header = web_headers("http://files:8000/a.zip", given)["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == "mouse:chéese"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"HTTP_BEARER_TOKEN": "s3cret"}, "HTTP_ORIGIN"),
        ({"HTTP_BEARER_TOKEN": "s3cret", "HTTP_ORIGIN": "models.example"}, "as https://models.example"),
        ({"HTTP_USERNAME": "mouse", "HTTP_ORIGIN": "https://models.example"}, "HTTP_PASSWORD"),
    ],
)
def test_half_of_a_credential_is_refused(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ImportFailed, match=missing) as refused:
        web_headers("https://models.example/a.zip", given)
    assert "s3cret" not in str(refused.value)


def test_a_google_key_is_that_of_a_service_account() -> None:
    key = {"type": "service_account", "client_email": "a@b"}
    assert google_token({"GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps(key)}) == key
    assert google_token({}) is None
    for other in ("no JSON", "[]", '{"type": "external_account", "credential_source": {"executable": {}}}'):
        with pytest.raises(ImportFailed, match="service account"):
            google_token({"GOOGLE_APPLICATION_CREDENTIALS_JSON": other})


def test_secrets_are_taken_out_of_messages_and_places_are_not() -> None:
    given = {"AWS_SECRET_ACCESS_KEY": "hush-hush", "AWS_ACCESS_KEY_ID": "hush", "AWS_REGION": "eu-central-1"}
    assert scrubbed("hush-hush of hush in eu-central-1", given) == "… of … in eu-central-1"
