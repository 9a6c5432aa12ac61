"""Writes episodes as RLlib reads them offline: a JSON SampleBatch for each, on a line of its own.

The old API stack reads them with `config.offline_data(input_=DIR)`; the new one with `input_read_method="read_json"`
and `input_read_sample_batches=True`.
"""

import json
from collections import Counter
from collections.abc import Iterable
from math import log
from pathlib import Path
from typing import Any

from policy_server.evaluation.episodes import Episode
from policy_server.evaluation.errors import EvaluationRefused

FILE = "episodes.json"


def write(episodes: Iterable[Episode], folder: Path, default: float | None, left_out: Counter[str]) -> int:
    """Writes what can be learned from, and returns how many episodes that were.

    Args:
        episodes: that are over.
        folder: gets one file, `FILE`; RLlib reads all of a folder.
        default: the reward of what has none; None: it is left out.
        left_out: gets what is left out, by the reason.

    Raises:
        EvaluationRefused: the file can't be written, or there is no episode for it.
    """
    number = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / FILE).open("w") as file:
            for episode in episodes:
                if not episode.rewards and default is None:
                    left_out["without a reward"] += 1
                elif len({step.decision_id for step in episode.steps}) < len(episode.steps):
                    left_out["with several rows in one request"] += 1
                else:
                    file.write(json.dumps(_batch(episode, number, default or 0.0)) + "\n")
                    number += 1
    except OSError as error:
        raise EvaluationRefused(f"{error.filename}: {error.strerror}") from None
    if not number:
        raise EvaluationRefused("no episode that is over has a reward: give --default-reward, or a longer log")
    return number


def _batch(episode: Episode, number: int, default: float) -> dict[str, Any]:
    """Returns the columns of an episode.

    The log ends with the last observation that was asked about, so the one after the last action is not known, and that
    one stands in its place: of no matter where the episode is done, as nothing is expected after it.
    """
    steps = episode.steps
    observations = [step.observation for step in steps]
    last = [False] * (len(steps) - 1) + [True]
    done = episode.done or episode.alone
    batch: dict[str, Any] = {
        "type": "SampleBatch",
        "eps_id": [number] * len(steps),
        "t": list(range(len(steps))),
        "obs": observations,
        "new_obs": [*observations[1:], observations[-1]],
        "actions": [_action(step.actions) for step in steps],
        "rewards": _rewards(episode, default),
        "terminateds": [each and done for each in last],
        "truncateds": [each and not done for each in last],
    }
    likely = [step.probability for step in steps if step.probability]
    if len(likely) == len(steps):  # as RLlib needs it to weight what another policy did
        batch["action_prob"] = likely
        batch["action_logp"] = [log(probability) for probability in likely]
    return batch


def _rewards(episode: Episode, default: float) -> list[float]:
    """Returns each step's: a reward without a decision's id is of the last decision before it."""
    rewards = [0.0] * len(episode.steps)
    places = {step.decision_id: place for place, step in enumerate(episode.steps)}
    for reward in episode.rewards:
        place = places.get(reward.decision_id or "")
        if place is None:
            before = [at for at, step in enumerate(episode.steps) if step.time <= reward.time]
            place = before[-1] if before else 0
        rewards[place] += reward.reward
    if not episode.rewards:
        rewards[-1] = default
    return rewards


def _action(actions: list[int | float]) -> int | list[int | float]:
    """Returns what a space of RLlib takes: the number alone of a single discrete choice, a vector of anything else."""
    (first, *others) = actions
    return first if not others and isinstance(first, int) else actions
