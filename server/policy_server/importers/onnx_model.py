"""What onnxruntime says of an ONNX model; the `onnx` package isn't needed."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from policy_server.bundle import Categorical, DiagonalGaussian, Distribution
from policy_server.config import Schema
from policy_server.errors import ImportFailed

DISTRIBUTION_PROPERTY = "policyserver.distribution"
"""The metadata property of an ONNX model in which its exporter can say the distribution, as JSON."""
OUTPUT_NAMES = ("distribution_parameters", "action_dist_inputs", "logits")
"""Which of several outputs is meant, best first."""
_FLOAT = "tensor(float)"
_HOW_TO_SAY = (
    "put it into the model's metadata: onnx.helper.set_model_props(model, "
    f"{{{DISTRIBUTION_PROPERTY!r}: " + '\'{"kind": "MultiCategorical", "sizes": [2, 3]}\'})'
)


@dataclass(frozen=True)
class OnnxModel:
    """A model that can be served: one input of observations, one output of distribution parameters."""

    session: Any
    input: str
    output: str
    observation_size: int
    parameters: int
    properties: dict[str, str]


def load(model: bytes) -> OnnxModel:
    """Returns what the model takes and gives, found by running it once on zeros.

    Raises:
        ImportFailed: onnxruntime can't load it, it needs other files, or it has other inputs or outputs than a policy.
    """
    session = _session(model)
    inputs = session.get_inputs()
    found = ", ".join(_described(one) for one in inputs) or "none"
    if len(inputs) != 1 or inputs[0].type != _FLOAT or len(inputs[0].shape) != 2:
        raise ImportFailed(
            f"the ONNX model's inputs are {found}; needed is one float32 input [batch, n]"
            " (models with a recurrent state can't be served yet)"
        )
    batch, width = inputs[0].shape
    if isinstance(batch, int):
        raise ImportFailed(
            f"the ONNX model's input {found} has the fixed batch size {batch}: export it with a dynamic first dimension"
        )
    if not isinstance(width, int) or width < 1:
        raise ImportFailed(f"the ONNX model's input {found} has no fixed width: export it with one")
    output = _output(session)
    parameters = _warm_up(session, inputs[0].name, output, width)
    properties = dict(session.get_modelmeta().custom_metadata_map)
    return OnnxModel(session, inputs[0].name, output, width, parameters, properties)


def distribution_of(parameters: int, properties: dict[str, str], schema: Schema | None) -> Distribution:
    """Returns the distribution that the model's metadata says, or else the one that the schema implies.

    Args:
        parameters: how many numbers the model gives.
        properties: the model's metadata.
        schema: None where there is no schema yet.

    Raises:
        ImportFailed: neither says it, or it needs another number of parameters than the model gives.
    """
    said = properties.get(DISTRIBUTION_PROPERTY)
    if said is not None:
        adapter: TypeAdapter[Distribution] = TypeAdapter(Distribution)
        try:
            distribution = adapter.validate_json(said)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ImportFailed(f"the model's property {DISTRIBUTION_PROPERTY} is wrong ({reason}): {said}") from None
    elif schema is None:
        raise ImportFailed(
            f"nothing says which actions the model's {parameters} outputs mean: give a schema, or {_HOW_TO_SAY}"
        )
    elif not schema.discrete:
        if parameters % 2:
            raise ImportFailed(
                f"the model gives {parameters} parameters, an odd number, but the schema says discrete: false, which"
                " takes a mean and a log standard deviation for each action: correct the schema's discrete or the model"
            )
        distribution = DiagonalGaussian(size=parameters // 2)
    elif schema.tuple:
        raise ImportFailed(
            f"the schema says tuple: true, but not how the model's {parameters} outputs divide: {_HOW_TO_SAY}"
        )
    else:
        distribution = Categorical(size=parameters)
    if distribution.parameters != parameters:
        raise ImportFailed(
            f"the model gives {parameters} parameters, {distribution.kind} as its metadata has it needs"
            f" {distribution.parameters}: correct the property {DISTRIBUTION_PROPERTY} or the model"
        )
    return distribution


def run(model: OnnxModel, observations: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the distribution parameters `(n, parameters)` for float32 observations `(n, observation_size)`."""
    result: np.ndarray[Any, Any] = model.session.run([model.output], {model.input: observations})[0]
    return result


def _session(model: bytes) -> Any:
    import onnxruntime  # noqa: PLC0415  # the process that only waits for this one needn't load it

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Tensors kept in other files would be read from the working directory; from here nothing can be.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base but Exception
        if "xternal data" in str(error) or "model_path" in str(error):
            raise ImportFailed(
                "the ONNX model keeps its weights in other files (external data): save it in one file,"
                " onnx.save_model(model, PATH, save_as_external_data=False)"
            ) from error
        raise ImportFailed(f"onnxruntime can't load the ONNX model: {error}") from error


def _described(one: Any) -> str:
    return f"{one.name} {one.type.removeprefix('tensor(').removesuffix(')')}{list(one.shape)}".replace("'", "")


def _output(session: Any) -> str:
    outputs = session.get_outputs()
    usable = [one.name for one in outputs if one.type == _FLOAT and len(one.shape) in (0, 2)]
    if len(outputs) == 1 and usable:
        return str(usable[0])
    for name in OUTPUT_NAMES:
        if name in usable:
            return name
    found = ", ".join(_described(one) for one in outputs)
    raise ImportFailed(
        f"the ONNX model's outputs are {found}; needed is one float32 output [batch, m], or among several one named"
        f" {' or '.join(OUTPUT_NAMES)}"
    )


def _warm_up(session: Any, name: str, output: str, width: int) -> int:
    """Returns how many parameters the model gives for one observation, and checks that two make two rows."""
    for rows in (2, 1):
        try:
            result = session.run([output], {name: np.zeros((rows, width), np.float32)})[0]
        except Exception as error:  # as in _session
            raise ImportFailed(f"the model fails on {rows} observation(s) of zeros: {error}") from error
        if result.ndim != 2 or result.shape[0] != rows or result.shape[1] < 1:
            raise ImportFailed(
                f"the model's output {output} has the shape {list(result.shape)} for {rows} observation(s);"
                " needed is one row of parameters for each"
            )
        if not np.isfinite(result).all():
            raise ImportFailed(
                f"the model's output {output} for an observation of zeros isn't finite: {result[0].tolist()};"
                " train or export it again"
            )
    return int(result.shape[1])
