"""Several processes on one port, as in a pod that is given several cores."""

import http.client
import os
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.server_process import Server, ask
from tests.serving import Up, wait_for

EXAMPLE = Path(__file__).parents[2] / "manifests" / "examples" / "cartpole.yaml"
COUNT = ("policyserver_http_requests_total", "200", "test", "/predict/")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "--processes=2", "--drain-seconds=1") as server:
        wait_for(lambda: len(workers(server)) == 2, "two processes that listen")
        yield server
        # Whatever the test did: none of them outlives the one that watches over them.
        left = workers(server) if server.process.poll() is None else []
        server.process.kill()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), "all to end")


def workers(server: Server) -> list[int]:
    """The processes that listen on the server's port."""
    listening = {
        fields[9]
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if fields[1].endswith(f":{server.port:04X}") and fields[3] == "0A"
    }
    return [pid for pid in children(server.process.pid) if listening & _sockets(pid)]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _sockets(pid: int) -> set[str]:
    inodes: set[str] = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            inodes.add(str(file.readlink()).removeprefix("socket:[").removesuffix("]"))
    return inodes


def predict(server: Server, times: int) -> int:
    """Asks on a new connection each time, which the kernel gives to either process; returns how many were answered."""
    answered = 0
    for _ in range(times):
        with closing(server.connect()) as connection, suppress(OSError, http.client.HTTPException):
            answered += ask(connection)[0] == 200
    return answered


def test_prometheus_reads_the_sum_of_all_processes(server: Server) -> None:
    before = server.metrics()[COUNT]
    assert predict(server, 100) == 100
    assert server.metrics()[COUNT] == before + 100


def test_a_process_that_is_killed_is_replaced_and_what_it_counted_stays(server: Server) -> None:
    assert predict(server, 50) == 50
    before = server.metrics()[COUNT]
    victim = workers(server)[0]
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(workers(server)) == 2 and victim not in workers(server), "another process")
    assert predict(server, 50) == 50
    assert server.metrics()[COUNT] == before + 50
    assert "one of 2, ended with exit code -9: starting another" in server.output


def test_sigterm_ends_all_of_them_in_order(server: Server) -> None:
    pids = workers(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_what_keeps_one_process_from_beginning_is_said_and_ends_all(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    server = Server(tmp_path, "--processes=2", f"--config={tmp_path / 'nothing'}")
    try:
        assert server.process.wait(60) == 2
        assert "error: no configuration in" in server.output
    finally:
        server.__exit__()


def test_nothing_is_left_of_a_killed_policyserver_up(tmp_path: Path) -> None:
    with Up(EXAMPLE, options=("--processes=2",), cache=tmp_path) as up:
        (server,) = children(up.process.pid)
        processes = [server, *wait_for(lambda: children(server), "its processes")]
        up.process.kill()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), "all to end")
