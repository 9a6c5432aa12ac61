import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from policy_server.bundle import Categorical, DiagonalGaussian, Distribution, MultiCategorical, read_bundle
from policy_server.config import Schema
from policy_server.errors import ImportFailed, SchemaMismatch
from policy_server.importers import onnx_model
from policy_server.importers.convert import convert

Ask = Callable[[Path, str, np.ndarray], np.ndarray]


def observations(width: int = 5, rows: int = 200) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(rows, width)).astype(np.float32)


@pytest.mark.parametrize(
    "case",
    [
        ("discrete", "action_dist_inputs", Categorical(size=3), None),
        ("old_variables", "action_dist_inputs", Categorical(size=3), None),
        ("old_name", "behaviour_logits", Categorical(size=3), None),
        ("masked", "action_dist_inputs", Categorical(size=3), None),
        ("several", "action_dist_inputs", MultiCategorical(sizes=[2, 3]), None),
        ("equal_parts", "action_dist_inputs", MultiCategorical(sizes=[2, 2, 2]), None),
        ("multi_discrete", "action_dist_inputs", MultiCategorical(sizes=[4, 3]), None),
        ("gaussian", "action_dist_inputs", DiagonalGaussian(size=2), None),
        # RLlib keeps each component's deviations beside its means; a bundle has all means first.
        ("several_gaussians", "action_dist_inputs", DiagonalGaussian(size=3), [0, 2, 3, 1, 4, 5]),
    ],
    ids=lambda case: case[0],
)
def test_an_rllib_export_answers_as_tensorflow_does(
    exported: Path,
    tmp_path: Path,
    tensorflow_answers: Ask,
    case: tuple[str, str, Distribution, list[int] | None],
) -> None:
    name, output, distribution, order = case
    converted = convert(exported / name, tmp_path / "bundle", seconds=500)
    assert converted.manifest.distribution == distribution
    assert (converted.manifest.input, converted.manifest.output) == ("observations", "distribution_parameters")
    assert "tensorflow 2." in converted.manifest.origin.importer
    assert "tf2onnx 1." in converted.manifest.origin.importer
    batch = observations()
    ours = onnx_model.run(onnx_model.load(read_bundle(tmp_path / "bundle")[0]), batch)
    theirs = tensorflow_answers(exported / name, output, batch)
    np.testing.assert_allclose(ours, theirs if order is None else theirs[:, order], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unknown_parts", "2 action components, but the graph doesn't say"),
        ("squashed", "squashes its continuous actions"),
        ("deterministic", r"2 parameters for 2 continuous action\(s\)"),
        ("mixed", "discrete and continuous components"),
        ("recurrent", r"needs the input state_in_0 besides its observations \(a recurrent policy\)"),
        ("looks_back", "needs the input prev_action"),
        ("noisy", "is random"),
        ("python_code", "EagerPyFunc .*: refused"),
        ("reads_files", "ReadFile .*: refused"),
        ("no_actions", "no output actions"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_reason(
    exported: Path, tmp_path: Path, name: str, expected: str
) -> None:
    with pytest.raises(ImportFailed, match=expected):
        convert(exported / name, tmp_path / "bundle", seconds=500)
    assert list(tmp_path.iterdir()) == []


def test_a_tensorflow_2_export_takes_its_distribution_from_the_schema(
    exported: Path, tmp_path: Path, tensorflow_answers: Ask
) -> None:
    with pytest.raises(ImportFailed, match="give a schema"):
        convert(exported / "tensorflow_2", tmp_path / "bundle", seconds=500)
    converted = convert(exported / "tensorflow_2", tmp_path / "bundle", schema=Schema(discrete=False), seconds=500)
    assert converted.manifest.distribution == DiagonalGaussian(size=2)
    ours = onnx_model.run(onnx_model.load(read_bundle(tmp_path / "bundle")[0]), observations())
    np.testing.assert_allclose(ours, tensorflow_answers(exported / "tensorflow_2", "y", observations()), atol=1e-5)


def test_an_export_of_keras_gives_its_default_signature(
    exported: Path, tmp_path: Path, tensorflow_answers: Ask
) -> None:
    convert(exported / "keras_3", tmp_path / "bundle", schema=Schema(discrete=True), seconds=500)
    ours = onnx_model.run(onnx_model.load(read_bundle(tmp_path / "bundle")[0]), observations())
    np.testing.assert_allclose(ours, tensorflow_answers(exported / "keras_3", "output_0", observations()), atol=1e-5)


def test_the_same_saved_model_always_becomes_the_same_bytes(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas convert on their own, and must serve one digest."""
    digests = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        digests.add(convert(exported / "several", tmp_path / "bundle", seconds=500).manifest.model_sha256)
    assert len(digests) == 1


def test_contradicting_widths_are_refused_with_both_numbers(exported: Path, tmp_path: Path) -> None:
    schema = Schema.model_validate({"observations": [{"name": f"x{at}", "type": "float"} for at in range(6)]})
    with pytest.raises(SchemaMismatch, match="make 6 values, the model takes 5"):
        convert(exported / "discrete", tmp_path / "bundle", schema=schema, seconds=500)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda folder: shutil.rmtree(folder / "variables"), "TensorFlow can't load"),
        (lambda folder: (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12\xff"), "damaged or no SavedModel"),
        (lambda folder: (folder / "saved_model.pb").write_bytes(b""), "tagged"),
    ],
)
def test_a_damaged_saved_model_is_refused(
    exported: Path, tmp_path: Path, damage: Callable[[Path], object], expected: str
) -> None:
    shutil.copytree(exported / "discrete", tmp_path / "source")
    damage(tmp_path / "source")
    with pytest.raises(ImportFailed, match=expected):
        convert(tmp_path / "source", tmp_path / "bundle", seconds=500)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
