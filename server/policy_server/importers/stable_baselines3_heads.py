"""The networks of Stable-Baselines3's policies, from preprocessed observations to parameters of a distribution."""
# ruff: noqa: PLC0415  # importing PyTorch takes seconds, and the serving image has none

from collections.abc import Callable
from typing import Any

from policy_server.bundle import (
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
    QValues,
    SquashedGaussian,
)
from policy_server.errors import ImportFailed

Head = Callable[[Any], Any]


def head_of(policy: Any, data: dict[str, Any]) -> tuple[Head, Distribution]:
    """Returns what computes the parameters, and the distribution that they are of.

    Args:
        policy: a policy of PPO, A2C, DQN or SAC.
        data: what was saved of its algorithm.

    Raises:
        ImportFailed: it is another one.
    """
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.dqn.policies import DQNPolicy
    from stable_baselines3.sac.policies import SACPolicy

    if isinstance(policy, ActorCriticPolicy):
        return _actor_critic(policy)
    if isinstance(policy, DQNPolicy):
        network = policy.q_net
        epsilon = min(1.0, max(0.0, float(data["exploration_rate"] or 0.0)))
        size = int(policy.action_space.n)
        return lambda given: network.q_net(network.features_extractor(given)), QValues(size=size, epsilon=epsilon)
    if isinstance(policy, SACPolicy):
        return _soft_actor(policy.actor)
    raise ImportFailed(
        f"the policy is a {type(policy).__name__} of Stable-Baselines3: only those of PPO, A2C, DQN and SAC can be"
        " imported; export it with torch.export instead"
    )


def _actor_critic(policy: Any) -> tuple[Head, Distribution]:
    import torch
    from stable_baselines3.common import distributions

    def latent(given: Any) -> Any:
        return policy.mlp_extractor.forward_actor(policy.pi_features_extractor(given))

    def logits(given: Any) -> Any:
        return policy.action_net(latent(given))

    def pairs(given: Any) -> Any:
        """Logits of 0 and 1 for each of the bits, of which the networks give the difference."""
        ones = logits(given)
        return torch.stack([torch.zeros_like(ones), ones], dim=-1).flatten(start_dim=1)

    def gaussian(given: Any) -> Any:
        means = logits(given)
        return torch.cat([means, policy.log_std.expand_as(means)], dim=1)

    def state_dependent(given: Any) -> Any:
        hidden = latent(given)
        return _state_dependent(policy.action_dist, policy.action_net(hidden), policy.log_std, hidden)

    match policy.action_dist:
        case distributions.CategoricalDistribution():
            return logits, Categorical(size=int(policy.action_space.n))
        case distributions.MultiCategoricalDistribution():
            return logits, MultiCategorical(sizes=[int(size) for size in policy.action_space.nvec])
        case distributions.BernoulliDistribution():
            return pairs, MultiCategorical(sizes=[2] * int(policy.action_space.n))
        case distributions.StateDependentNoiseDistribution(bijector=None):
            return state_dependent, _clipped(policy.action_space)
        case distributions.StateDependentNoiseDistribution():
            return state_dependent, _squashed(policy.action_space)
        case distributions.DiagGaussianDistribution():
            return gaussian, _clipped(policy.action_space)
    raise ImportFailed(f"the policy's actions have a {type(policy.action_dist).__name__}: that can't be imported")


def _soft_actor(actor: Any) -> tuple[Head, Distribution]:
    import torch
    from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN

    def parameters(given: Any) -> Any:
        hidden = actor.latent_pi(actor.features_extractor(given))
        means = actor.mu(hidden)
        if actor.use_sde:
            return _state_dependent(actor.action_dist, means, actor.log_std, hidden)
        return torch.cat([means, actor.log_std(hidden).clamp(LOG_STD_MIN, LOG_STD_MAX)], dim=1)

    return parameters, _squashed(actor.action_space)


def _state_dependent(noise: Any, means: Any, log_std: Any, hidden: Any) -> Any:
    """The distribution of gSDE's actions for one observation, as its `proba_distribution` has it.

    In training the noise of successive actions is one matrix; here each action is drawn by itself.
    """
    import torch

    variance = torch.mm(hidden**2, noise.get_std(log_std) ** 2)
    return torch.cat([means, 0.5 * torch.log(variance + noise.epsilon)], dim=1)


def _clipped(space: Any) -> DiagonalGaussian:
    return DiagonalGaussian(size=space.low.size, low=space.low.ravel().tolist(), high=space.high.ravel().tolist())


def _squashed(space: Any) -> SquashedGaussian:
    return SquashedGaussian(size=space.low.size, low=space.low.ravel().tolist(), high=space.high.ravel().tolist())
