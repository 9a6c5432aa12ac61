"""Trains small policies with Stable-Baselines3, and writes what they answer themselves.

Run as a program by the frameworks' own Python: training.py FOLDER NAME…

For each NAME, FOLDER/NAME has the model (a folder, where it has several files), `observations.npy` as a server would be
given them, and what the framework says of them: `actions.npy` (deterministic) and, where there is such a thing,
`probabilities.npy` (of each action), `log_densities.npy` of the actions in `drawn.npy`, and `facts.json`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

ROWS = 32
STEPS = 256
QUICK = {"PPO": {"n_steps": 64, "batch_size": 32, "n_epochs": 2}, "DQN": {"learning_starts": 32}}
QUICK["SAC"] = QUICK["TD3"] = {"learning_starts": 32, "buffer_size": 1000}

random = np.random.default_rng(0)


class Walk(gymnasium.Env[Any, Any]):
    """Random observations of any space, and a reward that any action influences."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.observation_space.seed(0)
        self.step_number = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.step_number = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.step_number += 1
        return self.observation_space.sample(), float(np.sum(action)), self.step_number >= 20, False, {}


def box(*shape: int, low: float = -2, high: float = 3) -> Any:
    return spaces.Box(low, high, shape, np.float32)


def trained(algorithm: Any, environment: Any, steps: int = STEPS, **options: Any) -> Any:
    options = QUICK.get(algorithm.__name__, {}) | options
    policy = "MultiInputPolicy" if isinstance(environment.observation_space, spaces.Dict) else "MlpPolicy"
    return algorithm(policy, environment, seed=0, device="cpu", **options).learn(steps)


def rows_of(model: Any, count: int = ROWS) -> tuple[Any, np.ndarray[Any, Any]]:
    """Observations as the framework has them, and as rows of numbers in the order of the space."""
    space = model.observation_space
    samples = [space.sample() for _ in range(count)]
    if isinstance(space, spaces.Dict):
        given: Any = {key: np.stack([sample[key] for sample in samples]) for key in space.spaces}
        rows = np.concatenate([given[key].reshape(count, -1) for key in space.spaces], axis=1)
    else:
        given = np.stack(samples)
        rows = given.reshape(count, -1)
    return given, rows.astype(np.float32)


def save(folder: Path, model: Any, normalize: VecNormalize | None = None, **facts: Any) -> None:
    given, rows = rows_of(model)
    theirs = given if normalize is None else normalize.normalize_obs(given)
    np.save(folder / "observations.npy", rows)
    np.save(folder / "actions.npy", model.predict(theirs, deterministic=True)[0].reshape(ROWS, -1))
    tensors, _ = model.policy.obs_to_tensor(theirs)
    with torch.no_grad():
        if hasattr(model.policy, "get_distribution"):
            stochastic(folder, model, model.policy.get_distribution(tensors))
        elif hasattr(model, "actor") and hasattr(model.actor, "get_action_dist_params"):
            mean, log_std, arguments = model.actor.get_action_dist_params(tensors)
            stochastic(folder, model, model.actor.action_dist.proba_distribution(mean, log_std, **arguments))
    (folder / "facts.json").write_text(json.dumps(facts))
    model.save(folder / "model.zip")


def stochastic(folder: Path, model: Any, distribution: Any) -> None:
    """Writes probabilities as the framework's own distribution has them."""
    if isinstance(model.action_space, spaces.Discrete):
        every = torch.arange(model.action_space.n)
        found = torch.stack([distribution.log_prob(action.expand(ROWS)) for action in every], dim=1)
        np.save(folder / "probabilities.npy", found.exp().numpy())
        return
    if isinstance(model.action_space, spaces.Box):
        drawn = torch.from_numpy(random.uniform(-0.9, 0.9, (ROWS, *model.action_space.shape)).astype(np.float32))
    else:
        drawn = torch.from_numpy(np.stack([model.action_space.sample() for _ in range(ROWS)])).float()
    np.save(folder / "drawn.npy", drawn.reshape(ROWS, -1).numpy())
    np.save(folder / "log_densities.npy", distribution.log_prob(drawn.reshape(ROWS, -1)).numpy())


def ppo_discrete(folder: Path) -> None:
    save(folder, trained(PPO, gymnasium.make("CartPole-v1")))


def ppo_multi_discrete(folder: Path) -> None:
    save(folder, trained(PPO, Walk(box(5), spaces.MultiDiscrete([2, 4, 3]))))


def ppo_multi_binary(folder: Path) -> None:
    save(folder, trained(PPO, Walk(box(2, 3), spaces.MultiBinary(4))))


def a2c_box(folder: Path) -> None:
    """Bounds that the mean leaves for some observations."""
    action = spaces.Box(np.array([-0.01, -5], np.float32), np.array([0.02, 0.01], np.float32))
    save(folder, trained(A2C, Walk(box(3), action)), low=[-0.01, -5], high=[0.02, 0.01])


def a2c_state_dependent(folder: Path) -> None:
    save(folder, trained(A2C, Walk(box(3), box(2, low=-1, high=1)), use_sde=True))


def ppo_state_dependent_squashed(folder: Path) -> None:
    options = {"squash_output": True, "full_std": False}
    model = trained(PPO, Walk(box(3), box(2, low=-3, high=1)), use_sde=True, policy_kwargs=options)
    save(folder, model, low=[-3, -3], high=[1, 1])


def ppo_dict(folder: Path) -> None:
    parts = {"wide": box(2, 2), "number": spaces.Discrete(4), "several": spaces.MultiDiscrete([3, 2])}
    parts |= {"bits": spaces.MultiBinary(3)}
    model = trained(PPO, Walk(spaces.Dict(parts), spaces.Discrete(3)))
    save(folder, model, order=list(model.observation_space.spaces))


def ppo_one_number(folder: Path) -> None:
    save(folder, trained(PPO, Walk(spaces.Discrete(6), spaces.Discrete(3))))


def ppo_own_networks(folder: Path) -> None:
    options = {"net_arch": {"pi": [16, 8], "vf": [4]}, "activation_fn": torch.nn.ELU, "share_features_extractor": False}
    save(folder, trained(PPO, gymnasium.make("CartPole-v1"), policy_kwargs=options))


def dqn(folder: Path) -> None:
    model = trained(DQN, gymnasium.make("CartPole-v1"), exploration_final_eps=0.07, exploration_fraction=0.5)
    save(folder, model, epsilon=model.exploration_rate)


def sac(folder: Path) -> None:
    save(folder, trained(SAC, Walk(box(3), box(2, low=-2, high=5)), steps=64), low=[-2, -2], high=[5, 5])


def sac_state_dependent(folder: Path) -> None:
    model = trained(SAC, Walk(box(3), box(2, low=-2, high=5)), steps=64, use_sde=True)
    save(folder, model, low=[-2, -2], high=[5, 5])


def normalized(
    folder: Path, space: Any, below: str = "", statistics: str = "vec_normalize.pkl", **options: Any
) -> None:
    environment = VecNormalize(DummyVecEnv([lambda: Walk(space, spaces.Discrete(3))]), **options)
    model = trained(PPO, environment)
    environment.training = False
    save(folder, model, environment)
    (folder / "model" / below).mkdir(parents=True)
    (folder / "model.zip").rename(folder / "model" / below / "policy.zip")
    environment.save(str(folder / "model" / statistics))


def ppo_normalized(folder: Path) -> None:
    normalized(folder, box(4, low=-1000, high=3000), clip_obs=1.5)


def ppo_normalized_dict(folder: Path) -> None:
    parts = {"far": box(2, low=500, high=600), "near": box(3), "number": spaces.Discrete(4)}
    normalized(folder, spaces.Dict(parts), below="best", norm_obs_keys=["far"])  # as EvalCallback leaves it


def ppo_normalized_rewards(folder: Path) -> None:
    normalized(folder, box(4), norm_obs=False)


def ppo_statistics_of_another_name(folder: Path) -> None:
    normalized(folder, box(4), statistics="stats.pkl")


def ppo_without_statistics(folder: Path) -> None:
    save(folder, trained(PPO, VecNormalize(DummyVecEnv([lambda: Walk(box(4), spaces.Discrete(3))]))))


def td3(folder: Path) -> None:
    save(folder, trained(TD3, Walk(box(3), box(2)), steps=64))


def ppo_image(folder: Path) -> None:
    environment = Walk(spaces.Box(0, 255, (36, 36, 3), np.uint8), spaces.Discrete(2))
    PPO("CnnPolicy", environment, n_steps=8, batch_size=8, n_epochs=1, device="cpu").save(folder / "model.zip")


class Contrary(PPO.policy_aliases["MlpPolicy"]):  # type: ignore[misc, name-defined]  # the framework's
    """Takes the action that its networks like least: what importers can't know."""

    def _predict(self, observation: Any, deterministic: bool = False) -> Any:
        return 1 - super()._predict(observation, deterministic)


def ppo_own_class(folder: Path) -> None:
    PPO(Contrary, gymnasium.make("CartPole-v1"), seed=0, device="cpu").save(folder / "model.zip")


if __name__ == "__main__":
    torch.manual_seed(0)
    for name in sys.argv[2:]:
        into = Path(sys.argv[1]) / name
        into.mkdir()
        globals()[name](into)
