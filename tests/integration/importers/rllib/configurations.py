"""The policies that `training.py` trains: configurations of RLlib, small enough for a second."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.algorithms.dqn import DQN, DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SAC, SACConfig
from ray.rllib.connectors.env_to_module import FlattenObservations, MeanStdFilter
from ray.rllib.connectors.env_to_module.observation_preprocessor import SingleAgentObservationPreprocessor
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.from_config import from_config
from ray.rllib.utils.replay_buffers import ReplayBuffer

BATCH = 64
SMALL = {"fcnet_hiddens": [16, 16]}
Box, Discrete, MultiDiscrete = gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete


class Walk(gym.Env[Any, Any]):
    """Random observations and rewards; nobody but this program knows it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.observation_space = config["observation_space"]
        self.action_space = config["action_space"]
        self.observation_space.seed(1)
        self.steps = 0

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.observation_space.sample(), float(self.steps % 3), self.steps == 16, False, {}


class Doubled(SingleAgentObservationPreprocessor):  # type: ignore[misc]  # RLlib has no types here
    """A connector of somebody's own."""

    def preprocess(self, observation: Any, episode: SingleAgentEpisode) -> Any:
        return 2 * observation


VECTOR = Box(np.array([-1, 0, 100], np.float32), np.array([1, 5, 300], np.float32))
ACTIONS = Box(np.array([-2, 0], np.float32), np.array([2, 5], np.float32))
NEAR = Box(-1.0, 1.0, (3,), np.float32)
GO = Box(10.0, 20.0, (1,), np.float32)
NESTED = gym.spaces.Dict(
    {
        "zone": Discrete(3),
        "speed": Box(-2.0, 2.0, (2,), np.float32),
        "gears": MultiDiscrete([2, 3]),
    }
)


class OldBuffers:
    """Makes the old stack's buffer, for which RLlib itself looks for a name in what it has made a class before."""

    def _create_local_replay_buffer_if_necessary(self, config: Any) -> Any:
        return from_config(ReplayBuffer, config["replay_buffer_config"])


class OldDQN(OldBuffers, DQN):  # type: ignore[misc]  # RLlib has no types here
    """DQN on the old stack."""


class OldSAC(OldBuffers, SAC):  # type: ignore[misc]  # RLlib has no types here
    """SAC on the old stack."""


# What replaces the new stack's replay buffer, which the old stack doesn't take.
BUFFER = {
    "type": "MultiAgentPrioritizedReplayBuffer",
    "capacity": 1000,
    "prioritized_replay_alpha": 0.6,
    "prioritized_replay_beta": 0.4,
    "prioritized_replay_eps": 1e-6,
}


def walk(config: Any, observation_space: Any, action_space: Any) -> Any:
    return config.environment("walk", env_config={"observation_space": observation_space, "action_space": action_space})


def quick(config: Any) -> Any:
    return (
        config.env_runners(num_env_runners=0, rollout_fragment_length=BATCH)
        .reporting(min_sample_timesteps_per_iteration=BATCH, min_time_s_per_iteration=0)
        .debugging(seed=3)
    )


def on_policy(config: Any, **training: Any) -> Any:
    return quick(config).training(train_batch_size=BATCH, minibatch_size=32, num_epochs=2, lr=0.01, **training)


def off_policy(config: Any, **training: Any) -> Any:
    return quick(config).training(train_batch_size=16, num_steps_sampled_before_learning_starts=32, **training)


def old(config: Any) -> Any:
    return config.framework("torch").api_stack(
        enable_rl_module_and_learner=False, enable_env_runner_and_connector_v2=False
    )


def new(config: Any, connector: Callable[[], Any] | None = None, **model: Any) -> Any:
    config = config.rl_module(model_config=DefaultModelConfig(**SMALL, **model))
    if connector is not None:
        config = config.env_runners(env_to_module_connector=lambda env, spaces, device: [connector()])
    return config


def new_ppo() -> Any:
    return new(on_policy(PPOConfig().environment("CartPole-v1")))


def new_ppo_normalised() -> Any:
    return new(on_policy(walk(PPOConfig(), VECTOR, ACTIONS)), MeanStdFilter)


def new_ppo_clipped() -> Any:
    config = on_policy(walk(PPOConfig(), NEAR, ACTIONS))
    return new(config.environment(normalize_actions=False, clip_actions=True), free_log_std=True)


def new_ppo_nested() -> Any:
    return new(on_policy(walk(PPOConfig(), NESTED, MultiDiscrete([2, 4]))), FlattenObservations)


def new_ppo_several_boxes() -> Any:
    return new(on_policy(walk(PPOConfig(), NEAR, gym.spaces.Dict({"turn": ACTIONS, "go": GO}))))


def new_ppo_recurrent() -> Any:
    return new(on_policy(PPOConfig().environment("CartPole-v1")), use_lstm=True, lstm_cell_size=8, max_seq_len=8)


def new_ppo_own_connector() -> Any:
    return new(on_policy(PPOConfig().environment("CartPole-v1")), Doubled)


def new_dqn() -> Any:
    return new(off_policy(DQNConfig().environment("CartPole-v1"), epsilon=[[0, 1.0], [640, 0.1]]))


def new_dqn_distributional() -> Any:
    return new(off_policy(DQNConfig().environment("CartPole-v1"), num_atoms=5, v_min=0.0, v_max=20.0, epsilon=0.25))


def new_sac() -> Any:
    return new(off_policy(walk(SACConfig(), VECTOR, ACTIONS)))


def old_ppo() -> Any:
    return on_policy(old(PPOConfig().environment("CartPole-v1")), model=SMALL)


def old_ppo_normalised() -> Any:
    config = on_policy(old(walk(PPOConfig(), VECTOR, ACTIONS)), model=SMALL)
    return config.env_runners(observation_filter="MeanStdFilter")


def old_ppo_free_deviations() -> Any:
    return on_policy(old(walk(PPOConfig(), NEAR, ACTIONS)), model=SMALL | {"free_log_std": True})


def old_ppo_nested() -> Any:
    actions = gym.spaces.Tuple([Discrete(2), MultiDiscrete([2, 4])])
    return on_policy(old(walk(PPOConfig(), NESTED, actions)), model=SMALL)


def old_ppo_one_hot() -> Any:
    return on_policy(old(PPOConfig().environment("FrozenLake-v1")), model=SMALL)


def old_ppo_recurrent() -> Any:
    model = SMALL | {"use_lstm": True, "lstm_cell_size": 8, "max_seq_len": 8}
    return on_policy(old(PPOConfig().environment("CartPole-v1")), model=model)


def old_dqn() -> Any:
    return off_policy(old(DQNConfig(OldDQN).environment("CartPole-v1")), model=SMALL, replay_buffer_config=BUFFER)


def old_dqn_noisy() -> Any:
    """Its noise is left out of bundles: see `without_noise`."""
    options = {"noisy": True, "num_atoms": 5, "v_min": 0.0, "v_max": 20.0}
    return old_dqn().training(**options)


def old_dqn_drawing() -> Any:
    return old_dqn().env_runners(exploration_config={"type": "SoftQ", "temperature": 0.5})


def old_sac() -> Any:
    models = {"policy_model_config": SMALL, "q_model_config": SMALL}
    return off_policy(old(walk(SACConfig(OldSAC), VECTOR, ACTIONS)), replay_buffer_config=BUFFER, **models)


POLICIES = [value for name, value in list(globals().items()) if name.startswith(("new_", "old_"))]
