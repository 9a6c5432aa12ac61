from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from policy_server.bundle import Categorical, QValues, read_bundle
from policy_server.config import ModelOutput, Schema
from policy_server.errors import ImportFailed
from policy_server.importers import onnx_model
from policy_server.importers.convert import convert
from policy_server.importers.onnx_model import DISTRIBUTION_PROPERTY

OBSERVATIONS = np.random.default_rng(2).normal(size=(100, 4)).astype(np.float32) * 3


def softmax_policy(name: str = "action_probabilities", opset: int = 17) -> bytes:
    """A model that ends in a softmax, whose smallest probabilities are 0 in float32."""
    weights = np.random.default_rng(5).normal(size=(4, 3)).astype(np.float32) * 40
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["obs", "weights"], ["scores"]),
            helper.make_node("Softmax", ["scores"], [name], axis=1),
        ],
        "policy",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model.SerializeToString()


@pytest.mark.parametrize("said", [None, ModelOutput.PROBABILITIES])
@pytest.mark.parametrize("name", ["action_probabilities", "distribution_parameters", "logits"])
@pytest.mark.parametrize("opset", [9, 17])
def test_probabilities_are_drawn_from_as_they_are(
    tmp_path: Path, schema_of: Callable[..., Schema], said: ModelOutput | None, name: str, opset: int
) -> None:
    (tmp_path / "model").write_bytes(softmax_policy(name, opset))
    converted = convert(tmp_path / "model", tmp_path / "bundle", schema=schema_of(), model_output=said)
    assert converted.manifest.distribution == Categorical(size=3)
    theirs = onnx_model.run(onnx_model.load(softmax_policy(name, opset)), OBSERVATIONS)
    logits = onnx_model.run(onnx_model.load(read_bundle(tmp_path / "bundle")[0]), OBSERVATIONS)
    assert (theirs == 0).any()
    assert np.isfinite(logits).all()
    ours = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_q_values_are_served_as_such(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    source = onnx_file()
    converted = convert(source, tmp_path / "bundle", schema=schema_of(), model_output=ModelOutput.Q_VALUES)
    assert converted.manifest.distribution == QValues(size=2, epsilon=0)
    assert read_bundle(tmp_path / "bundle")[0] == source.read_bytes()


def test_what_is_said_of_probabilities_counts(tmp_path: Path, schema_of: Callable[..., Schema]) -> None:
    (tmp_path / "model").write_bytes(softmax_policy())
    for said in (ModelOutput.LOGITS, ModelOutput.Q_VALUES):
        convert(tmp_path / "model", tmp_path / "bundle", schema=schema_of(), model_output=said)
        assert read_bundle(tmp_path / "bundle")[0] == softmax_policy()


def test_outputs_that_are_no_probabilities_are_not_taken_for_some(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    with pytest.raises(ImportFailed, match="don't sum to 1: say Logits or QValues"):
        convert(onnx_file(), tmp_path / "bundle", schema=schema_of(), model_output=ModelOutput.PROBABILITIES)


@pytest.mark.parametrize(
    ("parameters", "properties", "discrete"),
    [
        (5, {DISTRIBUTION_PROPERTY: '{"kind": "MultiCategorical", "sizes": [2, 3]}'}, True),
        (4, {}, False),
        (2, {DISTRIBUTION_PROPERTY: '{"kind": "Categorical", "size": 2}'}, True),
    ],
)
def test_what_contradicts_the_model_is_refused(
    tmp_path: Path,
    onnx_file: Callable[..., Path],
    schema_of: Callable[..., Schema],
    parameters: int,
    properties: dict[str, str],
    discrete: bool,
) -> None:
    source = onnx_file(parameters=parameters, properties=properties)
    with pytest.raises(ImportFailed, match=r"modelOutput .* says QValues: remove that"):
        convert(source, tmp_path / "b", schema=schema_of(discrete=discrete), model_output=ModelOutput.Q_VALUES)
