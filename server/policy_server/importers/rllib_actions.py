"""From RLlib's action distributions to ours, with what RLlib does to actions before an environment gets them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from policy_server.bundle import Categorical, DiagonalGaussian, Distribution, MultiCategorical, SquashedGaussian
from policy_server.errors import ImportFailed
from policy_server.importers.agreement import Array
from policy_server.importers.rllib_observations import leaves

_CATEGORICAL, _SEVERAL, _GAUSSIAN, _SQUASHED, _NESTED = (
    "TorchCategorical",
    "TorchMultiCategorical",
    "TorchDiagGaussian",
    "TorchSquashedGaussian",
    ("TorchMultiDistribution", "TorchMultiActionDistribution"),
)


@dataclass(frozen=True)
class ActionMapping:
    """What RLlib does with the actions that were drawn."""

    normalise: bool
    """Whether -1 … 1 is stretched to the bounds of the action space, and what is outside clipped."""
    unclear: bool = False
    """Whether the checkpoint doesn't say so."""


@dataclass(frozen=True)
class Actions:
    """How to draw actions, and of which of the network's outputs."""

    distribution: Distribution
    module: Any
    """A `torch.nn.Module` from RLlib's parameters `(n, m)` to those of `distribution`."""


@dataclass(frozen=True)
class _Gaussian:
    """A part of the action made of real numbers; arrays have one number for each."""

    columns: range
    """Which of RLlib's parameters it has: the means, then the logs of the standard deviations."""
    scale: Array
    shift: Array
    low: list[float | None]
    high: list[float | None]
    squashed: bool


def actions_of(drawn: Any, action_space: Any, mapping: ActionMapping) -> Actions:
    """Returns how the bundle has what RLlib draws from a distribution.

    Args:
        drawn: an instance of one of RLlib's distributions of PyTorch, of either API stack.
        action_space: what the environment takes.
        mapping: what becomes of the actions on their way there.

    Raises:
        ImportFailed: the server can't draw such actions.
    """
    several = _kind(drawn) in _NESTED
    parts = _children(drawn) if several else [drawn]
    spaces = leaves(action_space, sort=True)
    if len(parts) != len(spaces):
        raise ImportFailed(f"the policy's {len(parts)} distributions don't fit its {len(spaces)} action components")
    kinds = {_kind(part) for part in parts}
    if kinds <= {_CATEGORICAL, _SEVERAL}:
        sizes = [size for part, space in zip(parts, spaces, strict=True) for size in _sizes(part, space)]
        if kinds == {_CATEGORICAL} and not several:
            return Actions(Categorical(size=sizes[0]), torch.nn.Identity())
        return Actions(MultiCategorical(sizes=sizes), torch.nn.Identity())
    if len(kinds) != 1 or not kinds <= {_GAUSSIAN, _SQUASHED}:
        raise ImportFailed(
            f"the policy draws its actions from {' and '.join(sorted(kinds))}; the server can draw from"
            f" {_CATEGORICAL}s, {_GAUSSIAN}s or {_SQUASHED}s"
        )
    gaussians = []
    start = 0
    for part, space in zip(parts, spaces, strict=True):
        gaussians.append(_gaussian(part, space, start, mapping))
        start += len(gaussians[-1].columns)
    return _joined(gaussians)


class Rearranged(torch.nn.Module):  # type: ignore[misc]  # torch has no types where there is no torch
    """All means, then the logs of all standard deviations; stretched and moved as the actions are."""

    def __init__(self, means: Sequence[int], deviations: Sequence[int], scale: Array, shift: Array) -> None:
        super().__init__()
        self.means, self.deviations = list(means), list(deviations)
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        self.register_buffer("shift", torch.from_numpy(shift.astype(np.float32)))
        self.register_buffer("log_scale", torch.from_numpy(np.log(scale).astype(np.float32)))

    def forward(self, parameters: Any) -> Any:
        """See the class."""
        mean = parameters[:, self.means] * self.scale + self.shift
        return torch.cat([mean, self._log_deviation(parameters)], dim=1)

    def _log_deviation(self, parameters: Any) -> Any:
        return parameters[:, self.deviations] + self.log_scale


class RearrangedSquashed(Rearranged):
    """The same before squashing, where the deviations are those that RLlib limits."""

    def _log_deviation(self, parameters: Any) -> Any:
        from ray.rllib.utils.numpy import MAX_LOG_NN_OUTPUT, MIN_LOG_NN_OUTPUT  # noqa: PLC0415  # RLlib loads slowly

        return parameters[:, self.deviations].clamp(MIN_LOG_NN_OUTPUT, MAX_LOG_NN_OUTPUT)


def _kind(drawn: Any) -> str:
    """Returns the name of the class that RLlib gives such distributions; policies have subclasses of them."""
    known = {_CATEGORICAL, _SEVERAL, _GAUSSIAN, _SQUASHED, *_NESTED}
    names = [one.__name__ for one in type(drawn).__mro__ if one.__module__.startswith("ray.rllib.")]
    return next((name for name in names if name in known), type(drawn).__name__)


def _children(drawn: Any) -> list[Any]:
    for name in ("_flat_child_distributions", "flat_child_distributions"):  # the new API stack's and the old one's
        if hasattr(drawn, name):
            return list(getattr(drawn, name))
    raise ImportFailed(f"RLlib's {type(drawn).__name__} has no parts")


def _sizes(part: Any, space: Any) -> list[int]:
    if isinstance(space, Box) and np.any(space.low != 0):  # whole numbers, which RLlib counts from the lower bound
        raise ImportFailed(
            f"the policy's actions are whole numbers from {np.min(space.low):g}; the server's are counted from 0: train"
            " with MultiDiscrete actions"
        )
    if _kind(part) == _CATEGORICAL:
        return [int(part.logits.shape[-1] if hasattr(part, "logits") else part.inputs.shape[-1])]
    categories = part._cats if hasattr(part, "_cats") else part.cats  # noqa: SLF001  # the one place that has the sizes
    return [int(one.logits.shape[-1]) for one in categories]


def _gaussian(part: Any, space: Any, start: int, mapping: ActionMapping) -> _Gaussian:
    if not isinstance(space, Box):
        raise ImportFailed(f"the policy draws real numbers for {type(space).__name__} actions")
    size = math.prod(space.shape)
    least, greatest = space.low.astype(np.float64).ravel(), space.high.astype(np.float64).ravel()
    bounded = bool(np.isfinite(least).all() and np.isfinite(greatest).all())
    squashed = _kind(part) == _SQUASHED
    one = np.ones(size)
    if mapping.unclear and bounded and not (np.all(least == -1) and np.all(greatest == 1)):
        raise ImportFailed(
            "an RLModule alone doesn't say how its actions come to lie within"
            f" {least.tolist()} … {greatest.tolist()}: give the whole checkpoint of the algorithm"
        )
    scale, shift = ((greatest - least) / 2, (greatest + least) / 2) if mapping.normalise and bounded else (one, 0 * one)
    if np.any(scale <= 0):
        raise ImportFailed(f"the action space {space} has components whose bounds are equal: leave them out")
    low, high = least, greatest
    if squashed:
        # Known since the distribution was made: tanh gives numbers between its bounds, which are then stretched.
        low, high = shift + scale * part.low, shift + scale * part.high
        if np.any(low < least - 1e-6) or np.any(high > greatest + 1e-6):
            raise ImportFailed(
                f"the policy squashes its actions to {part.low} … {part.high}, outside of the action space {space}:"
                " train with normalize_actions"
            )
    finite_low = [float(bound) if math.isfinite(bound) else None for bound in low]
    finite_high = [float(bound) if math.isfinite(bound) else None for bound in high]
    return _Gaussian(range(start, start + 2 * size), scale, shift, finite_low, finite_high, squashed)


def _joined(gaussians: Sequence[_Gaussian]) -> Actions:
    means = [column for one in gaussians for column in one.columns[: len(one.columns) // 2]]
    deviations = [column for one in gaussians for column in one.columns[len(one.columns) // 2 :]]
    low = [bound for one in gaussians for bound in one.low]
    high = [bound for one in gaussians for bound in one.high]
    if gaussians[0].squashed:
        untouched = np.ones(len(means))
        distribution: Distribution = SquashedGaussian(size=len(means), low=_all(low), high=_all(high))
        return Actions(distribution, RearrangedSquashed(means, deviations, untouched, 0 * untouched))
    scale = np.concatenate([one.scale for one in gaussians])
    shift = np.concatenate([one.shift for one in gaussians])
    some_low, some_high = any(bound is not None for bound in low), any(bound is not None for bound in high)
    distribution = DiagonalGaussian(size=len(means), low=low if some_low else None, high=high if some_high else None)
    return Actions(distribution, Rearranged(means, deviations, scale, shift))


def _all(bounds: Sequence[float | None]) -> list[float]:
    """Returns bounds of which none is missing: squashing has them."""
    return [bound for bound in bounds if bound is not None]
