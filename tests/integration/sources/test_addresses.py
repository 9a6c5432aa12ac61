"""What may be connected to, in a network of the test's own in which every address is this machine's.

There, names are resolved by a file, servers listen on public, private and metadata addresses, and `fetch` really
connects. Nothing of it is simulated but the owners of the addresses.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PUBLIC, PRIVATE, METADATA = "93.184.215.14", "10.1.2.3", "169.254.169.254"
HOSTS = f"""
127.0.0.1 localhost
::1 localhost
{PUBLIC} models.example
{PRIVATE} inside.example
{METADATA} metadata.example
127.0.0.1 here.example
{PRIVATE} both.example
{PUBLIC} both.example
"""
_SET_UP = """
set -e
ip link set lo up
for address in "$@"; do ip address add "$address/32" dev lo; done
mount --bind "$HOSTS" /etc/hosts
exec "$PYTHON" -m tests.integration.sources.network "$URI" "$ADDRESSES" "$OUTPUT"
"""

Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def fetch_there(tmp_path: Path) -> Run:
    """Fetches a URI in that network; returns the exit code, the last line and the addresses that were reached."""
    for tool in ("unshare", "ip"):
        if shutil.which(tool) is None:
            _unavailable(f"there is no {tool}")
    if subprocess.run(["unshare", "-rnm", "true"], capture_output=True, check=False).returncode:
        _unavailable("this machine lets nobody make a network of his own (unshare -rnm)")
    (tmp_path / "hosts").write_text(HOSTS)

    def run(uri: str, addresses: str) -> tuple[int, str, list[str]]:
        told = {"HOSTS": str(tmp_path / "hosts"), "PYTHON": sys.executable, "OUTPUT": str(tmp_path / "fetched")}
        done = subprocess.run(
            ["unshare", "-rnm", "sh", "-c", _SET_UP, "sh", PUBLIC, PRIVATE, METADATA],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "URI": uri, "ADDRESSES": addresses, **told},
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return said["code"], said["last"], said["reached"]

    return run


def _unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def test_a_public_address_is_reached(fetch_there: Run) -> None:
    assert fetch_there("http://models.example:8000/model", "public") == (0, "", [PUBLIC])


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("http://inside.example:8000/model", "private"),
        ("http://metadata.example:8000/latest/meta-data", "metadata"),
        ("http://169.254.169.254:8000/", "metadata"),
        ("http://[::ffff:169.254.169.254]:8000/", "metadata"),
        ("http://here.example:8000/model", "loopback"),
        ("http://0x7f.1:8000/model", "loopback"),  # 127.0.0.1, as the C library takes it
        ("http://[::1]:8000/model", "loopback"),
        ("http://0.0.0.0:8000/model", "unspecified"),
    ],
)
def test_no_other_address_is_reached(fetch_there: Run, uri: str, kind: str) -> None:
    code, last, reached = fetch_there(uri, "public")
    assert (code, reached) == (2, [])
    assert f"a {kind} address" in last


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("http://inside.example:8000/model", "private"),
        ("http://169.254.169.254:8000/", "metadata"),
        ("//[::1]:8000/", "loopback"),
    ],
)
def test_no_other_address_is_reached_after_a_redirect(fetch_there: Run, target: str, kind: str) -> None:
    code, last, reached = fetch_there(f"http://models.example:8000/to?{target}", "public")
    assert (code, reached) == (2, [PUBLIC])
    assert "http://models.example:8000/to leads to" in last
    assert f"a {kind} address" in last


def test_private_addresses_are_reached_where_they_are_allowed_and_no_others(fetch_there: Run) -> None:
    assert fetch_there("http://models.example:8000/to?http://inside.example:8000/model", "private")[::2] == (
        0,
        [PUBLIC, PRIVATE],
    )
    code, last, reached = fetch_there("http://inside.example:8000/to?http://metadata.example:8000/", "private")
    assert (code, reached) == (2, [PRIVATE])
    assert "a metadata address: no model may come from there" in last


def test_of_a_hosts_addresses_only_the_public_one_is_reached(fetch_there: Run) -> None:
    assert fetch_there("http://both.example:8000/model", "public")[::2] == (0, [PUBLIC])


def test_whoever_may_change_it_is_told_how(fetch_there: Run) -> None:
    _, last, _ = fetch_there("http://inside.example:8000/model", "public")
    assert "--allow-private-model-addresses" in last
