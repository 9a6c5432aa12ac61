"""What bundles answer beside what RLlib itself answers to the same observations."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from policy_server.bundle import (
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
    QValues,
    SquashedGaussian,
    read_bundle,
)
from tests.frameworks import run_framework
from tests.integration.importers.rllib.trained import (
    DISCRETE,
    GAUSSIAN,
    PARTS,
    POLICIES,
    RECURRENT,
    REFUSED,
    SQUASHED,
    VALUES,
    Trained,
    place,
)

pytestmark = pytest.mark.timeout(600)  # the first one trains

TABLES = [*DISCRETE, *RECURRENT, PARTS[0]]
ACTIONS = {"low": [-2.0, 0.0], "high": [2.0, 5.0]}
DISTRIBUTIONS: dict[str, Distribution] = {
    "new_ppo": Categorical(size=2),
    "new_ppo_nested": MultiCategorical(sizes=[2, 4]),
    "new_ppo_normalised": DiagonalGaussian(size=2, **ACTIONS),
    "new_ppo_clipped": DiagonalGaussian(size=2, **ACTIONS),
    "new_ppo_several_boxes": DiagonalGaussian(size=3, low=[10.0, -2.0, 0.0], high=[20.0, 2.0, 5.0]),
    "new_sac": SquashedGaussian(size=2, **ACTIONS),
    # After 64 of 640 steps from 1 to 0.1; constant; and of a module alone, after all steps.
    "new_dqn": QValues(size=2, epsilon=0.91),
    "new_dqn_distributional": QValues(size=2, epsilon=0.25),
    PARTS[1]: QValues(size=2, epsilon=0.1),
    "old_ppo_nested": MultiCategorical(sizes=[2, 2, 4]),
    "old_ppo_one_hot": Categorical(size=4),
    "old_ppo_normalised": DiagonalGaussian(size=2, **ACTIONS),
    "old_sac": SquashedGaussian(size=2, **ACTIONS),
}


def probabilities(distribution: Distribution, logits: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Returns the probabilities of each component's choices."""
    sizes = distribution.sizes if isinstance(distribution, MultiCategorical) else [logits.shape[1]]
    return [softmax(part.astype(float), axis=1) for part in np.split(logits, np.cumsum(sizes)[:-1], axis=1)]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_distribution_is_the_checkpoints(trained_folder: Path, name: str) -> None:
    assert Trained(trained_folder, name).manifest.distribution == DISTRIBUTIONS[name]


@pytest.mark.parametrize("name", TABLES)
def test_probabilities_are_rllibs(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder, name)
    ours = probabilities(trained.manifest.distribution, trained.parameters)
    theirs = probabilities(trained.manifest.distribution, trained.theirs["parameters"])
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-5)


@pytest.mark.parametrize("name", [*VALUES, PARTS[1]])
def test_values_of_actions_are_rllibs(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder, name)
    np.testing.assert_allclose(trained.parameters, trained.theirs["parameters"], rtol=1e-5, atol=1e-5)


def test_values_that_rllib_draws_by_have_its_temperature(trained_folder: Path) -> None:
    trained = Trained(trained_folder, "old_dqn_drawing")
    assert trained.manifest.distribution == Categorical(size=2)
    ours = softmax(trained.parameters.astype(float), axis=1)
    drawn = trained.theirs["drawn"]
    np.testing.assert_allclose(ours[np.arange(len(drawn)), drawn], trained.theirs["chances"], atol=1e-5)


@pytest.mark.parametrize("name", [*POLICIES, *RECURRENT, *PARTS])
def test_the_most_likely_action_is_what_rllib_does_to_the_environment(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder, name)
    ours = [trained.policy.sampler.most_likely(row)[0] for row in trained.parameters]
    np.testing.assert_allclose(ours, trained.theirs["actions"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [*GAUSSIAN, *SQUASHED])
def test_deviations_are_rllibs_stretched_as_its_actions_are(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder, name)
    distribution = trained.manifest.distribution
    assert isinstance(distribution, DiagonalGaussian | SquashedGaussian)
    theirs = trained.theirs["parameters"].astype(float)
    if name == "new_ppo_several_boxes":  # RLlib has each component's means beside its deviations
        deviations = np.exp(theirs[:, [1, 4, 5]])
    else:
        deviations = np.exp(theirs[:, distribution.size :])
    if name in GAUSSIAN and name != "new_ppo_clipped":
        low, high = np.array(distribution.low, float), np.array(distribution.high, float)
        deviations = deviations * (high - low) / 2
    ours = np.exp(trained.parameters[:, distribution.size :].astype(float))
    np.testing.assert_allclose(ours, deviations, rtol=1e-5)


@pytest.mark.parametrize("name", ["new_ppo_nested", "old_ppo_nested", "old_ppo_one_hot"])
def test_a_choice_that_is_observed_is_one_number(trained_folder: Path, name: str) -> None:
    assert Trained(trained_folder, name).manifest.observation_size == (1 if name == "old_ppo_one_hot" else 5)


@pytest.mark.parametrize("name", RECURRENT)
def test_a_recurrent_policy_remembers(trained_folder: Path, name: str) -> None:
    trained = Trained(trained_folder, name)
    memory = trained.policy.recurrence
    assert memory is not None
    observations = trained.theirs["observations"]
    forgetful, _ = trained.policy.step(observations, memory.opened([None] * len(observations)))
    assert np.abs(forgetful[1:] - trained.parameters[1:]).max() > 1e-4


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_as_it_was_trained_is_refused(trained_folder: Path, name: str) -> None:
    assert REFUSED[name] in place(trained_folder, "failures", name).read_text()


def test_the_command_imports_a_checkpoint_in_its_sandbox_once_it_is_trusted(
    trained_folder: Path, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "checkpoint"), "zip", trained_folder / "new_ppo_normalised")
    arguments = ("-m", "policy_server.importers", "import", archive)
    refused = run_framework("rllib", *arguments, "--output", tmp_path / "bundle")
    assert refused.returncode == 2
    assert "an RLlib checkpoint runs code stored in the file when it is loaded: say `trust: true`" in refused.stderr
    done = run_framework("rllib", *arguments, "--output", tmp_path / "bundle", "--trust")
    assert done.returncode == 0, done.stderr
    assert "converted RLlib from" in done.stderr
    in_one_process = read_bundle(trained_folder / "bundles" / "new_ppo_normalised")
    model, manifest = read_bundle(tmp_path / "bundle")
    assert model == in_one_process[0]
    assert re.search(r"torch \S+, ray \S+", manifest.origin.importer)
