"""Exports small policies as RLlib did; run as a program, because TensorFlow belongs in a process of its own.

Usage: exporting.py export FOLDER | answer SAVED_MODEL OUTPUT OBSERVATIONS.npy ANSWERS.npy
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
WIDTH = 5
Tensors = dict[str, Any]


def network(observations: Any, size: int, *, resource: bool = True) -> Any:
    random = np.random.default_rng(size)
    for index, (rows, columns) in enumerate([(observations.shape[1], 16), (16, size)]):
        start = random.normal(size=(rows, columns)).astype(np.float32)
        weights = v1.get_variable(f"weights_{index}", initializer=start, use_resource=resource)
        observations = tf.matmul(observations, weights)
        observations = tf.nn.tanh(observations) if index == 0 else observations
    return observations


def sampled(logits: Any) -> Any:
    return tf.squeeze(v1.multinomial(logits, 1), axis=1)


def inputs() -> Tensors:
    return {
        "observations": v1.placeholder(tf.float32, [None, WIDTH], name="obs"),
        "prev_action": v1.placeholder(tf.int64, [None], name="prev_actions"),
        "is_training": v1.placeholder_with_default(False, [], name="is_training"),
        "seq_lens": v1.placeholder(tf.int32, [None], name="seq_lens"),
    }


def discrete(given: Tensors, **options: Any) -> Tensors:
    logits = tf.where(given["is_training"], tf.zeros([1, 3]), network(given["observations"], 3, **options))
    return {"action_dist_inputs": logits, "actions": sampled(logits)}


def old_variables(given: Tensors) -> Tensors:
    return discrete(given, resource=False)


def old_name(given: Tensors) -> Tensors:
    outputs = discrete(given)
    return {"behaviour_logits": outputs["action_dist_inputs"], "actions_0": outputs["actions"]}


def masked(given: Tensors) -> Tensors:
    mask = tf.maximum(tf.math.log(given["observations"][:, :3]), tf.float32.min)
    logits = network(given["observations"], 3) + mask
    return {"action_dist_inputs": logits, "actions": sampled(logits)}


def several(given: Tensors) -> Tensors:
    logits = network(given["observations"], 5)
    parts = tf.split(logits, [2, 3], axis=1)
    return {"action_dist_inputs": logits, "actions_0": sampled(parts[0]), "actions_1": sampled(parts[1])}


def equal_parts(given: Tensors) -> Tensors:
    logits = network(given["observations"], 6)
    parts = tf.split(tf.identity(logits), 3, axis=1)
    return {"action_dist_inputs": logits} | {f"actions_{index}": sampled(part) for index, part in enumerate(parts)}


def multi_discrete(given: Tensors) -> Tensors:
    logits = network(given["observations"], 7)
    parts = tf.split(logits, [4, 3], axis=1)
    return {"action_dist_inputs": logits, "actions": tf.stack([sampled(part) for part in parts], axis=1)}


def unknown_parts(given: Tensors) -> Tensors:
    logits = network(given["observations"], 5)
    return {
        "action_dist_inputs": logits,
        "actions_0": sampled(logits[:, :2]),
        "actions_1": sampled(logits[:, 2:]),
    }


def gaussian(given: Tensors, squash: Callable[[Any], Any] = tf.identity) -> Tensors:
    parameters = network(given["observations"], 4)
    mean, log_std = tf.split(parameters, 2, axis=1)
    return {
        "action_dist_inputs": parameters,
        "actions": squash(mean + tf.exp(log_std) * v1.random_normal(tf.shape(mean))),
    }


def several_gaussians(given: Tensors) -> Tensors:
    parameters = network(given["observations"], 6)
    outputs = {"action_dist_inputs": parameters}
    for index, part in enumerate(tf.split(parameters, [2, 4], axis=1)):
        mean, log_std = tf.split(part, 2, axis=1)
        outputs[f"actions_{index}"] = mean + tf.exp(log_std) * v1.random_normal(tf.shape(mean))
    return outputs


def squashed(given: Tensors) -> Tensors:
    return gaussian(given, tf.tanh)


def deterministic(given: Tensors) -> Tensors:
    parameters = network(given["observations"], 2)
    return {"action_dist_inputs": parameters, "actions": parameters + 0.0}


def mixed(given: Tensors) -> Tensors:
    outputs = gaussian(given)
    logits = outputs["action_dist_inputs"]
    return {"action_dist_inputs": logits, "actions_0": sampled(logits), "actions_1": outputs["actions"]}


def recurrent(given: Tensors) -> Tensors:
    given["state_in_0"] = v1.placeholder(tf.float32, [None, 2], name="state")
    logits = network(tf.concat([given["observations"], given["state_in_0"]], axis=1), 3)
    return {"action_dist_inputs": logits, "actions": sampled(logits)}


def looks_back(given: Tensors) -> Tensors:
    logits = network(given["observations"], 3) + tf.one_hot(given["prev_action"], 3)
    return {"action_dist_inputs": logits, "actions": sampled(logits)}


def noisy(given: Tensors) -> Tensors:
    logits = network(given["observations"], 3)
    logits += v1.random_normal(tf.shape(logits))
    return {"action_dist_inputs": logits, "actions": sampled(logits)}


def python_code(given: Tensors) -> Tensors:
    outputs = discrete(given)
    return outputs | {"action_prob": tf.py_function(lambda x: x, [outputs["action_dist_inputs"]], tf.float32)}


def reads_files(given: Tensors) -> Tensors:
    return discrete(given) | {"secret": tf.io.read_file("/etc/hostname")}


def no_actions(given: Tensors) -> Tensors:
    return {"action_dist_inputs": discrete(given)["action_dist_inputs"]}


POLICIES = [
    discrete, old_variables, old_name, masked, several, equal_parts, multi_discrete, unknown_parts, gaussian,
    several_gaussians, squashed, deterministic, mixed, recurrent, looks_back, noisy, python_code, reads_files,
    no_actions,
]  # fmt: skip


def export(folder: Path) -> None:
    for policy in POLICIES:
        with tf.Graph().as_default(), v1.Session() as session:
            given = inputs()
            outputs = policy(given)
            session.run(v1.global_variables_initializer())
            signature = v1.saved_model.signature_def_utils.predict_signature_def(given, outputs)
            builder = v1.saved_model.Builder(str(folder / policy.__name__))
            builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
            builder.save()
    module = tf.Module()
    module.weights = tf.Variable(np.random.default_rng(0).normal(size=(WIDTH, 4)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def call(x: Any) -> Tensors:
        return {"y": tf.nn.relu(tf.matmul(x, module.weights))}

    tf.saved_model.save(module, str(folder / "tensorflow_2"), signatures={"serving_default": call})
    network = tf.keras.Sequential([tf.keras.layers.Input((WIDTH,)), tf.keras.layers.Dense(3, name="logits")])
    network.export(str(folder / "keras_3"), verbose=False)


def answer(saved_model: str, output: str, observations: Path, answers: Path) -> None:
    """Asks TensorFlow itself for one output; the others are sampled, which fails where masks aren't 0 or 1."""
    with tf.Graph().as_default(), v1.Session() as session:
        signature = v1.saved_model.load(session, ["serve"], saved_model).signature_def["serving_default"]
        given = next(
            info.name for name, info in signature.inputs.items() if name in ("observations", "x", "keras_tensor")
        )
        np.save(answers, session.run(signature.outputs[output].name, {given: np.load(observations)}))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "export":
        export(Path(arguments[0]))
    else:
        answer(arguments[0], arguments[1], Path(arguments[2]), Path(arguments[3]))
