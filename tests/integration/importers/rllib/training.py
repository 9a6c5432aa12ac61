"""Trains small policies with RLlib and writes checkpoints, observations and RLlib's own answers.

Usage: training.py FOLDER RAY_FOLDER

For each policy there is FOLDER/NAME (the checkpoint) and FOLDER/NAME.npz with `observations` (flat, as a request gives
them), `parameters` (of RLlib's action distribution) and `actions` (what RLlib, not exploring, does to the environment);
those of a recurrent policy are one episode. Ray keeps its files and sockets in RAY_FOLDER, whose path must be short.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import configurations  # type: ignore[import-not-found]  # a file beside this program
import gymnasium as gym
import numpy as np
import ray
import torch
import tree  # type: ignore[import-not-found]  # dm-tree isn't installed where types are checked
from ray import cloudpickle
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.connectors.env_to_module import MeanStdFilter
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchSquashedGaussian
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.tune.registry import register_env

ROWS = 20


def flat(observation: Any) -> np.ndarray[Any, Any]:
    """Returns the numbers of a request."""
    return np.concatenate([np.ravel(part) for part in tree.flatten(observation)]).astype(np.float32)


def new_answer(algorithm: Any, observation: Any) -> tuple[Any, Any]:
    """Returns what RLlib's own connectors and module make of an observation: parameters, and what the environment gets.

    Not exploring, RLlib takes the mean of a squashed Gaussian unsquashed, which is not in its distribution's range; so
    the mean is squashed here, by RLlib's own function.
    """
    runner, module = algorithm.env_runner, algorithm.get_module()
    for connector in runner._env_to_module.connectors:
        if isinstance(connector, MeanStdFilter):
            connector._update_stats = False
    space = runner.env.single_observation_space
    episode = SingleAgentEpisode(observation_space=space, action_space=runner.env.single_action_space)
    episode.add_env_reset(observation)
    shared = {"rl_module": module, "episodes": [episode], "explore": False, "shared_data": {}}
    batch = runner._env_to_module(batch={}, **shared)
    with torch.no_grad():
        given = module.forward_inference(batch)
        parameters = given.get(Columns.ACTION_DIST_INPUTS)
        if parameters is None:
            parameters = module.compute_q_values(batch)["qf_preds"]
        else:
            drawn = module.get_inference_action_dist_cls().from_logits(parameters)
            if isinstance(drawn, TorchSquashedGaussian):
                given[Columns.ACTIONS] = drawn._squash(drawn.loc)
    acted = runner._module_to_env(batch=given, **shared)
    return parameters.numpy()[0], acted.get(Columns.ACTIONS_FOR_ENV, acted[Columns.ACTIONS])


def old_answer(algorithm: Any, observation: Any) -> tuple[Any, Any]:
    action, _, more = algorithm.compute_single_action(observation, explore=False, full_fetch=True)
    return more["action_dist_inputs"], action


def explored(algorithm: Any, observations: Any) -> dict[str, Any]:
    """Returns actions that RLlib drew, and the probability that it gives for each."""
    answers = [algorithm.compute_single_action(one, explore=True, full_fetch=True) for one in observations]
    return {"drawn": [action for action, _, _ in answers], "chances": [more["action_prob"] for _, _, more in answers]}


def without_noise(algorithm: Any) -> None:
    for name, parameter in algorithm.get_policy().model.named_parameters():
        if "sigma_" in name:
            parameter.data.zero_()


def new_episode(algorithm: Any, observations: Any) -> list[tuple[Any, Any]]:
    """Returns what a recurrent module without connectors answers one observation after the other."""
    module, answers = algorithm.get_module(), []
    state = tree.map_structure(lambda part: torch.as_tensor(part).unsqueeze(0), module.get_initial_state())
    for observation in observations:
        batch = {Columns.OBS: torch.from_numpy(observation)[None, None], Columns.STATE_IN: state}
        with torch.no_grad():
            given = module.forward_inference(batch)
        parameters, state = given[Columns.ACTION_DIST_INPUTS].numpy()[0, 0], given[Columns.STATE_OUT]
        answers.append((parameters, int(parameters.argmax())))
    return answers


def old_episode(algorithm: Any, observations: Any) -> list[tuple[Any, Any]]:
    answers, state = [], algorithm.get_policy().get_initial_state()
    for observation in observations:
        action, state, more = algorithm.compute_single_action(observation, state=state, explore=False)
        answers.append((more["action_dist_inputs"], action))
    return answers


def several_policies(folder: Path) -> None:
    """Writes a checkpoint of two modules without a default."""
    one = RLModuleSpec(
        module_class=DefaultPPOTorchRLModule,
        observation_space=configurations.NEAR,
        action_space=configurations.ACTIONS,
        model_config=dict(configurations.SMALL),
    )
    MultiRLModuleSpec(rl_module_specs={"cat": one, "mouse": one}).build().save_to_path(str(folder))


def changed(folder: Path) -> None:
    """Writes checkpoints that differ in one thing from what was trained."""
    shutil.copytree(folder / "new_ppo", folder / "new_ppo_without_runner")
    shutil.rmtree(folder / "new_ppo_without_runner" / "env_runner")
    shutil.copytree(folder / "new_ppo", folder / "new_ppo_own_code")
    module = folder / "new_ppo_own_code" / "learner_group" / "learner" / "rl_module" / "default_policy"
    (module / "class_and_ctor_args.pkl").write_bytes(b"cnobodys_networks\nNetwork\n.")
    # As older versions of Ray saved policies, without connectors; the filters are in the algorithm's state, too.
    change_policy(folder, "old_ppo_normalised", "without_connectors", lambda state: state.pop("connector_configs"))
    shutil.copy(folder / "old_ppo_normalised.npz", folder / "old_ppo_normalised_without_connectors.npz")
    change_policy(
        folder, "old_ppo", "of_tensorflow", lambda state: state["policy_spec"]["config"].update(framework="tf2")
    )
    gone = "ray.rllib.policy.nobody.HasThis"
    change_policy(folder, "old_ppo", "of_another_version", lambda state: state["policy_spec"].update(policy_class=gone))
    about = folder / "old_ppo_of_another_version" / "rllib_checkpoint.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"ray_version": "2.9.3"}))


def change_policy(folder: Path, name: str, how: str, change: Callable[[dict[str, Any]], object]) -> None:
    shutil.copytree(folder / name, folder / f"{name}_{how}")
    file = folder / f"{name}_{how}" / "policies" / "default_policy" / "policy_state.pkl"
    state = cloudpickle.loads(file.read_bytes())
    change(state)
    file.write_bytes(cloudpickle.dumps(state))


def train(make: Callable[[], Any], folder: Path) -> None:
    name = make.__name__
    algorithm = make().build_algo()
    algorithm.train()
    is_new = name.startswith("new")
    algorithm.save_to_path(str(folder / name)) if is_new else algorithm.save(str(folder / name))
    if make is configurations.old_dqn_noisy:
        without_noise(algorithm)
    if make is not configurations.new_ppo_own_connector:
        config = algorithm.config
        space = (
            config.env_config["observation_space"] if config.env == "walk" else gym.make(config.env).observation_space
        )
        space.seed(5)
        observations = [space.sample() for _ in range(ROWS)]
        if "recurrent" in name:
            answers = (new_episode if is_new else old_episode)(algorithm, observations)
        else:
            answer = new_answer if is_new else old_answer
            answers = [answer(algorithm, observation) for observation in observations]
        more = explored(algorithm, observations) if make is configurations.old_dqn_drawing else {}
        np.savez(
            folder / f"{name}.npz",
            **more,
            observations=np.stack([flat(observation) for observation in observations]),
            parameters=np.stack([parameters for parameters, _ in answers]),
            actions=np.stack([flat(action) for _, action in answers]),
        )
    algorithm.stop()


def main(folder: Path, ray_folder: str) -> None:
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        object_store_memory=80 * 1024 * 1024,
        _temp_dir=ray_folder,
    )
    try:
        register_env("walk", configurations.Walk)
        for make in configurations.POLICIES:
            train(make, folder)
        several_policies(folder / "several")
        changed(folder)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
