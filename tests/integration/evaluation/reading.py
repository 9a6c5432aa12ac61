"""Reads what `policyserver log to-rllib` wrote with RLlib's own readers, of both API stacks, and prints it as JSON.

Run as a program by the frameworks' own Python: reading.py FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pyarrow.json  # type: ignore[import-not-found]  # not installed where types are checked
from ray.data.block import BlockAccessor
from ray.rllib.algorithms.bc import BCConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.offline.json_reader import JsonReader
from ray.rllib.offline.offline_prelearner import OfflinePreLearner


def old_stack(folder: Path) -> list[dict[str, Any]]:
    """Returns the batches."""
    return [
        {key: np.asarray(batch[key]).tolist() for key in batch} for batch in JsonReader(str(folder)).read_all_files()
    ]


def new_stack(folder: Path) -> list[dict[str, Any]]:
    """Returns the episodes that RLlib makes of Arrow's columns, as Ray Data hands them to it."""
    (file,) = folder.iterdir()
    columns = BlockAccessor.for_block(pyarrow.json.read_json(file)).to_batch_format("numpy")
    spaces = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32), gym.spaces.Discrete(2)
    config = BCConfig().rl_module(rl_module_spec=RLModuleSpec(observation_space=spaces[0], action_space=spaces[1]))
    learner = OfflinePreLearner(config=config, spaces=spaces)
    return [
        {
            "observations": episode.get_observations().tolist(),
            "actions": episode.get_actions().tolist(),
            "rewards": episode.get_rewards().tolist(),
            "terminated": bool(episode.is_terminated),
            "truncated": bool(episode.is_truncated),
        }
        for episode in learner._map_sample_batch_to_episode(columns, to_numpy=True)["episodes"]
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(json.dumps({"old": old_stack(folder), "new": new_stack(folder)}))
