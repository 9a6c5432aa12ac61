"""Three nodes of Ray that serve one PolicyServer, of which one is killed: the one that keeps what the router learns."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.ray.load import Load
from tests.integration.ray.ray_cluster import RayCluster
from tests.integration.ray.ray_processes import REPLICA, STORE
from tests.ports import free_port
from tests.routed import OBSERVATION, RoutedConfig
from tests.serving import request, wait_for

CLIENTS = 8
CHANCES = 50
"""How often the actor is started anew until it isn't on the head, which Ray chooses one time in three."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RoutedConfig:
    folder = tmp_path_factory.mktemp("routed")
    return RoutedConfig(folder, {"mode": "EpsilonGreedy", "epsilon": 0.5}, policies=2, ray={"scaling": {"replicas": 2}})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, config: RoutedConfig) -> Iterator[RayCluster]:
    with RayCluster(tmp_path_factory.mktemp("nodes")) as cluster:
        cluster.serve(config=str(config.file), ingresses=2, host="127.0.0.1", metricsPort=free_port())
        yield cluster


def store(cluster: RayCluster) -> tuple[int, "subprocess.Popen[bytes]"]:
    """Returns the store's process and its node, once there is one."""
    (found,) = wait_for(lambda: cluster.find(STORE), "the store").items()
    return found


def acknowledged(path: Path) -> float:
    """Returns how many rewards are in the file."""
    with sqlite3.connect(path) as connection:
        return float(connection.execute("SELECT sum(rewarded) FROM buckets").fetchone()[0])


def test_the_application_is_the_same_as_in_one_process(cluster: RayCluster) -> None:
    url = f"http://127.0.0.1:{cluster.port}"
    for path in ("/predict/", "/predict", "/default/test/predict/"):
        answer = request(url + path, OBSERVATION)
        assert answer.status == 200
        assert answer.body.keys() == {"actions", "probability", "policy", "decision_id", "episode_id", "propensity"}
    rewarded = request(f"{url}/feedback", {"decision_id": answer.body["decision_id"], "reward": 1.0})
    assert (rewarded.status, rewarded.body) == (202, {"outcome": "learned", "learned": True})
    assert request(f"{url}/predict/", {}).status == 422
    assert request(f"{url}/nowhere").status == 404


def test_the_node_with_the_routers_state_is_killed_and_no_acknowledged_reward_is_lost(
    cluster: RayCluster, config: RoutedConfig
) -> None:
    before = acknowledged(config.folder / "router.db")
    with Load([cluster.port], OBSERVATION, CLIENTS, rewards=True) as load:
        load.until_answered(20)
        pid, node = store(cluster)
        for _ in range(CHANCES):
            if node is not cluster.nodes[0]:
                break
            os.kill(pid, signal.SIGKILL)
            load.until(lambda known=pid: cluster.find(STORE).keys() - {known} != set(), "the store, anew")  # type: ignore[misc]
            pid, node = store(cluster)
        assert node is not cluster.nodes[0], "the actor never left the head"
        refused = load.refused
        cluster.kill(node)
        taken = load.acknowledged
        load.until(lambda: load.acknowledged > taken + 50, "rewards that are taken again", 180)
        load.until(lambda: len(cluster.find(REPLICA)) == 6, "as many replicas as before", 180)
        load.until_answered(50)
    assert load.refused - refused <= CLIENTS, load
    assert acknowledged(config.folder / "router.db") - before >= load.acknowledged

    def known() -> bool:
        arms = request(f"http://127.0.0.1:{cluster.port}/router").body["arms"]
        return bool(sum(arm["rewards"] for arm in arms) >= load.acknowledged)

    wait_for(known, "each ingress to have read what the others took")  # once a second they do
