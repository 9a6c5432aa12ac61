"""The short way of a prediction under a router answers what FastAPI's own path answers, but for the ids."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.serving import Serving
from tests.routed import OBSERVATION, RoutedConfig
from tests.unit.server.connections import Client, Taken

ROUTERS: list[tuple[dict[str, Any], dict[str, float]]] = [
    ({"mode": "ABTest"}, {"zero": 2, "one": 1}),
    ({"mode": "EpsilonGreedy", "epsilon": 0.6}, {}),
    ({"mode": "ThompsonSampling"}, {}),
    ({"mode": "UCB1"}, {}),
]
ID = re.compile(rb'(?<=_id":")[\w-]+(?=")')
DRAWS = 60


class Ways:
    """A router with its short ways, or without."""

    def __init__(self, config: RoutedConfig, *, short: bool) -> None:
        self.host = Host()
        Serving(self.host, config.file, Metrics(CollectorRegistry())).load()
        self.client = Client(self.host, short=short)
        self.client.connect()
        self.taken = Taken(self.host)

    def ask(self, **context: Any) -> bytes:
        body = json.dumps(OBSERVATION | context).encode()
        head = b"POST /predict/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return self.client.send([head % len(body) + body])


@pytest.mark.parametrize(("router", "weights"), ROUTERS)
@pytest.mark.parametrize("names", [None, ["left", "right"]])
def test_both_ways_tell_the_same_of_each_policy_and_of_episodes(
    tmp_path: Path, router: dict[str, Any], weights: dict[str, float], names: list[str] | None
) -> None:
    told: list[dict[str, set[bytes]]] = []
    for short in (True, False):
        folder = tmp_path / str(short)
        folder.mkdir()
        config = RoutedConfig(folder, router, weights=weights, policies=2)
        if names:
            written = json.loads(config.text)
            written["schema"]["actions"] = names
            config.file.write_text(json.dumps(written))
        ways = Ways(config, short=short)
        by_policy: dict[str, set[bytes]] = {}
        for _ in range(DRAWS):
            answer = ways.ask()
            content = json.loads(answer.partition(b"\r\n\r\n")[2])
            going_on = ways.ask(episode_id=content["episode_id"])
            assert json.loads(going_on.partition(b"\r\n\r\n")[2])["policy"] == content["policy"]
            by_policy.setdefault(content["policy"], set()).update(
                ID.sub(b"", whole.partition(b"content-length")[2]) for whole in (answer, going_on)
            )
        assert ways.taken.count == (2 * DRAWS if short else 0)
        told.append(by_policy)
        ways.client.close()
    assert told[0] == told[1]
    assert told[0].keys() == {"zero", "one"}
    assert all(len(answers) == 2 for answers in told[0].values())  # a first one, and one of an episode that goes on
