"""What becomes of requests whose replica is killed."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_server.bundle import Categorical
from policy_server.worker import LOST
from tests.integration.ray.load import PATIENCE_SECONDS, Load
from tests.integration.ray.ray_processes import REPLICA, alive, descendants, titled
from tests.integration.routing.test_processes import Replica
from tests.models import slow_model, write_model_bundle
from tests.routed import OBSERVATION, RoutedConfig
from tests.server_process import Server
from tests.serving import wait_for

TWO = {"scaling": {"replicas": 2}}
CLIENTS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A policy that takes tens of milliseconds, in two replicas."""
    folder = tmp_path_factory.mktemp("slow")
    bundle = write_model_bundle(folder / "slow", slow_model(1), Categorical(size=2))
    with Server(folder, "--drain-seconds=0", bundle=bundle, ray=TWO) as server:
        yield server
        server.process.terminate()
        server.process.wait(60)


def replicas(server: Server) -> list[int]:
    return titled(server.process.pid, REPLICA)


@pytest.mark.parametrize("count", [1, 2], ids=["one of two", "both"])
def test_requests_of_a_killed_replica_are_answered_or_told_to_come_again(server: Server, count: int) -> None:
    from policy_server.ray.replica import ONGOING  # noqa: PLC0415 -- Ray's settings are made before it is imported

    wait_for(lambda: len(replicas(server)) == 2, "two replicas")
    killed = replicas(server)[:count]
    with Load([server.port], OBSERVATION, CLIENTS) as load:
        load.until_answered(20)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        load.until(lambda: len(set(replicas(server)) - set(killed)) == 2, "new replicas")
        load.until_answered(20)
    assert load.statuses.keys() <= {200, 503}
    assert load.statuses[503] <= min(CLIENTS, count * ONGOING)
    assert load.broken == 0
    assert load.longest < 2 * PATIENCE_SECONDS


def test_no_reward_is_lost_with_a_replica(tmp_path: Path) -> None:
    config = RoutedConfig(tmp_path, {"mode": "EpsilonGreedy", "epsilon": 0.5}, policies=2, ray=TWO)
    server = Replica(config)
    try:
        with Load([server.port], OBSERVATION, CLIENTS, rewards=True) as load:
            load.until_answered(50)
            os.kill(titled(server.process.pid, f"{REPLICA}zero")[0], signal.SIGKILL)
            load.until_answered(200)
        assert load.statuses.keys() <= {200, 503}
        assert load.broken == 0

        def learned() -> float:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/routers", timeout=30) as answer:
                return float(sum(arm["rewards"] for arm in json.load(answer)[0]["arms"]))

        wait_for(lambda: learned() >= load.acknowledged, f"{load.acknowledged} rewards")
    finally:
        server.stop()


def test_requests_under_way_are_answered_when_the_server_ends(tmp_path: Path) -> None:
    bundle = write_model_bundle(tmp_path / "slow", slow_model(10), Categorical(size=2))
    with Server(tmp_path, bundle=bundle, ray=TWO) as server:
        connections = [server.connect() for _ in range(CLIENTS)]
        for connection in connections:
            connection.request("POST", "/predict/", json.dumps(OBSERVATION), {"Content-Type": "application/json"})
        server.process.terminate()
        for connection in connections:
            assert connection.getresponse().status == 200
            connection.close()
        assert server.process.wait(60) == 0


@pytest.mark.parametrize("vital", ["raylet", "gcs_server"])
def test_a_server_that_has_lost_ray_ends_to_be_started_anew(tmp_path: Path, vital: str) -> None:
    bundle = write_model_bundle(tmp_path / "slow", slow_model(1), Categorical(size=2))
    with Server(tmp_path, "--drain-seconds=0", bundle=bundle, ray={}) as server:
        begun = descendants(server.process.pid)
        (pid,) = (pid for pid, title in begun.items() if f"/{vital}" in title.split()[0])
        os.kill(pid, signal.SIGKILL)
        assert server.process.wait(120) == LOST
        # Without its GCS, each process of Ray goes on looking for it for a minute.
        wait_for(lambda: not any(map(alive, begun)), "the end of what it began", 240)
