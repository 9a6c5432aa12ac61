"""What warm-up measured decides whether a model is asked on the event loop or in a thread."""

import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from policy_server.app import create_app
from policy_server.bundle import Categorical
from policy_server.config import ServerConfig
from policy_server.deciding import Alone
from policy_server.engine import Engine
from policy_server.policy import SLOW_SECONDS, Policy
from policy_server.tallies import Tallies
from tests.bundles import config_text, floats, write_linear_bundle
from tests.models import slow_model, write_model_bundle

NAMES = floats("zebra", "apple", "mango")
OBSERVATION = {"zebra": 0.5, "apple": -1.0, "mango": 2.0}


def slow_bundle(folder: Path) -> Path:
    return write_model_bundle(folder / "slow", slow_model(8, 256), Categorical(size=2))


def engine(bundle: Path) -> Engine:
    config = ServerConfig.model_validate_json(config_text(bundle, NAMES))
    return Engine.load(config, config.policies[0])


def test_a_small_model_is_fast_and_a_large_one_slow(tmp_path: Path) -> None:
    fast = engine(write_linear_bundle(tmp_path / "fast", Categorical(size=2)))
    slow = engine(slow_bundle(tmp_path))
    assert fast.policy.seconds < SLOW_SECONDS <= slow.policy.seconds
    assert (fast.slow_for(1), slow.slow_for(1)) == (False, True)


@pytest.mark.parametrize("path", ["/predict/", "/predict_deterministic/", "/distribution/", "/predict_batch/"])
@pytest.mark.parametrize("slow", [False, True])
def test_only_slow_models_are_asked_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, slow: bool
) -> None:
    bundle = slow_bundle(tmp_path) if slow else write_linear_bundle(tmp_path / "fast", Categorical(size=2))
    app, short = create_app(Alone(engine(bundle), Tallies()), None, Tallies())
    threads: list[str] = []
    asked = "parameter_rows" if path == "/predict_batch/" else "parameters"
    run: Any = getattr(Policy, asked)

    def noting(policy: Policy, observations: Any) -> Any:
        threads.append(threading.current_thread().name)
        return run(policy, observations)

    monkeypatch.setattr(Policy, asked, noting)
    body = [OBSERVATION] if path == "/predict_batch/" else OBSERVATION
    assert TestClient(app).post(path, json=body).status_code == 200
    assert [name.startswith("inference") for name in threads] == [slow]
    assert bool(short) is not slow
