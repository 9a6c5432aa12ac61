"""A policy as it was taken out of an RLlib checkpoint, of either API stack."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np
import torch

from policy_server.bundle import State
from policy_server.errors import ImportFailed
from policy_server.importers.rllib_actions import Actions


@dataclass(frozen=True)
class Recovered:
    """A policy as the server needs it."""

    module: Any
    """A `torch.nn.Module` from observations as requests give them, `(n, size)`, to the distribution's parameters; and
    from each tensor of its memory to the next one, if it has a memory."""
    actions: Actions
    observed: Sequence[Any]
    """The elementary spaces of an observation, in the order of its numbers."""
    state: tuple[State, ...]
    """The memory of a recurrent policy."""


class Whole(torch.nn.Module):  # type: ignore[misc]  # torch has no types where there is no torch
    """Everything between a request's numbers and the distribution's parameters."""

    def __init__(self, before: Sequence[Any], network: Any, after: Any) -> None:
        super().__init__()
        self.before, self.network, self.after = torch.nn.Sequential(*before), network, after

    def forward(self, observations: Any, *memory: Any) -> Any:
        """See `Recovered.module`."""
        given = self.network(self.before(observations), *memory)
        if not memory:
            return self.after(given)
        parameters, *then = given
        return (self.after(parameters), *then)


def recovered(
    before: Sequence[Any], network: Any, actions: Actions, observed: Sequence[Any], memory: Sequence[Any]
) -> Recovered:
    """Returns a policy of its parts.

    Args:
        before: the modules that make the network's input of a request's numbers.
        network: from that (and memory) to RLlib's parameters (and memory).
        actions: how to draw actions of these.
        observed: the elementary spaces of an observation.
        memory: arrays, the memory at the beginning of an episode, without a batch.

    Raises:
        ImportFailed: the memory doesn't begin with zeros.
    """
    if any(np.any(part != 0) for part in memory):
        raise ImportFailed("the policy's recurrent state doesn't begin with zeros, as the server has it: train it so")
    state = tuple(
        State(input=f"state_in_{index}", output=f"state_out_{index}", shape=list(part.shape))
        for index, part in enumerate(memory)
    )
    _make_exportable(network)
    return Recovered(Whole(before, network, actions.module).eval(), actions, observed, state)


def _make_exportable(network: Any) -> None:
    """Replaces code of RLlib that PyTorch's exporter can't follow, or that isn't the same each time."""
    for part in network.modules():
        match type(part).__name__:
            case "AppendBiasLayer":  # len() of a tensor fixes the size of the batch
                part.forward = MethodType(_with_free_deviations, part)
            case "TorchFreeLogStdMLPHead":  # the same
                part._forward = MethodType(_with_free_deviations, part)  # noqa: SLF001  # RLlib's name for it
            case "NoisyLayer":  # draws noise, also when RLlib doesn't explore
                part.forward = MethodType(_without_noise, part)


def _with_free_deviations(head: Any, inputs: Any, **_: Any) -> Any:
    """Appends the same logs of standard deviations to all means."""
    mean = head.net(inputs) if hasattr(head, "net") else inputs
    deviations = head.log_std
    if getattr(head, "clip_log_std", False):
        limit = head.log_std_clip_param_const
        deviations = torch.clamp(deviations, -limit, limit)
    return torch.cat([mean, deviations.unsqueeze(0).expand(mean.shape[0], -1)], dim=1)


def _without_noise(layer: Any, inputs: Any) -> Any:
    """Does what a noisy layer does on average: its noise, whose mean is 0, is a way to explore."""
    given = torch.matmul(inputs, layer.w) + layer.b
    return given if layer.activation is None else layer.activation(given)
