"""Policies that have the same model share what runs it."""

import gc
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import onnxruntime
import pytest

from policy_server.bundle import Categorical
from policy_server.policy import Policy
from tests.bundles import write_linear_bundle


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> WeakSet[Any]:
    """Those that are in memory, of the test's own."""
    made: WeakSet[Any] = WeakSet()
    make = onnxruntime.InferenceSession

    def session(*given: Any, **options: Any) -> Any:
        made.add(one := make(*given, **options))
        return one

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return made


def test_a_model_is_in_memory_once_for_all_policies_that_have_it_and_no_longer(
    tmp_path: Path, sessions: WeakSet[Any]
) -> None:
    weights = np.random.default_rng().normal(size=(3, 2))
    bundles = [write_linear_bundle(tmp_path / name, Categorical(size=2), weights=weights) for name in ("one", "two")]
    policies = [Policy.load(bundle) for bundle in bundles]
    other = Policy.load(write_linear_bundle(tmp_path / "other", Categorical(size=2), weights=-weights))
    assert len(sessions) == 2
    observation = np.ones((1, 3), np.float32)
    expected = weights.sum(axis=0)
    for policy in policies:
        np.testing.assert_allclose(policy.parameters(observation), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(other.parameters(observation), -expected, rtol=1e-5, atol=1e-5)
    del policies[0], policy
    gc.collect()
    assert len(sessions) == 2
    np.testing.assert_allclose(policies[0].parameters(observation), expected, rtol=1e-5, atol=1e-5)
    del policies[:]
    gc.collect()
    assert len(sessions) == 1
