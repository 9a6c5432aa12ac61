"""Trains PPO on CartPole-v1 with RLlib until it balances the pole, and keeps the checkpoint.

    python examples/rllib-cartpole/train.py       # less than a minute on two cores

The output holds `checkpoint`, the folder that `policyserver import` takes.
"""

import argparse
import sys
from pathlib import Path

import ray
import torch
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from tqdm import tqdm

ENVIRONMENT = "CartPole-v1"
EPISODES = 20
"""Of how many, the last ones, the mean return is taken: of RLlib's own 100, many were played by a worse policy."""


def configuration(seed: int) -> PPOConfig:
    """Returns what learns fast for so small a task: all in this process, eight episodes at once."""
    config = PPOConfig().environment(ENVIRONMENT).env_runners(num_env_runners=0, num_envs_per_env_runner=8)
    config.training(
        train_batch_size_per_learner=2048, minibatch_size=256, num_epochs=6, lr=0.001, gamma=0.98, vf_loss_coeff=0.01
    )
    config.rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], vf_share_layers=False))
    config.reporting(metrics_num_episodes_for_smoothing=EPISODES)
    return config.debugging(seed=seed)


def train(algorithm: PPO, target: float, iterations: int) -> float:
    """Trains until the mean return is the target, or all iterations are done; returns the mean return."""
    mean_return = 0.0
    with tqdm(total=iterations, unit="iteration") as bar:
        while mean_return < target and bar.n < iterations:
            mean_return = algorithm.train()["env_runners"]["episode_return_mean"]
            bar.update()
            bar.set_postfix(mean_return=round(mean_return))
    return mean_return


def main() -> None:
    """Trains, keeps the checkpoint, and fails where the policy hasn't learned enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/rllib-cartpole"), help="default: %(default)s")
    parser.add_argument("--target", type=float, default=300, help="mean return at which it ends (default: %(default)s)")
    parser.add_argument("--iterations", type=int, default=40, help="at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the networks are too small to share out
    ray.init(num_cpus=1, include_dashboard=False)
    try:
        algorithm = configuration(options.seed).build_algo()
        mean_return = train(algorithm, options.target, options.iterations)
        checkpoint = algorithm.save_to_path(str((options.output / "checkpoint").absolute()))
        algorithm.stop()
    finally:
        ray.shutdown()
    print(f"mean return {mean_return:.0f}: {checkpoint}")
    if mean_return < options.target:
        sys.exit(f"error: less than --target {options.target:g}; allow more --iterations, or take another --seed")


if __name__ == "__main__":
    main()
