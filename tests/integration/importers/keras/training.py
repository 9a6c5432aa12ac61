"""Keras in a process of its own: trains small models, saves them in each of its formats, and answers for them."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

WIDTH = 4


def network(*last: Any, shape: tuple[int, ...] = (WIDTH,)) -> Any:
    first = [layers.Flatten()] if len(shape) > 1 else []
    return keras.Sequential([keras.Input(shape), *first, layers.Dense(24, activation="relu"), *last])


def q_values() -> Any:
    """Fitted to the targets of one step, as a DQN's are."""
    model = network(layers.Dense(24, activation="relu"), layers.Dense(2, activation="linear"))
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate=0.01))
    observations = np.random.default_rng(1).normal(size=(512, WIDTH))
    targets = np.stack([observations.sum(axis=1), 3 - observations[:, 0]], axis=1)
    model.fit(observations, targets, epochs=3, verbose=0)
    return model


def probabilities() -> Any:
    model = network(layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3, activation="softmax"))
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd")
    observations = np.random.default_rng(2).normal(size=(512, WIDTH))
    model.fit(observations, observations[:, :3].argmax(axis=1), epochs=3, verbose=0)
    return model


def window() -> Any:
    """As agents of keras-rl see it: the last observations, of which there is one."""
    return network(layers.Dense(2), shape=(1, WIDTH))


def branches() -> Any:
    """A dueling network: the mean is an operation of the functional API, not a layer."""
    given = keras.Input((WIDTH,))
    hidden = layers.Dense(16, activation="tanh")(given)
    advantage = layers.Dense(2)(hidden)
    centred = advantage - keras.ops.mean(advantage, axis=1, keepdims=True)
    return keras.Model(given, layers.Add()([centred, layers.Dense(2)(hidden)]))


def code() -> Any:
    return network(layers.Dense(2), layers.Lambda(lambda x: x * 2.0, output_shape=(2,), name="doubled"))


def several_outputs() -> Any:
    given = keras.Input((WIDTH,))
    return keras.Model(given, [layers.Dense(2, name="policy")(given), layers.Dense(1, name="value")(given)])


def noisy() -> Any:
    noise = layers.Lambda(lambda x: x + __import__("keras").random.normal((2,)), output_shape=(2,))
    return network(layers.Dense(2), noise)


MODELS = [q_values, probabilities, window, branches, code, several_outputs, noisy]


def main(folder: Path) -> None:
    keras.utils.set_random_seed(5)
    observations = np.random.default_rng(3).normal(size=(200, WIDTH)).astype(np.float32)
    np.save(folder / "observations.npy", observations)
    for build in MODELS:
        model = build()
        model.save(folder / f"{build.__name__}.keras")
        model.save(folder / f"{build.__name__}.h5")
        answer = model.predict(observations.reshape(-1, *model.inputs[0].shape[1:]), verbose=0)
        np.save(folder / f"{build.__name__}.npy", answer[0] if isinstance(answer, list) else answer)
    q_values().save_weights(folder / "only.weights.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
