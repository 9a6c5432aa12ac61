"""How a server ends, as Kubernetes asks it to: with SIGTERM, while clients still have connections."""

import http.client
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.server_process import Server, ask
from tests.serving import wait_for

DRAIN_SECONDS = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    options = (f"--drain-seconds={DRAIN_SECONDS}", f"--grace-seconds={2 * DRAIN_SECONDS}")
    with Server(tmp_path, *options) as server:
        yield server


def test_after_sigterm_answers_ask_clients_to_connect_elsewhere(server: Server) -> None:
    with closing(server.connect()) as kept, closing(server.connect()) as idle:
        assert ask(kept) == (200, None)
        assert ask(idle) == (200, None)
        server.process.send_signal(signal.SIGTERM)

        def said_farewell() -> bool:
            status, connection = ask(kept)
            assert status == 200
            return connection == "close"

        wait_for(said_farewell, "Connection: close")
        with closing(server.connect()) as late:
            assert ask(late) == (200, "close")
        assert ask(idle) == (200, "close")  # its connection was not closed in its face
    assert server.process.wait(DRAIN_SECONDS / 2) == 0  # when no connection is left, there is nothing to wait for


def test_no_request_of_busy_clients_is_lost(server: Server) -> None:
    """Closing their connections at once would reset all of them."""
    asked, failures = threading.Semaphore(0), list[OSError | http.client.HTTPException]()

    def call() -> None:
        with closing(server.connect()) as connection:
            try:
                while ask(connection) == (200, None):
                    asked.release()
            except (OSError, http.client.HTTPException) as error:
                failures.append(error)

    callers = [threading.Thread(target=call) for _ in range(20)]
    for caller in callers:
        caller.start()
    for _ in range(200):
        assert asked.acquire(timeout=30)
    server.process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.join()
    assert failures == []
    assert server.process.wait(DRAIN_SECONDS / 2) == 0


def test_a_second_signal_ends_it_without_waiting(server: Server) -> None:
    with closing(server.connect()) as silent, closing(server.connect()) as kept:
        silent.connect()  # and asks nothing, so that draining would wait for it
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: ask(kept)[1] == "close", "Connection: close")
        assert server.answers()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DRAIN_SECONDS / 2) in (0, -signal.SIGTERM)
