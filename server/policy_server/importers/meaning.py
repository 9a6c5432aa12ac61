"""What a model's outputs mean where its format doesn't say: logits, probabilities or Q-values of discrete actions."""

import struct

import numpy as np

from policy_server.bundle import Categorical, Distribution, QValues
from policy_server.config import ModelFormat, ModelOutput, Schema
from policy_server.errors import ImportFailed
from policy_server.importers import onnx_model
from policy_server.importers.onnx_model import DISTRIBUTION_PROPERTY, LOG_PROBABILITIES, OnnxModel

_OBSERVATIONS = 64
_NEARLY = 1e-3


def interpreted(
    model: bytes, loaded: OnnxModel, schema: Schema | None, said: ModelOutput | None, model_format: ModelFormat
) -> tuple[bytes, Distribution]:
    """Returns the model, with probabilities turned into logits, and its distribution.

    Whoever exported the model says it in the metadata, or else `said` does. Outputs that are none of that are taken
    for probabilities if they are some, and else for logits; but not those of Keras, whose models for discrete actions
    are more often of Q-values, and nothing in the file tells.

    Raises:
        ImportFailed: the distribution can't be known, or the model contradicts what is said of it.
    """
    distribution = onnx_model.distribution_of(loaded.parameters, loaded.properties, schema)
    if DISTRIBUTION_PROPERTY in loaded.properties or not isinstance(distribution, Categorical):
        require_agreement(said, distribution)
        return model, distribution
    probable = _gives_probabilities(loaded)
    if said is ModelOutput.Q_VALUES:
        return model, QValues(size=distribution.size)
    if said is ModelOutput.PROBABILITIES and not probable:
        raise ImportFailed(
            "modelOutput (--model-output) says Probabilities, the model's outputs don't sum to 1: say Logits or QValues"
        )
    if said is None and not probable and model_format is ModelFormat.KERAS:
        raise ImportFailed(
            f"nothing says whether the Keras model's {distribution.size} outputs are logits or, as of a DQN, Q-values:"
            " say modelOutput (--model-output) Logits or QValues"
        )
    if probable and said is not ModelOutput.LOGITS:
        return _with_logits(model, loaded.output), distribution
    return model, distribution


def require_agreement(said: ModelOutput | None, distribution: Distribution) -> None:
    """Raises ImportFailed where `said` contradicts what the model or the schema already tells."""
    agreeing = QValues if said is ModelOutput.Q_VALUES else Categorical
    if said is not None and not isinstance(distribution, agreeing):
        raise ImportFailed(
            f"the model's outputs are known to be the parameters of a {distribution.kind}, modelOutput (--model-output)"
            f" says {said}: remove that"
        )


def _gives_probabilities(loaded: OnnxModel) -> bool:
    """Whether the outputs for ordinary observations are probabilities; logits that look so are very unlikely."""
    observations = np.random.default_rng(0).normal(size=(_OBSERVATIONS, loaded.observation_size)).astype(np.float32)
    outputs = onnx_model.run(loaded, observations)
    return bool(loaded.parameters > 1 and (outputs >= 0).all() and (abs(outputs.sum(axis=1) - 1) < _NEARLY).all())


def _with_logits(model: bytes, probabilities: str) -> bytes:
    """Returns the model with one more output, the logarithms of the output `probabilities`.

    Serialised protobuf messages that follow each other are one message (protobuf's encoding, "Last One Wins": embedded
    messages are merged, repeated fields concatenated), so the two nodes are added to the graph without a library. The
    numbers of the fields are those of onnx.proto.
    """
    least = np.finfo(np.float32).tiny  # where a probability is 0 in float32, -87 is as good as minus infinity
    smallest, sums, logits = "policyserver_smallest", "policyserver_sums", LOG_PROBABILITIES
    initializer = _number(2, 1) + _field(9, struct.pack("<f", least)) + _field(8, smallest.encode())
    graph = (
        _field(1, _node("Add", [probabilities, smallest], sums))
        + _field(1, _node("Log", [sums], logits))
        + _field(5, initializer)
        + _field(12, _field(1, logits.encode()) + _field(2, _field(1, _number(1, 1))))
    )
    return model + _field(7, graph)


def _node(operation: str, inputs: list[str], output: str) -> bytes:
    return b"".join(
        [*(_field(1, name.encode()) for name in inputs), _field(2, output.encode()), _field(4, operation.encode())]
    )


def _field(number: int, content: bytes) -> bytes:
    """A field with a length; all of ours are shorter than 16,384 bytes."""
    length = len(content)
    return bytes([number << 3 | 2, length & 0x7F | 0x80, length >> 7]) + content


def _number(number: int, value: int) -> bytes:
    return bytes([number << 3, value])
