"""What onnxruntime says of an ONNX model; the `onnx` package isn't needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from policy_server.bundle import Categorical, DiagonalGaussian, Distribution, State
from policy_server.config import Schema
from policy_server.errors import ImportFailed
from policy_server.importers.onnx_state import (
    FLOAT,
    HOW_TO_SAY_STATE,
    beginning,
    described,
    require_state,
    state_said,
)

DISTRIBUTION_PROPERTY = "policyserver.distribution"
"""The metadata property of an ONNX model in which its exporter can say the distribution, as JSON."""
LOG_PROBABILITIES = "log_probabilities_of_actions"
"""The output that is added to models whose own are probabilities."""
OUTPUT_NAMES = (LOG_PROBABILITIES, "distribution_parameters", "action_dist_inputs", "logits")
"""Which of several outputs is meant, best first."""
_HOW_TO_SAY = (
    "put it into the model's metadata: onnx.helper.set_model_props(model, "
    f"{{{DISTRIBUTION_PROPERTY!r}: " + '\'{"kind": "MultiCategorical", "sizes": [2, 3]}\'})'
)


@dataclass(frozen=True)
class OnnxModel:
    """A model that can be served: one input of observations, one output of distribution parameters.

    That of a recurrent policy also has an input and an output for each tensor of its memory.
    """

    session: Any
    input: str
    output: str
    observation_size: int
    parameters: int
    properties: dict[str, str]
    state: tuple[State, ...] = ()


def load(model: bytes, state: Sequence[State] | None = None) -> OnnxModel:
    """Returns what the model takes and gives, found by running it on zeros.

    Args:
        model: the file's content.
        state: the memory of a recurrent policy; None: what the model's metadata says, or none.

    Raises:
        ImportFailed: onnxruntime can't load it, it needs other files, or it has other inputs or outputs than a policy.
    """
    session = _session(model)
    properties = dict(session.get_modelmeta().custom_metadata_map)
    states = state_said(properties) if state is None else tuple(state)
    require_state(session, states)
    all_inputs = session.get_inputs()
    found = ", ".join(described(one) for one in all_inputs) or "none"
    for one in all_inputs:
        if one.shape and isinstance(one.shape[0], int):
            raise ImportFailed(
                f"the ONNX model's input {described(one)} has the fixed batch size {one.shape[0]}: export it with a"
                " dynamic first dimension"
            )
    inputs = [one for one in all_inputs if one.name not in {each.input for each in states}]
    if len(inputs) != 1 or inputs[0].type != FLOAT or len(inputs[0].shape) != 2:
        raise ImportFailed(
            f"the ONNX model's inputs are {found}; needed is one float32 input [batch, n]"
            + (f" ({HOW_TO_SAY_STATE})" if len(inputs) > 1 else "")
        )
    width = inputs[0].shape[1]
    if not isinstance(width, int) or width < 1:
        raise ImportFailed(f"the ONNX model's input {described(inputs[0])} has no fixed width: export it with one")
    output = _output(session, {each.output for each in states})
    parameters = _warm_up(session, inputs[0].name, output, width, states)
    return OnnxModel(session, inputs[0].name, output, width, parameters, properties, states)


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
    """Returns the distribution parameters `(n, parameters)` for float32 observations `(n, observation_size)`.

    Of a recurrent policy these are what it answers at the beginning of an episode.
    """
    inputs = {model.input: observations} | beginning(model.state, len(observations))
    result: np.ndarray[Any, Any] = model.session.run([model.output], inputs)[0]
    return result


def _session(model: bytes) -> Any:
    # The process that only waits for this one needn't load it.
    import onnxruntime  # noqa: PLC0415

    from policy_server.onnx_runtime import session_options  # noqa: PLC0415

    options = session_options()
    options.log_severity_level = 4  # what is wrong with the model is said in one line
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base but Exception
        if "xternal data" in str(error) or "model_path" in str(error):
            raise ImportFailed(
                "the ONNX model keeps its weights in other files (external data): save it in one file,"
                " onnx.save_model(model, PATH, save_as_external_data=False)"
            ) from error
        raise ImportFailed(f"onnxruntime can't load the ONNX model: {error}") from error


def _output(session: Any, others: set[str]) -> str:
    outputs = [one for one in session.get_outputs() if one.name not in others]
    usable = [one.name for one in outputs if one.type == FLOAT and len(one.shape) in (0, 2)]
    if len(outputs) == 1 and usable:
        return str(usable[0])
    for name in OUTPUT_NAMES:
        if name in usable:
            return name
    found = ", ".join(described(one) for one in outputs)
    raise ImportFailed(
        f"the ONNX model's outputs are {found}; needed is one float32 output [batch, m], or among several one named"
        f" {' or '.join(OUTPUT_NAMES[1:])}"
    )


def _warm_up(session: Any, name: str, output: str, width: int, states: Sequence[State]) -> int:
    """Returns how many parameters the model gives for one observation, and checks that two make two rows."""
    for rows in (2, 1):
        inputs = {name: np.zeros((rows, width), np.float32)} | beginning(states, rows)
        try:
            result, *after = session.run([output, *(each.output for each in states)], inputs)
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
        for state, tensor in zip(states, after, strict=True):
            if tensor.shape != (rows, *state.shape) or not np.isfinite(tensor).all():
                raise ImportFailed(
                    f"the model's state {state.output} for {rows} observation(s) has the shape {list(tensor.shape)},"
                    f" needed is {[rows, *state.shape]}, all of it finite: correct the shape or the model"
                )
    return int(result.shape[1])
