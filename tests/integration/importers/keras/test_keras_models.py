import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from policy_server.bundle import Categorical, QValues, read_bundle
from policy_server.config import ModelOutput, Schema
from policy_server.errors import ImportFailed, SchemaMismatch
from policy_server.importers import onnx_model
from policy_server.importers.convert import convert
from tests.integration.importers.keras import old_files

SCHEMA = Schema.model_validate({"observations": [{"name": f"x{at}", "type": "float"} for at in range(4)]})


def answers(bundle: Path, observations: np.ndarray) -> np.ndarray:
    return onnx_model.run(onnx_model.load(read_bundle(bundle)[0]), observations)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Converts, expects the refusal, and that it leaves nothing behind.

    Without `seconds` this process converts: what is refused before TensorFlow is loaded needs no other.
    """

    def run(source: Path, **options: Any) -> str:
        with pytest.raises(ImportFailed) as caught:
            convert(source, tmp_path / "out" / "bundle", schema=SCHEMA, **options)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    return run


@pytest.mark.parametrize(
    ("name", "suffix"),
    # Keras itself can't read what it wrote of operations into .h5.
    [("q_values", "keras"), ("q_values", "h5"), ("window", "h5"), ("branches", "keras")],
)
def test_q_values_are_keras_own(saved: Path, tmp_path: Path, name: str, suffix: str) -> None:
    converted = convert(
        saved / f"{name}.{suffix}", tmp_path / "bundle", schema=SCHEMA, model_output=ModelOutput.Q_VALUES, seconds=250
    )
    assert converted.manifest.distribution == QValues(size=2, epsilon=0)
    assert "keras 3." in converted.manifest.origin.importer
    ours = answers(tmp_path / "bundle", np.load(saved / "observations.npy"))
    np.testing.assert_allclose(ours, np.load(saved / f"{name}.npy"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("suffix", "said"), [("keras", None), ("h5", ModelOutput.PROBABILITIES)])
def test_the_probabilities_of_a_softmax_are_drawn_from_as_they_are(
    saved: Path, tmp_path: Path, suffix: str, said: ModelOutput | None
) -> None:
    source = saved / f"probabilities.{suffix}"
    converted = convert(source, tmp_path / "bundle", schema=SCHEMA, model_output=said, seconds=250)
    assert converted.manifest.distribution == Categorical(size=3)
    ours = softmax(answers(tmp_path / "bundle", np.load(saved / "observations.npy")))
    np.testing.assert_allclose(ours, np.load(saved / "probabilities.npy"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"window": True}, {"layers_alone": True}], ids=["plain", "window", "list"])
def test_what_agents_of_2017_saved_still_answers(tmp_path: Path, options: dict[str, bool]) -> None:
    weights = old_files.write_dqn(tmp_path / "fetched", **options)
    convert(tmp_path / "fetched", tmp_path / "bundle", schema=SCHEMA, model_output=ModelOutput.Q_VALUES, seconds=250)
    observations = np.random.default_rng(4).normal(size=(100, 4)).astype(np.float32)
    ours = answers(tmp_path / "bundle", observations)
    np.testing.assert_allclose(ours, old_files.answer(weights, observations), rtol=1e-4, atol=1e-4)


def test_what_linear_outputs_mean_must_be_said(saved: Path, refused: Callable[..., str]) -> None:
    assert "logits or, as of a DQN, Q-values: say modelOutput" in refused(saved / "q_values.h5", seconds=250)
    message = refused(saved / "q_values.keras", model_output=ModelOutput.PROBABILITIES, seconds=250)
    assert "don't sum to 1" in message


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_layer_runs_only_where_it_is_trusted(
    saved: Path, tmp_path: Path, refused: Callable[..., str], suffix: str
) -> None:
    source = saved / f"code.{suffix}"
    message = refused(source, model_output=ModelOutput.LOGITS)
    assert "layer 'doubled' (Lambda) runs code stored in the file" in message
    assert "trust: true" in message
    convert(source, tmp_path / "bundle", schema=SCHEMA, model_output=ModelOutput.LOGITS, trust=True, seconds=250)
    ours = answers(tmp_path / "bundle", np.load(saved / "observations.npy"))
    np.testing.assert_allclose(ours, np.load(saved / "code.npy"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("several_outputs", r"outputs .*\[None, 2\].*\[None, 1\]; needed is one of each"),
        ("noisy", "answers the same observation in different ways"),
    ],
)
def test_models_that_are_no_policy_are_refused_with_the_reason(
    saved: Path, refused: Callable[..., str], name: str, expected: str
) -> None:
    import re  # noqa: PLC0415  # here alone

    assert re.search(
        expected, refused(saved / f"{name}.keras", model_output=ModelOutput.LOGITS, trust=True, seconds=250)
    )


def test_weights_without_a_model_are_refused(saved: Path, refused: Callable[..., str]) -> None:
    assert "save the whole model: model.save" in refused(saved / "only.weights.h5")


def test_contradicting_widths_are_refused_with_both_numbers(saved: Path, tmp_path: Path) -> None:
    schema = Schema.model_validate({"observations": [{"name": "x", "type": "float"}]})
    with pytest.raises(SchemaMismatch, match="make 1 values, the model takes 4"):
        convert(saved / "probabilities.h5", tmp_path / "bundle", schema=schema, seconds=250)


@pytest.fixture
def changed(saved: Path, tmp_path: Path) -> Callable[..., Path]:
    """A model with another description of its last layer, in either format."""

    def build(suffix: str, **last: Any) -> Path:
        target = tmp_path / f"changed.{suffix}"
        if suffix == "h5":
            target.write_bytes((saved / "q_values.h5").read_bytes())
            with h5py.File(target, "r+") as file:
                config = json.loads(file.attrs["model_config"])
                config["config"]["layers"][-1] |= last
                file.attrs["model_config"] = json.dumps(config)
            return target
        with zipfile.ZipFile(saved / "q_values.keras") as opened, zipfile.ZipFile(target, "w") as written:
            for name in opened.namelist():
                content = opened.read(name)
                if name == "config.json":
                    config = json.loads(content)
                    config["config"]["layers"][-1] |= last
                    content = json.dumps(config).encode()
                written.writestr(name, content)
        return target

    return build


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    "last",
    [
        {"module": "os", "class_name": "system", "config": "touch canary"},
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": "touch canary"}},
        {"module": "canary", "class_name": "Layer", "config": {"name": "out"}},
        {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"},
        {"module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization"},
        {"module": None, "class_name": "Layer", "config": {"name": "out"}, "registered_name": "mine>Layer"},
    ],
    ids=lambda last: f"{last['module']}.{last['class_name']}",
)
def test_a_model_that_names_foreign_code_is_refused_though_it_be_trusted(
    changed: Callable[..., Path],
    refused: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    trust: bool,
    last: dict[str, Any],
) -> None:
    (tmp_path / "canary.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")  # imported, it would leave a file
    monkeypatch.syspath_prepend(tmp_path)
    assert "isn't part of Keras" in refused(changed(suffix, **last), trust=trust, model_output=ModelOutput.LOGITS)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ["TFSMLayer", "TorchModuleWrapper", "StringLookup", "JaxLayer"])
def test_layers_that_load_something_else_need_trust(
    changed: Callable[..., Path], refused: Callable[..., str], suffix: str, name: str
) -> None:
    message = refused(changed(suffix, class_name=name, config={"name": "other", "filepath": "/etc"}))
    assert f"layer 'other' ({name}) runs code" in message


def leads_out(group: Any, how: str, secret: Path) -> None:
    if how == "external link":
        group["link"] = h5py.ExternalLink(str(secret), "/")
    elif how == "soft link":
        group["link"] = h5py.SoftLink("/model_weights")
    elif how == "external data":
        group.create_dataset("raw", shape=(4,), dtype="f4", external=[(str(secret), 0, 16)])
    else:
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource(str(secret), "x", shape=(4,))
        group.create_virtual_dataset("virtual", layout)


@pytest.mark.parametrize("how", ["external link", "soft link", "external data", "virtual data"])
def test_hdf5_that_leads_to_other_files_is_refused(
    saved: Path, tmp_path: Path, refused: Callable[..., str], how: str
) -> None:
    source = tmp_path / "source.h5"
    source.write_bytes((saved / "q_values.h5").read_bytes())
    with h5py.File(source, "r+") as file:
        leads_out(file["model_weights"], how, tmp_path / "secret")
    message = refused(source, model_output=ModelOutput.LOGITS, trust=True)
    assert "is a link" in message or "is kept in another file" in message


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("kept", [0.4, 0.9])
def test_a_truncated_model_is_refused(
    saved: Path, tmp_path: Path, refused: Callable[..., str], suffix: str, kept: float
) -> None:
    content = (saved / f"q_values.{suffix}").read_bytes()
    (tmp_path / "source").write_bytes(content[: int(len(content) * kept)])
    assert "damaged or truncated" in refused(tmp_path / "source", model_output=ModelOutput.LOGITS)
