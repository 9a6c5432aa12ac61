"""Clients of Pathmind, Seldon and Ray's tutorial work unchanged."""

import urllib.request

from tests.integration.protocols.conftest import KEYED_PATH, OPEN_PATH, OldClient
from tests.serving import Up


def metric(served: Up, name: str, policyserver: str) -> float:
    with urllib.request.urlopen(f"http://localhost:{served.metrics_port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and f'"{policyserver}"' in line)


def test_pathminds_policy_server_client(served: Up, old_client: OldClient) -> None:
    seen = old_client("pathmind", f"{served.url}/{KEYED_PATH}")
    assert seen["actions"] == {"0": [1], "1": [1], "2": [1]}
    assert "not authorized" in seen["wrong key"]
    assert "didn't pass validation" in seen["wrong observation"]
    assert "cart_position" in seen["wrong observation"]


def test_seldons_client_predicts_and_sends_feedback(served: Up, old_client: OldClient) -> None:
    before = metric(served, "policyserver_reward_count", "open"), metric(served, "policyserver_reward_sum", "open")
    seen = old_client("seldon", f"{served.url}/{OPEN_PATH}")
    for encoding in ("tensor", "ndarray"):
        assert seen[encoding]["success"] == [True, True, True]
        assert seen[encoding]["understood"] == [True, True, True]
        assert seen[encoding]["meta"]["routing"] == {}
        assert seen[encoding]["meta"]["puid"]
    assert seen["tensor"]["data"]["tensor"] == {"shape": [3, 1], "values": [1, 1, 1]}
    assert seen["ndarray"]["data"]["ndarray"] == [[1], [1], [1]]
    assert seen["wrong"][0] is False
    assert seen["wrong"][1].startswith("422")
    assert metric(served, "policyserver_reward_count", "open") == before[0] + 4
    assert metric(served, "policyserver_reward_sum", "open") == before[1] + 2


def test_the_cartpole_agents_conversation(served: Up, old_client: OldClient) -> None:
    before = metric(served, "policyserver_reward_count", "keyed"), metric(served, "policyserver_reward_sum", "keyed")
    seen = old_client("cartpole", f"{served.url}/{KEYED_PATH}")
    assert seen["actions"] == [1] * 20
    assert seen["answers"] == [200] * 20
    assert metric(served, "policyserver_reward_count", "keyed") == before[0] + 20
    assert metric(served, "policyserver_reward_sum", "keyed") == before[1] + 19


def test_rays_tutorial(served: Up, old_client: OldClient) -> None:
    for spelling in (KEYED_PATH, f"{KEYED_PATH}/"):
        seen = old_client("tutorial", f"{served.url}/{spelling}")
        assert seen["answers"] == [{"action": 1}] * 20
        assert seen["without a key"] == 401
        assert seen["without a body"] == "ok"
