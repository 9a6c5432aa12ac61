"""A real Redis or Valkey, as a process that tests kill, stop and start again.

`python -m tests.integration.router.redis_server` installs one where none is, and prints its program.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import deps
from tests.cluster.errors import ClusterError
from tests.cluster.versions import FOR_STORE
from tests.ports import free_port
from tests.serving import wait_for

PASSWORD = "cheese"
INSTEAD = "or name a redis-server or valkey-server of yours with POLICYSERVER_REDIS_SERVER"
# The last is the server as well, under another name.
_NAMES = ("valkey-server", "redis-server", "redis-check-rdb")


def program() -> str:
    """Returns the server's program; without one the test is skipped, and fails where CI is true."""
    found = _found()
    if found is None:
        reason = f"no Redis or Valkey here: apt-get install {' '.join(FOR_STORE)}, {INSTEAD}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _found() -> str | None:
    named = os.environ.get("POLICYSERVER_REDIS_SERVER")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


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
            # Called by this name, the program is the server.
            command = ["redis-server", *words]
            self._process = subprocess.Popen(command, executable=self._program, stdout=log, stderr=log)
        wait_for(self._answers, f"the server, see {self._folder / 'log'}")

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process
        return self._process.pid

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
                # One line for each command; while it reads its file, the second says so.
                while answer.count(b"\n") < 2 and (more := connection.recv(100)):
                    answer += more
                return b"PONG" in answer
        except OSError:
            return False


def main() -> None:
    """Installs what is missing, as far as this machine lets us."""
    if _found() is None:
        deps.ensure(FOR_STORE, instead=INSTEAD)
    print(_found())


if __name__ == "__main__":
    try:
        main()
    except ClusterError as error:
        sys.exit(f"error: {error}")
