"""What the operator has its Valkey's containers run: here by the shell and the server of this machine."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from policy_operator.desired.store import ANSWERS, PORT, SERVE
from tests.integration.operator_core.api_client import wait_for
from tests.integration.router.redis_server import program
from tests.ports import free_port

PASSWORD = "cheese_-42"


class Container:
    """The folders and the programs of the store's container, and its two commands."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.password = folder / "password"
        for name in ("bin", "data"):
            (folder / name).mkdir()
        (folder / "bin" / "redis-server").symlink_to(program())
        self.environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        self.client = redis.Redis(port=self.port, password=PASSWORD)

    def run(self, command: str) -> subprocess.Popen[str]:
        """Starts a command of the container."""
        there = {"/etc/policyserver/store/password": self.password, "/data": self.folder / "data", str(PORT): self.port}
        for in_container, here in there.items():
            assert in_container in command or in_container == "/data"
            command = command.replace(in_container, str(here))
        return subprocess.Popen(
            ["sh", "-c", command], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def answers(self) -> bool:
        """What the probes find."""
        with self.run(ANSWERS) as probe:
            return probe.wait(30) == 0

    def serve(self) -> subprocess.Popen[str]:
        """The server's process, once it answers."""
        server = self.run(SERVE)
        wait_for(lambda: self.answers() or server.poll() is not None, "the store to answer")
        assert server.poll() is None, server.communicate()[0]
        return server


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    container = Container(tmp_path)
    container.password.write_text(PASSWORD)
    yield container
    container.client.close()


def test_what_was_acknowledged_outlives_the_servers_sudden_end(container: Container) -> None:
    with container.serve() as server:
        container.client.set("learned", "much")
        server.kill()
    with container.serve() as server:
        assert container.client.get("learned") == b"much"
        wanted = {"appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
        assert {name: container.client.config_get(name)[name] for name in wanted} == wanted
        began = time.monotonic()
        server.terminate()  # it has the shell's place, so it hears the signal
        assert server.wait(30) == 0
        print(f"ended after {time.monotonic() - began:.2f} s")


def test_the_password_is_asked_for_and_seen_by_nobody(container: Container) -> None:
    with container.serve() as server:
        process = Path(f"/proc/{server.pid}")
        assert "redis-server" in (process / "cmdline").read_text()
        assert PASSWORD.encode() not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        with redis.Redis(port=container.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        # A Secret that was made anew under a server that still has the former password.
        container.password.write_text("another")
        assert not container.answers()
        server.kill()
    assert not container.answers()  # as long as nothing runs


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_without_a_password_nothing_is_served(container: Container, there: bool) -> None:
    container.password.write_text("")
    if not there:
        container.password.unlink()
    with container.run(SERVE) as server:
        said = server.communicate(timeout=30)[0]
    assert (server.returncode, said) == (2, "error: the Secret of the store holds no password\n")
