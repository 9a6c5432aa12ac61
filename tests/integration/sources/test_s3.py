"""S3, from a server process that checks signatures."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.integration.sources.conftest import ACCESS_KEY, FOLDER, MODEL, SECRET_KEY, Fetcher, s3_of


def test_an_object_is_fetched_with_its_digest(fetch: Fetcher, s3: dict[str, str]) -> None:
    done = fetch("s3://models/mouse.zip", "--credentials", fetch.secret(**s3))
    assert done.code == 0, done.errors
    assert (fetch.output / "model").read_bytes() == MODEL
    assert done.result["sha256"] == hashlib.sha256(MODEL).hexdigest()
    assert done.result["bytes"] == len(MODEL)
    assert done.result["uri"] == "s3://models/mouse.zip"


def test_a_prefix_is_fetched_as_a_folder(fetch: Fetcher, s3: dict[str, str]) -> None:
    done = fetch("s3://models/saved", "--credentials", fetch.secret(**s3))
    assert done.code == 0, done.errors
    assert fetch.files() == FOLDER


def test_the_empty_objects_that_consoles_make_for_folders_are_no_files(fetch: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "buckets" / "models").mkdir(parents=True)
    with s3_of(tmp_path / "buckets", tmp_path / "log") as secret:  # with attributes, so that it tells them apart
        subprocess.run([sys.executable, "-c", _MAKE_FOLDERS], env=os.environ | secret, check=True, timeout=60)
        done = fetch("s3://models/m", "--credentials", fetch.secret(**secret))
    assert done.code == 0, done.errors
    assert fetch.files() == {"variables/x": b"abc"}


_MAKE_FOLDERS = """
import os, s3fs
files = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], client_kwargs={"region_name": "us-east-1"})
for key, body in (("m/", b""), ("m/variables/", b""), ("m/variables/x", b"abc")):
    files.call_s3("put_object", Bucket="models", Key=key, Body=body)
assert "models/m/variables/" in files.find("models/m")
"""


def test_on_a_laptop_the_environment_has_the_credentials(fetch: Fetcher, s3: dict[str, str]) -> None:
    assert fetch("s3://models/mouse.zip", environment=s3).code == 0
    without = {name: value for name, value in s3.items() if name == "AWS_ENDPOINT_URL"}
    assert "AWS_ACCESS_KEY_ID" in fetch("s3://models/mouse.zip", environment=without).error


def test_what_the_environment_has_is_not_mixed_with_a_secret(fetch: Fetcher, s3: dict[str, str]) -> None:
    endpoint = fetch.secret(AWS_ENDPOINT_URL=s3["AWS_ENDPOINT_URL"])
    assert "HTTP 403" in fetch("s3://models/mouse.zip", "--credentials", endpoint, environment=s3).error


def test_a_wrong_signature_is_refused_and_no_key_is_shown(fetch: Fetcher, s3: dict[str, str]) -> None:
    secret = fetch.secret(**s3 | {"AWS_SECRET_ACCESS_KEY": SECRET_KEY + "-not"})
    done = fetch("s3://models/mouse.zip", "--credentials", secret, "--verbose")
    assert "HTTP 403" in done.errors.splitlines()[-1]
    assert SECRET_KEY not in done.errors.splitlines()[-1]
    assert ACCESS_KEY not in done.errors.splitlines()[-1]
    assert not fetch.output.exists()


def test_what_is_not_there_is_named(fetch: Fetcher, s3: dict[str, str]) -> None:
    for uri in ("s3://models/nothing", "s3://nobodys/mouse.zip"):
        error = fetch(uri, "--credentials", fetch.secret(**s3)).error
        assert uri in error
        assert "not found" in error


def test_an_object_that_is_too_large_is_refused_before_it_is_fetched(fetch: Fetcher, s3: dict[str, str]) -> None:
    done = fetch("s3://models/mouse.zip", "--credentials", fetch.secret(**s3), f"--max-bytes={len(MODEL) - 1}")
    assert "larger than 2,097,151 bytes" in done.error


def test_no_other_content_than_that_of_the_digest_is_taken(fetch: Fetcher, s3: dict[str, str]) -> None:
    arguments = ("s3://models/mouse.zip", "--credentials", fetch.secret(**s3))
    assert fetch(*arguments, f"--sha256={hashlib.sha256(MODEL).hexdigest()}").code == 0
    assert "a" * 64 in fetch(*arguments, f"--sha256={'a' * 64}").error


def test_nobody_listening_is_said_after_some_tries(fetch: Fetcher, s3: dict[str, str]) -> None:
    secret = fetch.secret(**s3 | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert "(tried 3 times)" in fetch("s3://models/mouse.zip", "--credentials", secret).error


def test_a_server_that_says_nothing_is_left_after_the_timeout(fetch: Fetcher) -> None:
    """Its library would wait for a minute, several times."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        secret = fetch.secret(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_ENDPOINT_URL=endpoint)
        done = fetch("s3://models/mouse.zip", "--credentials", secret, "--timeout=5")
    assert "took more than 5 s" in done.error


def test_an_endpoint_on_the_loopback_is_refused_in_a_cluster(fetch: Fetcher, s3: dict[str, str]) -> None:
    for addresses in ("public", "private"):
        done = fetch("s3://models/mouse.zip", "--credentials", fetch.secret(**s3), f"--addresses={addresses}")
        assert "s3://models/mouse.zip leads to 127.0.0.1, a loopback address" in done.error
