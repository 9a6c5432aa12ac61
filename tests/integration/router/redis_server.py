"""A real Redis or Valkey, as a process that tests kill, stop and start again."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.serving import free_port, wait_for

PASSWORD = "cheese"
HOW = (
    "no Redis or Valkey here: `apt-get install redis-server` (or valkey-server), or name one with"
    " POLICYSERVER_REDIS_SERVER"
)


def program() -> str:
    """Returns the server's program, or skips the test, saying how to get it."""
    named = os.environ.get("POLICYSERVER_REDIS_SERVER")
    found = named or shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        pytest.skip(HOW)
    pytest.importorskip("redis", reason="the Python client is missing: `pip install redis`")
    return found


class RedisServer:
    """A server whose acknowledged writes are on the disk, as the one that the operator runs."""

    def __init__(self, folder: Path) -> None:
        self._program = program()
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; returns when it answers."""
        self._folder.mkdir(exist_ok=True)
        options = {
            "bind": "127.0.0.1",
            "port": self._port,
            "dir": self._folder,
            "requirepass": PASSWORD,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *words], stdout=log, stderr=log)
        wait_for(self._answers, f"the server, see {self._folder / 'log'}")

    def kill(self) -> None:
        """Ends it without a chance to write anything more."""
        assert self._process
        self._process.kill()
        self._process.wait(60)
        self._process = None

    def freeze(self) -> None:
        """Lets it keep its connections and answer nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._process is not None:
            self.kill()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                connection.sendall(f"AUTH {PASSWORD}\r\nPING\r\n".encode())
                answer = b""
                while b"PONG" not in answer and (more := connection.recv(100)):
                    answer += more
                return b"PONG" in answer
        except OSError:
            return False
