import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from policy_client import MissingDependency, NotFinite, PolicyError
from policy_client.drawing import draw
from policy_client.policy import Local
from policy_client.simulation import Continuous, Discrete, Simulation
from policy_server.bundle import (
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
    QValues,
    SquashedGaussian,
)
from policy_server.sampling import sampler_for
from tests.bundles import write_linear_bundle
from tests.models import loop, recurrent_model, write_recurrent_bundle
from tests.unit.client.mice import Acting, Following, Mice, Mouse, lines

KINDS: list[Distribution] = [
    Categorical(size=5),
    MultiCategorical(sizes=[2, 4, 3]),
    QValues(size=4),
    QValues(size=4, epsilon=0.5),
    DiagonalGaussian(size=2),
    DiagonalGaussian(size=2, low=[-0.5, None], high=[None, 0.1]),
    SquashedGaussian(size=2, low=[-2, 0], high=[2, 1]),
]


@pytest.mark.parametrize("distribution", KINDS, ids=lambda kind: str(kind.kind))
def test_actions_are_those_that_the_server_draws_from_the_same_seed(distribution: Distribution) -> None:
    written = distribution.model_dump(mode="json", by_alias=True)
    sampler, ours, theirs = sampler_for(distribution), np.random.default_rng(4), np.random.default_rng(4)
    for parameters in np.random.default_rng(5).normal(size=(300, distribution.parameters)).astype(np.float32):
        expected, _ = sampler.sample(parameters, theirs)
        assert draw(written, parameters.astype(np.float64), ours) == pytest.approx(expected, rel=1e-12)


def test_a_forbidden_action_is_never_drawn() -> None:
    forbidding = np.array([-np.inf, 0.0, -np.inf])
    random = np.random.default_rng(1)
    for distribution in ({"kind": "Categorical"}, {"kind": "QValues", "epsilon": 1.0}):
        assert {draw(distribution, forbidding, random)[0] for _ in range(50)} == {1}


@pytest.mark.parametrize("distribution", KINDS, ids=lambda kind: str(kind.kind))
def test_what_is_not_finite_is_refused(distribution: Distribution) -> None:
    written = distribution.model_dump(mode="json", by_alias=True)
    with pytest.raises(NotFinite, match="not finite"):
        draw(written, np.full(distribution.parameters, np.nan), np.random.default_rng(1))


def test_a_kind_of_a_later_version_is_refused() -> None:
    with pytest.raises(PolicyError, match="Beta, which this version doesn't know"):
        draw({"kind": "Beta"}, np.zeros(2), np.random.default_rng(1))


@pytest.mark.parametrize("simulation", [Mouse(), Mice()])
def test_rollouts_of_the_same_seed_make_the_same_csv(simulation: Simulation, tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=2), weights=np.zeros((3, 2)))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulation.run(Local(bundle, seed), tmp_path / name, num_episodes=3)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_an_observations_numbers_are_the_models_inputs_in_their_order(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", QValues(size=3), weights=np.eye(3))
    observations = [{"b": 9, "a": [1, True]}, {"b": 0, "a": np.array([3, 2])}, {"b": np.float32(0), "a": (0, 1)}]
    actions = [Local(bundle).get_actions(Acting(Discrete(3), each))[0].tolist() for each in observations]
    assert actions == [[0], [1], [2]]


def test_real_numbers_have_the_simulations_shape(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", DiagonalGaussian(size=4))
    actions = Local(bundle, 1).get_actions(Acting(Continuous([2, 2]), {"a": [1, 2, 3]}))
    assert actions[0].shape == (2, 2)


def test_an_observation_of_another_size_is_refused(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", QValues(size=3))
    with pytest.raises(PolicyError, match="has 2 numbers, the model takes 3"):
        Local(bundle).get_actions(Acting(Discrete(3), {"a": [1, 2]}))


@pytest.mark.parametrize("value", ["left", None, {"a": 1}])
def test_an_observation_that_is_no_number_is_named(value: object, tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", QValues(size=3))
    with pytest.raises(PolicyError, match=r"the observation wind is .*number"):
        Local(bundle).get_actions(Acting(Discrete(3), {"wind": value, "other": [1, 2]}))


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"is no bundle: .*policyserver import"):
        Local(tmp_path)


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", QValues(size=3))
    (bundle / "policy.onnx").write_bytes(b"other")
    with pytest.raises(PolicyError, match=r"not what policy\.json says"):
        Local(bundle)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", QValues(size=3))
    (bundle / "policy.onnx").write_bytes(b"other")
    manifest = json.loads((bundle / "policy.json").read_text())
    manifest["modelSha256"] = hashlib.sha256(b"other").hexdigest()
    (bundle / "policy.json").write_text(json.dumps(manifest))
    with pytest.raises(PolicyError, match="ONNX Runtime can't load the model"):
        Local(bundle)


def test_a_recurrent_policy_remembers_each_agent_and_forgets_between_episodes(tmp_path: Path) -> None:
    bundle = write_recurrent_bundle(tmp_path / "bundle")
    # Values leave nothing to chance.
    manifest = json.loads((bundle / "policy.json").read_text())
    manifest["distribution"] = {"kind": "QValues", "size": 3}
    (bundle / "policy.json").write_text(json.dumps(manifest))
    Following(Discrete(3)).run(Local(bundle), tmp_path / "steps.csv", num_episodes=2)
    found = lines(tmp_path / "steps.csv")
    for agent in range(2):
        seen = Following.seen[agent].tolist()
        expected = [[int(values.argmax())] for values, _ in loop(recurrent_model(), seen)]
        assert [line[f"actions_{agent}"] for line in found] == expected * 2
        # It matters what was seen before.
        assert expected != [[int(loop(recurrent_model(), [each])[0][0].argmax())] for each in seen]


def test_a_missing_onnxruntime_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", QValues(size=3))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match="pip install onnxruntime"):
        Local(bundle)
