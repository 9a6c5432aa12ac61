import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from policy_server.bundle import Categorical, MultiCategorical, read_bundle
from policy_server.importers import onnx_model
from policy_server.importers.convert import convert


def probabilities(parameters: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Returns the probability of every action of every component, side by side."""
    parts = np.split(parameters.astype(np.float64), np.cumsum(sizes)[:-1], axis=1)
    powers = [np.exp(part - part.max(axis=1, keepdims=True)) for part in parts]
    return np.concatenate([power / power.sum(axis=1, keepdims=True) for power in powers], axis=1)


@pytest.mark.parametrize(
    "known",
    [
        ("mouse_and_cheese", 6, Categorical(size=4)),
        ("simple_stochastic_tuple_action_masking", 7, MultiCategorical(sizes=[2, 2])),
    ],
    ids=["mouse_and_cheese", "simple_stochastic_tuple_action_masking"],
)
def test_every_probability_is_tensorflows_own(
    real_policies: Path,
    tmp_path: Path,
    tensorflow_answers: Callable[[Path, str, np.ndarray], np.ndarray],
    known: tuple[str, int, Categorical | MultiCategorical],
) -> None:
    name, width, distribution = known
    archive = real_policies / name / "saved_model.zip"
    manifest = convert(archive, tmp_path / "bundle", seconds=500).manifest
    assert (manifest.observation_size, manifest.distribution) == (width, distribution)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "saved_model")
    observations = np.random.default_rng(11).normal(size=(1000, width)).astype(np.float32)
    # Such numbers are no action masks; the second half has masks as they are served, zeros and ones.
    masks = np.concatenate([observations[:, :4] > 0, observations[:, 4:]], axis=1).astype(np.float32)
    observations = np.concatenate([observations, masks])
    theirs = tensorflow_answers(tmp_path / "saved_model", "action_dist_inputs", observations)
    ours = onnx_model.run(onnx_model.load(read_bundle(tmp_path / "bundle")[0]), observations)
    assert np.isfinite(theirs[1000:]).all()
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    sizes = [distribution.size] if isinstance(distribution, Categorical) else distribution.sizes
    np.testing.assert_allclose(probabilities(ours, sizes), probabilities(theirs, sizes), rtol=0, atol=1e-5)
