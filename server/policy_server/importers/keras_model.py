"""Converts a Keras model to ONNX: `.keras` of Keras 3, and `.h5` of Keras 3 and of Keras 2, as DQN agents saved it."""
# ruff: noqa: PLC0415  # importing TensorFlow takes seconds, and the serving image has none

import json
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.errors import ImportFailed
from policy_server.importers import onnx_model
from policy_server.importers.agreement import require_same, trial_observations
from policy_server.importers.formats import Imported
from policy_server.importers.keras_config import as_keras_3, model_config, require_harmless
from policy_server.importers.tensorflow_graph import Frozen, tensorflow, to_onnx, tools

_LONGEST_REASON = 300


def convert(path: Path, *, trust: bool) -> Imported:
    """Returns the Keras model, checked against Keras' own answers.

    Args:
        path: an HDF5 file, or the folder of an unpacked `.keras` archive.
        trust: whether layers that hold code, such as `Lambda`, may be loaded.

    Raises:
        ImportFailed: it isn't a policy's model, can't be loaded or converted, or holds code that nobody trusts.
    """
    config = model_config(path)
    require_harmless(config, trust)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    tf = tensorflow("a Keras model")
    model = _load(path, config, trust)
    dimensions = _observed(model)
    size = int(np.prod(dimensions))
    observations = trial_observations(size)
    frozen = _freeze(tf, model, dimensions, observations)
    onnx = to_onnx(tf, frozen, size, None, None)
    require_same(onnx_model.load(onnx), observations, frozen.answer, "Keras")
    return Imported(onnx, None, f"keras {version('keras')}, {tools(tf)}")


def _load(path: Path, config: Any, trust: bool) -> Any:
    import h5py
    import keras

    with tempfile.TemporaryDirectory() as folder:
        named = path
        if not path.is_dir():  # by this suffix alone Keras knows the format
            named = Path(folder) / "model.h5"
            shutil.copyfile(path, named)
            if (understood := as_keras_3(config)) != config:
                with h5py.File(named, "r+") as file:
                    file.attrs["model_config"] = json.dumps(understood)
        try:
            # What training needs isn't needed: losses and optimizers of former versions often can't be loaded.
            return keras.models.load_model(str(named), compile=False, safe_mode=not trust)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:  # Keras raises anything on a file that isn't what it says
            reason = str(error).strip().partition("\n")[0][:_LONGEST_REASON]
            raise ImportFailed(
                f"Keras {keras.__version__} can't load the model ({type(error).__name__}: {reason}): save it with this"
                " version, or export it as ONNX"
            ) from error


def _observed(model: Any) -> list[int]:
    """Returns the shape of one observation, such as `[4]`, or `[1, 4]` of agents that see a window of steps."""
    if len(model.inputs or []) != 1 or len(model.outputs or []) != 1:
        raise ImportFailed(
            f"the Keras model has the inputs {_described(model.inputs)} and the outputs {_described(model.outputs)};"
            " needed is one of each: save the part from observations to actions, keras.Model(inputs, outputs)"
        )
    dimensions = list(model.inputs[0].shape[1:])
    if not dimensions or None in dimensions or len(model.outputs[0].shape) != 2:
        raise ImportFailed(
            f"the Keras model has the input {_described(model.inputs)} and the output {_described(model.outputs)};"
            " needed are an input [None, n] and an output [None, m]"
        )
    if not model.inputs[0].dtype.startswith("float"):
        raise ImportFailed(f"the Keras model's input is of type {model.inputs[0].dtype}; needed are real numbers")
    if stateful := [layer.name for layer in model.layers if getattr(layer, "stateful", False)]:
        raise ImportFailed(
            f"the Keras model's layer {stateful[0]!r} keeps a state from one call to the next (stateful=True): train it"
            " without, on a window of observations"
        )
    return dimensions


def _described(tensors: Any) -> str:
    return ", ".join(f"{one.name} {list(one.shape)}" for one in tensors or []) or "none"


def _freeze(tf: Any, model: Any, dimensions: list[int], observations: np.ndarray[Any, Any]) -> Frozen:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def call(observed: Any) -> Any:
        shaped = tf.cast(tf.reshape(observed, [-1, *dimensions]), model.inputs[0].dtype)
        return tf.cast(model(shaped, training=False), tf.float32)

    try:
        batch = observations.reshape(-1, *dimensions)
        answer = _answer(model, batch)
        function = tf.function(call, input_signature=[tf.TensorSpec([None, observations.shape[1]], tf.float32)])
        frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    except (ImportFailed, MemoryError):
        raise
    except Exception as error:  # as when it is loaded
        reason = str(error).strip().partition("\n")[0][:_LONGEST_REASON]
        raise ImportFailed(
            f"the Keras model fails on ordinary observations ({type(error).__name__}: {reason}): save it again"
        ) from error
    return Frozen(frozen.graph.as_graph_def(), frozen.inputs[0].name, frozen.outputs[0].name, answer)


def _answer(model: Any, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns Keras' own answer, once it has proved to be the same twice."""
    answer, again = (np.asarray(model.predict_on_batch(batch), np.float32) for _ in range(2))
    if not np.array_equal(answer, again, equal_nan=True):
        raise ImportFailed("the Keras model answers the same observation in different ways: save it without noise")
    return answer
