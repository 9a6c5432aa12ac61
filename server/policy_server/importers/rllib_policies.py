"""Policies of RLlib's old API stack: a Policy with its ModelV2, preprocessor, filter and connectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray.cloudpickle
import torch
from ray.rllib.policy.policy import Policy
from ray.rllib.policy.torch_policy import TorchPolicy
from ray.rllib.policy.torch_policy_v2 import TorchPolicyV2
from ray.rllib.utils.annotations import is_overridden

from policy_server.bundle import Categorical, QValues
from policy_server.errors import ImportFailed
from policy_server.importers.rllib_actions import ActionMapping, Actions, actions_of
from policy_server.importers.rllib_checkpoint import PolicyCheckpoint
from policy_server.importers.rllib_observations import Encoded, filter_module, leaves, require_box
from policy_server.importers.rllib_recovered import Recovered, recovered

_HARMLESS_BEFORE = {
    "ClipRewardAgentConnector",
    "EnvSamplingAgentConnector",
    "ObsPreprocessorConnector",  # what it does is known of the observation space
    "StateBufferConnector",
    "ViewRequirementAgentConnector",
}
_FILTERS = {"MeanStdObservationFilterAgentConnector", "ConcurrentMeanStdObservationFilterAgentConnector"}
_HARMLESS_AFTER = {"ConvertToNumpyConnector", "ImmutableActionsConnector", "ClipActionsConnector"}
_NORMALISING = "NormalizeActionsConnector"
_OBSERVATIONS = {"obs", "t", "eps_id", "agent_index", "unroll_id", "infos", "env_id"}


class PolicyNetwork(torch.nn.Module):  # type: ignore[misc]  # torch has no types where there is no torch
    """The inputs of the action distribution, as the policy gives them when it doesn't explore.

    Called with observations `(n, …)` and each tensor of the memory; with a memory it returns the next one, too.
    """

    def __init__(self, policy: Any, temperature: float = 1.0) -> None:
        super().__init__()
        self.network = policy.model
        self.temperature = temperature
        self._policy = policy

    def drawn(self, observations: Any, memory: Sequence[Any]) -> tuple[Any, Any, list[Any]]:
        """Returns the inputs and the class of the distribution, and the next memory."""
        policy, state = self._policy, list(memory)
        batch = {"obs": observations, "is_training": False}
        lengths = torch.ones(observations.shape[0], dtype=torch.int32) if memory else None
        options: dict[str, Any] = {"seq_lens": lengths, "explore": False, "timestep": 0, "is_training": False}
        if isinstance(policy, TorchPolicy) and policy.action_distribution_fn:
            inputs, kind, state = policy.action_distribution_fn(
                policy, self.network, input_dict=batch, state_batches=state, **options
            )
        elif isinstance(policy, TorchPolicyV2) and is_overridden(policy.action_distribution_fn):
            inputs, kind, state = policy.action_distribution_fn(
                self.network, obs_batch=batch, state_batches=state, **options
            )
        else:
            kind = policy.dist_class
            inputs, state = self.network(batch, state, lengths)
        return inputs, kind, state

    def forward(self, observations: Any, *memory: Any) -> Any:
        """See the class."""
        inputs, _, then = self.drawn(observations, memory)
        parameters = inputs / self.temperature
        return (parameters, *then) if memory else parameters


def recover(checkpoint: PolicyCheckpoint) -> Recovered:
    """Returns the policy of a checkpoint; code in the checkpoint is run, no environment is made.

    Raises:
        ImportFailed: it can't be served as it was trained, with the reason.
    """
    state = _read_state(checkpoint)
    _require_torch(state)
    policy = Policy.from_state(state)
    if not isinstance(policy, TorchPolicy | TorchPolicyV2):
        raise ImportFailed(f"the policy is a {type(policy).__name__}: needed is one of PyTorch")
    _require_known_inputs(policy)
    policy.model.eval()
    observed, before = _before(checkpoint, policy)
    memory = [np.asarray(part) for part in policy.get_initial_state()]
    network, actions = _answering(policy, state, memory)
    return recovered(before, network, actions, observed, memory)


def _read_state(checkpoint: PolicyCheckpoint) -> dict[str, Any]:
    if checkpoint.state.suffix != ".pkl":
        raise ImportFailed(f"the checkpoint is in msgpack ({checkpoint.state.name}): save it with pickle, as is usual")
    with checkpoint.state.open("rb") as file:
        state = ray.cloudpickle.load(file)
    if not isinstance(state, dict) or "policy_spec" not in state:
        raise ImportFailed("the checkpoint doesn't say what its policy is (policy_spec): save it with Ray 2.1 or newer")
    return state


def _require_torch(state: dict[str, Any]) -> None:
    config = state["policy_spec"].get("config") or {}
    framework = config.get("framework") or config.get("framework_str")
    if framework not in (None, "torch"):
        raise ImportFailed(
            f"the policy's framework is {framework}: export the policy as a SavedModel, policy.export_model(DIR), and"
            " give that; if it has an observation_filter or normalize_actions, which SavedModels don't hold, train it"
            " with PyTorch"
        )
    # Whoever trained it had GPUs; here there are none.
    config.update(
        {name: 0 for name in ("num_gpus", "num_gpus_per_env_runner", "num_gpus_per_worker") if name in config}
    )


def _require_known_inputs(policy: Any) -> None:
    overridden = (
        policy.action_sampler_fn if isinstance(policy, TorchPolicy) else is_overridden(policy.action_sampler_fn)
    )
    if overridden:
        raise ImportFailed(
            f"the policy {type(policy).__name__} draws its actions itself (action_sampler_fn), so their distribution"
            " isn't known: give it an action_distribution_fn"
        )
    for name, view in policy.model.view_requirements.items():
        now = name in _OBSERVATIONS and view.shift == 0
        memory = name.startswith("state_in_") and view.shift == -1
        if view.used_for_compute_actions and not (now or memory):
            raise ImportFailed(
                f"the policy's model needs {name} of earlier steps besides its observations: train it without"
            )


def _before(checkpoint: PolicyCheckpoint, policy: Any) -> tuple[list[Any], list[Any]]:
    """Returns the elementary spaces of observations, and what happens to observations before the model has them."""
    space = require_box(policy.observation_space)
    original = getattr(space, "original_space", None)
    steps: list[Any] = []
    observed: list[Any] = [space]
    if original is not None:
        observed = leaves(original, sort=False)
        steps.append(Encoded(observed, from_start=True, atari=True))
    steps.extend(filter_module(running, int(np.prod(space.shape))) for running in _filters(checkpoint, policy))
    if len(space.shape) > 1:
        steps.append(torch.nn.Unflatten(1, space.shape))
    return observed, steps


def _filters(checkpoint: PolicyCheckpoint, policy: Any) -> list[Any]:
    """Returns the filters of observations that the checkpoint has: its policy's connectors, or else its workers'."""
    if policy.agent_connectors:
        found = []
        for connector in policy.agent_connectors.connectors:
            kind = type(connector).__name__
            if kind in _FILTERS:
                found.append(connector.filter)
            elif kind not in _HARMLESS_BEFORE:
                raise ImportFailed(
                    f"the connector {kind} changes observations in a way that can't be part of the model: train without"
                )
        return found
    wanted = policy.config.get("observation_filter", "NoFilter")
    if wanted == "NoFilter":
        return []
    if checkpoint.algorithm_state is not None:
        with checkpoint.algorithm_state.open("rb") as file:
            filters = ray.cloudpickle.load(file).get("worker", {}).get("filters", {})
        if checkpoint.name in filters:
            return [filters[checkpoint.name]]
    raise ImportFailed(
        f"the policy was trained with the observation_filter {wanted}, whose state this checkpoint lacks: give the"
        " whole checkpoint of the algorithm"
    )


def _answering(policy: Any, state: dict[str, Any], memory: Sequence[Any]) -> tuple[Any, Actions]:
    """Returns the policy's network, and how to draw actions of what it gives."""
    network = PolicyNetwork(policy)
    with torch.no_grad():
        zeros = [torch.zeros((2, *part.shape), dtype=torch.float32) for part in memory]
        observations = torch.zeros((2, *policy.observation_space.shape), dtype=torch.float32)
        inputs, kind, _ = network.drawn(observations, zeros)
        drawn = kind(inputs.clone(), policy.model)
    exploration = type(getattr(policy, "exploration", None)).__name__
    actions = actions_of(drawn, policy.action_space, ActionMapping(_normalises(policy)))
    if isinstance(actions.distribution, Categorical):
        size = actions.distribution.size
        if exploration in {"EpsilonGreedy", "PerWorkerEpsilonGreedy"}:
            epsilon = float((state.get("_exploration_state") or {}).get("cur_epsilon", 0.0))
            return network, Actions(QValues(size=size, epsilon=round(epsilon, 6)), torch.nn.Identity())
        if exploration == "SoftQ":
            return PolicyNetwork(policy, float(policy.exploration.temperature)), actions
        with torch.no_grad():
            # A distribution with a temperature of its own divides what it is given by it.
            divided = kind(torch.ones_like(inputs), policy.model).inputs
        return PolicyNetwork(policy, float(1 / divided[0, 0])), actions
    if exploration in {"EpsilonGreedy", "PerWorkerEpsilonGreedy", "SoftQ"}:
        raise ImportFailed(f"the policy explores {exploration} over several actions at once, which can't be served")
    return network, actions


def _normalises(policy: Any) -> bool:
    if not policy.action_connectors:
        return bool(policy.config.get("normalize_actions", True))
    normalises = False
    for connector in policy.action_connectors.connectors:
        kind = type(connector).__name__
        if kind == _NORMALISING:
            normalises = True
        elif kind not in _HARMLESS_AFTER:
            raise ImportFailed(
                f"the connector {kind} changes actions in a way that can't be part of the model: train without it"
            )
    return normalises
