"""One trial of the grid: REINFORCE on CartPole-v1, with a Keras network that has one hidden layer.

Williams, R. J.: Simple statistical gradient-following algorithms for connectionist reinforcement learning, 1992.
"""
# ruff: noqa: PLC0415 -- TensorFlow takes seconds to load, and only the processes that train need it

import logging
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

ENVIRONMENT = "CartPole-v1"
OBSERVATIONS, ACTIONS = 4, 2
ENVIRONMENTS = 16
"""How many episodes are played at once, between two updates."""
EVALUATED_EPISODES = 20
MODEL_FILE = "model.h5"

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Trial:
    """One point of the grid.

    Attributes:
        number: its place in the grid.
        learning_rate: of Adam.
        hidden: how many units the hidden layer has.
        discount: what a reward one step later counts.
        seed: makes it repeatable.
        target: the steps of an episode, in the mean, at which training ends.
        updates: after how many updates it ends at the latest.
    """

    number: int
    learning_rate: float
    hidden: int
    discount: float
    seed: int
    target: float
    updates: int

    @property
    def name(self) -> str:
        """What its folder and its curves are called."""
        return f"{self.number:02}-rate{self.learning_rate:g}-hidden{self.hidden}-discount{self.discount:g}"


class Played(NamedTuple):
    """Episodes that were played at once; `steps` of the longest, `n` episodes.

    Attributes:
        observations: `(steps, n, 4)`.
        actions: `(steps, n)`.
        rewards: `(steps, n)`, 0 after the end of an episode.
        alive: `(steps, n)`, whether the episode hadn't ended before this step.
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    alive: NDArray[np.bool_]

    @property
    def mean_return(self) -> float:
        """The mean of the episodes' sums of rewards."""
        return float(self.rewards.sum(axis=0).mean())


def train(trial: Trial, folder: Path, report: Report) -> None:
    """Trains a network, saves it as `folder/model.h5`, and reports each update and last the mean return."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    keras.utils.set_random_seed(trial.seed)
    random = np.random.default_rng(trial.seed)
    network = keras.Sequential(
        [
            keras.Input((OBSERVATIONS,), name="observations"),
            keras.layers.Dense(trial.hidden, activation="tanh"),
            keras.layers.Dense(ACTIONS, activation="softmax"),
        ]
    )
    network.compile(optimizer=keras.optimizers.Adam(trial.learning_rate), loss="sparse_categorical_crossentropy")
    for update in range(trial.updates):
        played = play(network.predict_on_batch, ENVIRONMENTS, random)
        report({"trial": trial.name, "update": update, "mean_return": played.mean_return})
        if played.mean_return >= trial.target:
            break
        alive = played.alive
        # The cross-entropy of the actions taken, weighted by their advantages, is the loss of REINFORCE.
        network.train_on_batch(
            played.observations[alive], played.actions[alive], sample_weight=advantages(played, trial.discount)
        )
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("absl").setLevel(logging.ERROR)  # it would say each time that there is a newer format
    network.save(folder / MODEL_FILE)
    mean_return = play(network.predict_on_batch, EVALUATED_EPISODES, random).mean_return
    report({"trial": trial.name, "evaluated": mean_return, "parameters": asdict(trial)})


def play(probabilities: Callable[[NDArray[np.float32]], Any], episodes: int, random: np.random.Generator) -> Played:
    """Plays episodes at once, with actions drawn from the probabilities `(n, 2)` of observations `(n, 4)`."""
    steps = []
    environments = gymnasium.make_vec(ENVIRONMENT, episodes, vectorization_mode="vector_entry_point")
    observations, _ = environments.reset(seed=int(random.integers(2**31)))
    alive = np.ones(episodes, bool)
    while alive.any():
        actions = (random.random(episodes) >= np.asarray(probabilities(observations))[:, 0]).astype(np.int64)
        # Those that have ended begin anew; what they do then isn't looked at.
        following, rewards, terminated, truncated, _ = environments.step(actions)
        steps.append((observations, actions, np.where(alive, rewards, 0.0), alive))
        observations, alive = following, alive & ~(terminated | truncated)
    environments.close()
    return Played(*(np.array(column) for column in zip(*steps, strict=True)))


def advantages(played: Played, discount: float) -> NDArray[np.float64]:
    """Returns the discounted returns of all steps before their episodes' ends, normalised, in the order of `alive`."""
    returns = np.zeros_like(played.rewards)
    following = np.zeros(played.rewards.shape[1])
    for step in range(len(returns) - 1, -1, -1):
        returns[step] = following = played.rewards[step] + discount * following
    taken = returns[played.alive]
    normalised: NDArray[np.float64] = (taken - taken.mean()) / (taken.std() + 1e-8)
    return normalised
