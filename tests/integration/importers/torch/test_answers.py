"""What bundles answer beside what the frameworks themselves answer to the same observations."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from policy_server.bundle import DiagonalGaussian, MultiCategorical, QValues, SquashedGaussian, read_bundle
from policy_server.importers import onnx_model
from tests.integration.importers.torch.trained import POLICIES, PROGRAMS, Trained, import_policy

pytestmark = pytest.mark.timeout(900)  # the first test waits for everything to be trained and imported
CLOSE = 1e-4
GAUSSIAN = ["a2c_box", "a2c_state_dependent"]
SQUASHED = ["sac", "sac_state_dependent", "ppo_state_dependent_squashed"]
TABLES = [name for name in [*POLICIES, *PROGRAMS] if name not in [*GAUSSIAN, *SQUASHED, "dqn"] and "multi" not in name]


@pytest.mark.parametrize("name", [*POLICIES, *PROGRAMS])
def test_the_most_likely_action_is_the_frameworks(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder / name)
    actions = [trained.sampler.most_likely(row)[0] for row in trained.parameters]
    np.testing.assert_allclose(actions, trained.array("actions"), rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("name", TABLES)
def test_probabilities_are_the_frameworks(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder / name)
    tables = [list(trained.sampler.table(row).values()) for row in trained.parameters]
    np.testing.assert_allclose(tables, trained.array("probabilities"), rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize(("name", "sizes"), [("ppo_multi_discrete", [2, 4, 3]), ("ppo_multi_binary", [2] * 4)])
def test_components_have_the_frameworks_probabilities(trained_folder: Path, name: str, sizes: list[int]) -> None:
    trained = Trained(trained_folder / name)
    assert trained.manifest.distribution == MultiCategorical(sizes=sizes)
    logs = np.zeros(len(trained.parameters))
    starts = np.cumsum([0, *sizes])
    for component, (start, size) in enumerate(zip(starts, sizes, strict=False)):
        logits = trained.parameters[:, start : start + size].astype(np.float64)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        chosen = trained.array("drawn")[:, component].astype(int)
        logs += logits[np.arange(len(logits)), chosen]
    np.testing.assert_allclose(logs, trained.array("log_densities"), rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_real_actions_have_the_frameworks_densities(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder / name)
    mean, log_deviation = np.split(trained.parameters.astype(np.float64), 2, axis=1)
    densities = stats.norm.logpdf(trained.array("drawn"), mean, np.exp(log_deviation)).sum(axis=1)
    np.testing.assert_allclose(densities, trained.array("log_densities"), rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("name", SQUASHED)
def test_squashed_actions_have_the_frameworks_densities(trained_folder: Path, name: str) -> None:
    """The framework's densities are of actions between -1 and 1, before it scales them."""
    trained = Trained(trained_folder / name)
    mean, log_deviation = np.split(trained.parameters.astype(np.float64), 2, axis=1)
    drawn = trained.array("drawn").astype(np.float64)
    normal = stats.norm.logpdf(np.arctanh(drawn), mean, np.exp(log_deviation))
    densities = (normal - np.log1p(-(drawn**2))).sum(axis=1)
    np.testing.assert_allclose(
        densities, trained.array("log_densities"), rtol=1e-3, atol=1e-3
    )  # it adds 1e-6 in places


@pytest.mark.parametrize("name", [*SQUASHED, "a2c_box"])
def test_actions_end_inside_the_action_spaces_bounds(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder / name)
    distribution = trained.manifest.distribution
    assert isinstance(distribution, SquashedGaussian if name in SQUASHED else DiagonalGaussian)
    low, high = trained.facts["low"], trained.facts["high"]
    assert distribution.low == pytest.approx(low)
    assert distribution.high == pytest.approx(high)
    random = np.random.default_rng(0)
    drawn = np.array([trained.sampler.sample(row, random)[0] for row in trained.parameters])
    assert (drawn >= np.float32(low)).all()
    assert (drawn <= np.float32(high)).all()
    assert drawn.std() > 0


def test_a_dqn_explores_as_its_training_ended(trained_folder: Path) -> None:
    trained = Trained(trained_folder / "dqn")
    assert trained.facts["epsilon"] == pytest.approx(0.07)
    assert trained.manifest.distribution == QValues(size=2, epsilon=trained.facts["epsilon"])


def test_where_nothing_tells_whether_observations_were_normalised_it_is_said(
    trained_folder: Path, tmp_path: Path
) -> None:
    done = import_policy(trained_folder / "dqn" / "model.zip", "--output", tmp_path / "bundle", "--trust")
    assert done.returncode == 0, done.stderr
    assert "warning: the file doesn't tell whether the policy was trained under VecNormalize" in done.stderr


def test_the_bundle_says_what_made_it_and_nothing_of_the_machine(trained_folder: Path) -> None:
    model, manifest = read_bundle(trained_folder / "ppo_discrete" / "bundle")
    assert "stable-baselines3" in manifest.origin.importer
    assert b"site-packages" not in model
    assert (manifest.input, manifest.output) == ("observations", "distribution_parameters")


@pytest.mark.parametrize("name", ["ppo_normalized", "script", "export"])
def test_the_real_command_makes_the_same_bundle(trained_folder: Path, name: str, tmp_path: Path) -> None:
    """The normalised policy comes as an archive of its two files, as it would from a store."""
    trained = Trained(trained_folder / name)
    (source,) = trained.folder.glob("model*")
    if source.is_dir():
        with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
            for file in source.iterdir():
                archive.write(file, f"policy/{file.name}")
        source = tmp_path / "both.zip"
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"discrete": True}))
    done = import_policy(source, "--output", tmp_path / "bundle", "--schema", schema, "--trust")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["distribution"] == trained.manifest.distribution.model_dump(by_alias=True)
    model = onnx_model.load(read_bundle(tmp_path / "bundle")[0])
    np.testing.assert_array_equal(onnx_model.run(model, trained.array("observations")), trained.parameters)
