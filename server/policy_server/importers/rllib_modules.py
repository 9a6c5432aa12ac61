"""Policies of RLlib's new API stack: an RLModule, and the connectors between it and the environment."""

from pathlib import Path
from typing import Any

import numpy as np
import ray.cloudpickle
import torch
import tree  # type: ignore[import-not-found]  # dm-tree isn't installed where types are checked
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule

from policy_server.bundle import QValues
from policy_server.errors import ImportFailed
from policy_server.importers.rllib_actions import ActionMapping, Actions, actions_of
from policy_server.importers.rllib_checkpoint import ModuleCheckpoint
from policy_server.importers.rllib_observations import Encoded, filter_module, leaves, require_box
from policy_server.importers.rllib_recovered import Recovered, recovered

_CONSTRUCTION = "class_and_ctor_args.pkl"
_HARMLESS_BEFORE = {
    "AddObservationsFromEpisodesToBatch",
    "AddStatesFromEpisodesToBatch",
    "AddTimeDimToBatchAndZeroPad",
    "AgentToModuleMapping",
    "BatchIndividualItems",
    "NumpyToTensor",
    "WriteObservationsToEpisodes",
}
_HARMLESS_AFTER = {
    "GetActions",
    "ListifyDataForVectorEnv",
    "ModuleToAgentUnmapping",
    "RemoveSingleTsTimeRankFromBatch",
    "TensorToNumpy",
    "UnBatchToIndividualItems",
}
_END_OF_TIME = 2**53


class Network(torch.nn.Module):  # type: ignore[misc]  # torch has no types where there is no torch
    """The parameters of the action distribution, or where there is none the values of the actions.

    Called with observations `(n, …)` and each tensor of the memory; with a memory it returns the next one, too.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.network = module
        self.initial = module.get_initial_state() if module.is_stateful() else None
        self.forward = self._remembering if self.initial is not None else self._at_once

    def given(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns what the module gives for a batch, the parameters as `action_dist_inputs`."""
        given: dict[str, Any] = self.network.forward_inference(batch)
        if Columns.ACTION_DIST_INPUTS not in given and hasattr(self.network, "compute_q_values"):
            from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS  # noqa: PLC0415  # only these need DQN

            given = self.network.compute_q_values(batch)
            given[Columns.ACTION_DIST_INPUTS] = given[QF_PREDS]
        return given

    def _at_once(self, observations: Any) -> Any:
        return self.given({Columns.OBS: observations})[Columns.ACTION_DIST_INPUTS]

    def _remembering(self, observations: Any, *memory: Any) -> tuple[Any, ...]:
        # A recurrent module takes a row of steps of each episode; here it is one step.
        state = tree.unflatten_as(self.initial, memory)
        given = self.given({Columns.OBS: observations.unsqueeze(1), Columns.STATE_IN: state})
        return (given[Columns.ACTION_DIST_INPUTS].squeeze(1), *tree.flatten(given[Columns.STATE_OUT]))


def recover(checkpoint: ModuleCheckpoint) -> Recovered:
    """Returns the policy of a checkpoint; code in the checkpoint is run, no environment is made.

    Raises:
        ImportFailed: it can't be served as it was trained, with the reason.
    """
    module = _constructed(checkpoint.folder)
    if not isinstance(module, TorchRLModule):
        raise ImportFailed(f"the RLModule is a {type(module).__name__}: needed is one of PyTorch, a TorchRLModule")
    module.eval()
    observed, before = _before(checkpoint, module)
    network = Network(module)
    memory = [] if network.initial is None else [np.asarray(part) for part in tree.flatten(network.initial)]
    actions = _actions(checkpoint, module, network, memory)
    return recovered(before, network, actions, observed, memory)


def _constructed(folder: Path) -> Any:
    """Returns what RLlib's `Checkpointable.from_checkpoint` does, which in want of a class would take another one."""
    with (folder / _CONSTRUCTION).open("rb") as file:
        construction = ray.cloudpickle.load(file)
    arguments, named = construction["ctor_args_and_kwargs"]
    component = construction["class"](*arguments, **named)
    component.restore_from_path(str(folder.absolute()))
    return component


def _before(checkpoint: ModuleCheckpoint, module: Any) -> tuple[list[Any], list[Any]]:
    """Returns the elementary spaces of observations, and what happens to observations before the module has them."""
    connectors = _connectors(checkpoint, "env_to_module_connector")
    several = any(type(one).__name__ == "AgentToModuleMapping" for one in connectors)
    observed: list[Any] | None = None
    steps: list[Any] = []
    for connector in connectors:
        kind = _class_name(connector)
        if kind in _HARMLESS_BEFORE:
            continue
        if several or kind not in {"FlattenObservations", "MeanStdFilter"}:
            which = " of several agents" if several else ""
            raise ImportFailed(
                f"the connector {type(connector).__name__}{which} changes observations in a way that can't be part of"
                " the model: train without it"
            )
        if kind == "FlattenObservations":
            space = _kept(connector)
            parts = leaves(space, sort=True)
            if observed is None:
                observed = parts
                steps.append(Encoded(parts, from_start=False, atari=False))
            continue
        width = int(np.prod(require_box(connector.input_observation_space).shape))
        observed = [connector.input_observation_space] if observed is None else observed
        steps.append(filter_module(_only_filter(connector), width))
    shape = require_box(module.observation_space).shape
    if len(shape) > 1:
        steps.append(torch.nn.Unflatten(1, shape))
    return ([module.observation_space] if observed is None else observed), steps


def _kept(connector: Any) -> Any:
    """Returns the space that a FlattenObservations takes, without what it removes."""
    space = connector.input_observation_space
    removed = set(getattr(connector, "_keys_to_remove", None) or ())
    return {key: space[key] for key in space.spaces if key not in removed} if removed else space


def _only_filter(connector: Any) -> Any:
    # RLlib gives the filters to nobody: they are used in the connector alone.
    filters = connector._filters or {}  # noqa: SLF001  # see above
    if len(filters) != 1:
        raise ImportFailed("the checkpoint has no state of its MeanStdFilter: save the whole algorithm")
    return next(iter(filters.values()))


def _actions(checkpoint: ModuleCheckpoint, module: Any, network: Network, memory: list[Any]) -> Actions:
    """Returns how to draw actions of what the module gives."""
    batch = {Columns.OBS: torch.zeros((2, *module.observation_space.shape), dtype=torch.float32)}
    with torch.no_grad():
        if memory:
            state = [torch.zeros((2, *part.shape), dtype=torch.float32) for part in memory]
            batch = {
                Columns.OBS: batch[Columns.OBS].unsqueeze(1),
                Columns.STATE_IN: tree.unflatten_as(network.initial, state),
            }
        given = module.forward_inference(batch)
    if Columns.ACTION_DIST_INPUTS in given:
        parameters = given[Columns.ACTION_DIST_INPUTS]
        drawn = module.get_inference_action_dist_cls().from_logits(parameters.squeeze(1) if memory else parameters)
        return actions_of(drawn, module.action_space, _mapping(checkpoint))
    if not hasattr(module, "compute_q_values"):
        raise ImportFailed(
            f"the RLModule {type(module).__name__} gives no parameters of a distribution ({', '.join(given)}): let its"
            " _forward_inference return action_dist_inputs"
        )
    distribution = QValues(size=int(module.action_space.n), epsilon=_epsilon(checkpoint, module))
    return Actions(distribution, torch.nn.Identity())


def _mapping(checkpoint: ModuleCheckpoint) -> ActionMapping:
    if checkpoint.env_runner is None:
        return ActionMapping(normalise=False, unclear=True)
    normalise = False
    for connector in _connectors(checkpoint, "module_to_env_connector"):
        kind = _class_name(connector)
        if kind == "NormalizeAndClipActions":
            normalise = bool(connector.normalize_actions)
        elif kind not in _HARMLESS_AFTER:
            raise ImportFailed(
                f"the connector {type(connector).__name__} changes actions in a way that can't be part of the model:"
                " train without it"
            )
    return ActionMapping(normalise)


def _connectors(checkpoint: ModuleCheckpoint, pipeline: str) -> list[Any]:
    runner = checkpoint.env_runner
    if runner is None:
        if checkpoint.algorithm is not None:
            raise ImportFailed("the checkpoint has no env_runner, whose connectors belong to the policy: save it whole")
        return []
    folder = runner / pipeline
    if not folder.is_dir():
        raise ImportFailed(f"the checkpoint has no env_runner/{pipeline}, which belongs to the policy: save it whole")
    return list(_constructed(folder).connectors)


def _class_name(connector: Any) -> str:
    """Returns the name of RLlib's own class; of any other one a name that no class has."""
    kind = type(connector)
    return kind.__name__ if kind.__module__.startswith("ray.rllib.") else f"{kind.__module__}.{kind.__qualname__}"


def _epsilon(checkpoint: ModuleCheckpoint, module: Any) -> float:
    """Returns how often RLlib would explore after this training; of a module alone, after all of it."""
    schedule = getattr(module, "epsilon_schedule", None)
    if schedule is None:
        return 0.0
    steps = _END_OF_TIME
    if checkpoint.env_runner is not None:
        steps = int(_runner_state(checkpoint.env_runner).get("num_env_steps_sampled_lifetime", _END_OF_TIME))
    return round(min(max(float(schedule.update(steps)), 0.0), 1.0), 6)


def _runner_state(runner: Path) -> dict[str, Any]:
    file = runner / "state.pkl"
    if not file.is_file():
        return {}
    with file.open("rb") as opened:
        state = ray.cloudpickle.load(opened)
    return state if isinstance(state, dict) else {}
