"""Agents of PettingZoo against what `policyserver up` serves."""

from pathlib import Path

import numpy as np
import pytest

from policy_client import PettingZooSimulation, Server
from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle
from tests.serving import Up
from tests.unit.client.mice import lines
from tests.unit.client.races import Race


@pytest.mark.parametrize("raw", [False, True])
def test_a_served_policy_never_does_what_an_agents_mask_forbids(raw: bool, tmp_path: Path) -> None:
    weights, bias = np.zeros((4, 2)), np.array([0.0, 1e9])  # always two fields, where it may
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=2), weights=weights, bias=bias)
    manifest = tmp_path / "race.yaml"
    manifest.write_text(
        f"""\
apiVersion: policyserver.io/v1alpha1
kind: PolicyServer
metadata: {{name: race}}
spec:
  schema:
    observations:
      - {{name: action_mask, type: "List[bool]", minItems: 2, maxItems: 2, mask: true}}
      - {{name: observation, type: "List[float]", minItems: 2, maxItems: 2}}
    discrete: true
  auth: none
  modelUri: {bundle.as_uri()}
"""
    )
    with Up(manifest, cache=tmp_path) as up, Server(f"{up.url}/default/race", raw=raw) as policy:
        PettingZooSimulation(Race()).run(policy, tmp_path / "steps")
    acted = [
        (line[f"observations_{agent}"]["action_mask"], line[f"actions_{agent}"])
        for line in lines(tmp_path / "steps")
        for agent in range(3)
    ]
    assert all(action == [1] if mask == [1, 1] else action == [0] for mask, action in acted)
    assert {tuple(mask) for mask, _ in acted} == {(1, 0), (1, 1)}
