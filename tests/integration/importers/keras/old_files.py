"""HDF5 files as Keras 2.0.8 of 2017 wrote them; no such Keras runs on today's Python."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Weights = list[tuple[np.ndarray, np.ndarray]]
_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
}


def dense(name: str, units: int, activation: str) -> dict[str, Any]:
    config: dict[str, Any] = dict.fromkeys(
        ["kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint"]
    )
    config |= {"name": name, "trainable": True, "units": units, "activation": activation, "use_bias": True}
    config |= {"kernel_initializer": _INITIALIZER, "bias_initializer": {"class_name": "Zeros", "config": {}}}
    return {"class_name": "Dense", "config": config}


def write_dqn(path: Path, *, window: bool = False, layers_alone: bool = False) -> Weights:
    """Writes the network of the usual CartPole DQN, 4 → 24 → 24 → 2; returns its kernels and biases.

    Args:
        path: the file.
        window: begins with `Flatten` over a window of one step, as agents of keras-rl do.
        layers_alone: describes the model by the bare list of its layers, as Keras before 2.2.3 did.
    """
    layers = [dense("dense_1", 24, "relu"), dense("dense_2", 24, "relu"), dense("dense_3", 2, "linear")]
    if window:
        layers.insert(0, {"class_name": "Flatten", "config": {"name": "flatten_1", "trainable": True}})
    layers[0]["config"] |= {"batch_input_shape": [None, 1, 4] if window else [None, 4], "dtype": "float32"}
    described = layers if layers_alone else {"name": "sequential_1", "layers": layers}
    optimizer = {"lr": 0.001, "beta_1": 0.9, "beta_2": 0.999, "decay": 0.0, "epsilon": 1e-08}
    training = {"optimizer_config": {"class_name": "Adam", "config": optimizer}, "loss": "mse", "metrics": []}
    random, width, weights = np.random.default_rng(8), 4, []
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.0.8", b"tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": described}).encode()
        file.attrs["training_config"] = json.dumps(training).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer["config"]["name"].encode() for layer in layers]
        group.attrs["keras_version"], group.attrs["backend"] = b"2.0.8", b"tensorflow"
        for layer in layers:
            name, units = layer["config"]["name"], layer["config"].get("units")
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [f"{name}/{one}:0".encode() for one in ("kernel", "bias") if units]
            if units:
                kernel, bias = (random.normal(size=shape).astype(np.float32) for shape in ((width, units), (units,)))
                inner[f"{name}/kernel:0"], inner[f"{name}/bias:0"] = kernel, bias
                weights.append((kernel, bias))
                width = units
    return weights


def answer(weights: Weights, observations: np.ndarray) -> np.ndarray:
    for kernel, bias in weights[:-1]:
        observations = np.maximum(observations @ kernel + bias, 0)
    kernel, bias = weights[-1]
    return observations @ kernel + bias
