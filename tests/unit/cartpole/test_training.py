"""How the example trains, without TensorFlow."""

import argparse
import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from examples.cartpole.tracking import json_lines
from examples.cartpole.train import grid
from examples.cartpole.trial import Played, advantages, play


def upright(observations: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pushes towards where the pole falls, as a good policy does."""
    right = (observations[:, 2] + 0.5 * observations[:, 3] > 0).astype(float)
    return np.stack([1 - right, right], axis=1)


def aside(observations: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pushes to one side until the pole drops, after some ten steps."""
    return np.tile([1.0, 0.0], (len(observations), 1))


def test_an_episode_earns_what_its_steps_earned_until_its_end() -> None:
    for policy, least, most in ((aside, 8, 12), (upright, 150, 500)):
        played = play(policy, 5, np.random.default_rng(1))
        assert played.observations.shape == (*played.alive.shape, 4)
        assert (played.rewards == played.alive).all()  # 1 for each step before the end, and nothing after it
        assert not (np.diff(played.alive.astype(int), axis=0) > 0).any()  # what has ended doesn't begin anew
        assert least <= played.mean_return <= most


def test_the_same_seed_plays_the_same_episodes() -> None:
    first, again, other = (play(upright, 3, np.random.default_rng(seed)).observations for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], other[0])


def test_advantages_are_normalised_discounted_returns() -> None:
    rewards = np.array([[1.0, 1.0], [1.0, 0.0]])
    alive = np.array([[True, True], [True, False]])
    played = Played(np.zeros((2, 2, 4), np.float32), np.zeros((2, 2), np.int64), rewards, alive)
    returns = np.array([1.5, 1.0, 1.0])  # in the order of `alive`, row by row
    expected = (returns - returns.mean()) / returns.std()
    assert advantages(played, 0.5) == pytest.approx(expected, rel=1e-6)


def test_the_grid_holds_each_combination_with_a_seed_of_its_own() -> None:
    options = argparse.Namespace(
        learning_rates=[0.1, 0.2], hidden=[4, 8], discounts=[0.9], target=400, updates=3, seed=7
    )
    trials = grid(options)
    assert {(trial.learning_rate, trial.hidden) for trial in trials} == {(0.1, 4), (0.1, 8), (0.2, 4), (0.2, 8)}
    assert [trial.seed for trial in trials] == [7, 8, 9, 10]
    assert len({trial.name for trial in trials}) == 4


def test_each_record_is_a_line_of_json_with_its_time() -> None:
    stream = io.StringIO()
    records: list[dict[str, Any]] = [{"trial": "a", "update": 0, "mean_return": 1.5}, {"trial": "a", "evaluated": 2}]
    with json_lines(stream) as write:
        for record in records:
            write(record)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [{name: value for name, value in line.items() if name != "time"} for line in lines] == records
    assert all(line["time"] > 0 for line in lines)
