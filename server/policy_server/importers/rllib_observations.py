"""What RLlib does to observations before its networks see them, as modules of PyTorch.

A request gives an observation as one row of numbers. Each part of a nested space has its place in the row, in the order
in which RLlib flattens it: a `Discrete` is one number, the choice itself, and a `Box` all of its numbers, row by row.
"""

import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from policy_server.errors import ImportFailed
from policy_server.importers.agreement import Array, trial_observations

_ATARI_IMAGE, _ATARI_MEMORY = (210, 160, 3), (128,)
_LARGEST_TRIAL = 1000.0


def leaves(space: Any, *, sort: bool) -> list[Any]:
    """Returns the spaces that a space, or a dict or tuple of spaces, is made of.

    Args:
        space: what is flattened.
        sort: whether the keys of dicts are sorted, as dm-tree has it, or in the space's own order.

    Raises:
        ImportFailed: it has parts that aren't rows of numbers of a fixed length, as graphs and texts.
    """
    if isinstance(space, Dict | dict):
        parts = dict(space.items())
        return [leaf for key in (sorted(parts) if sort else parts) for leaf in leaves(parts[key], sort=sort)]
    if isinstance(space, Tuple | tuple):
        return [leaf for part in space for leaf in leaves(part, sort=sort)]
    if not isinstance(space, Box | Discrete | MultiBinary | MultiDiscrete):
        raise ImportFailed(f"the policy observes {type(space).__name__}, which no list of numbers can give")
    return [space]


def given_size(leaf: Any) -> int:
    """Returns how many numbers of a request an elementary space takes."""
    return 1 if isinstance(leaf, Discrete) else math.prod(leaf.shape)


def trials(parts: Sequence[Any]) -> Array:
    """Returns observations to check a conversion with, float32 `(k, size)`: any numbers, and some of the spaces."""
    anything = trial_observations(sum(given_size(part) for part in parts))
    columns = []
    for part in parts:
        part.seed(0)
        drawn = np.array([np.ravel(part.sample()) for _ in range(len(anything))], np.float64)
        columns.append(np.clip(drawn, -_LARGEST_TRIAL, _LARGEST_TRIAL))
    return np.concatenate([anything, np.concatenate(columns, axis=1).astype(np.float32)])


class OneHot(torch.nn.Module):  # type: ignore[misc]  # torch has no types where there is no torch
    """Whole numbers `(n, k)`, the i-th below `sizes[i]`, as zeros and ones `(n, sum of sizes)`."""

    def __init__(self, sizes: Sequence[int], starts: Sequence[int]) -> None:
        super().__init__()
        self.choices: list[Any] = [
            torch.arange(start, start + size, dtype=torch.float32) for size, start in zip(sizes, starts, strict=True)
        ]

    def forward(self, given: Any) -> Any:
        """See the class."""
        columns = given.round().split(1, dim=1)
        pairs = zip(columns, self.choices, strict=True)
        return torch.cat([(column == choices).to(torch.float32) for column, choices in pairs], dim=1)


class Encoded(torch.nn.Module):  # type: ignore[misc]  # as above
    """Rows of a request, `(n, size)`, as RLlib flattens them: choices as zeros and ones.

    Args:
        parts: the elementary spaces, in their order.
        from_start: whether a `Discrete` that starts at s has s as its first choice, as gymnasium has it; RLlib's
            connectors count from 0.
        atari: whether parts of the shapes of Atari games are treated as RLlib's preprocessors do.

    Raises:
        ImportFailed: a part is an image of an Atari game, which RLlib's preprocessor crops and scales.
    """

    def __init__(self, parts: Sequence[Any], *, from_start: bool, atari: bool) -> None:
        super().__init__()
        self.sizes = [given_size(part) for part in parts]
        encoders = []
        for part in parts:
            encoder: Any = torch.nn.Identity()
            if isinstance(part, Discrete):
                encoder = OneHot([int(part.n)], [int(part.start) if from_start else 0])
            elif isinstance(part, MultiDiscrete):
                starts = part.start.ravel().tolist() if from_start else [0] * part.nvec.size
                encoder = OneHot(part.nvec.ravel().tolist(), starts)
            elif atari and part.shape == _ATARI_MEMORY:
                encoder = Scaled(np.full(128, 128.0), np.full(128, 128.0), None)
            elif atari and part.shape == _ATARI_IMAGE:
                raise ImportFailed(
                    "RLlib's preprocessor crops and scales the images that the policy observes, which can't be part of"
                    " the model: train with preprocessor_pref: deepmind or None"
                )
            encoders.append(encoder)
        self.encoders = torch.nn.ModuleList(encoders)

    def forward(self, observations: Any) -> Any:
        """See the class."""
        parts = observations.split(self.sizes, dim=1)
        return torch.cat([encoder(part) for encoder, part in zip(self.encoders, parts, strict=True)], dim=1)


class Scaled(torch.nn.Module):  # type: ignore[misc]  # as above
    """`(observations - mean) / scale`, within `-clip` and `clip`; in float64, as RLlib reckons with numpy."""

    def __init__(self, mean: Array, scale: Array, clip: float | None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(np.array(mean, np.float64)))
        self.register_buffer("scale", torch.from_numpy(np.array(scale, np.float64)))
        self.clip = clip

    def forward(self, observations: Any) -> Any:
        """See the class."""
        scaled = (observations.to(torch.float64) - self.mean) / self.scale
        if self.clip:
            scaled = scaled.clamp(-self.clip, self.clip)
        return scaled.to(torch.float32)


def filter_module(running: Any, width: int) -> Any:
    """Returns what one of RLlib's filters of observations does, with the statistics that it has now.

    Args:
        running: a `MeanStdFilter` or another class of `ray.rllib.utils.filter`.
        width: how many numbers it filters.

    Raises:
        ImportFailed: it is of another kind, or doesn't fit the observations.
    """
    from ray.rllib.utils.filter import MeanStdFilter, NoFilter  # noqa: PLC0415  # RLlib loads slowly
    from ray.rllib.utils.numpy import SMALL_NUMBER  # noqa: PLC0415  # as above

    if isinstance(running, NoFilter):
        return torch.nn.Identity()
    statistics: Any = getattr(running, "running_stats", None)
    mean = getattr(statistics, "mean", None)
    if not isinstance(running, MeanStdFilter) or not isinstance(mean, np.ndarray) or mean.size != width:
        raise ImportFailed(
            f"the policy's observations go through a {type(running).__name__} that can't be part of the model (of"
            f" {width} observations, nested ones excepted, a MeanStdFilter can): train without it"
        )
    shift = mean.ravel() if running.demean else np.zeros(width)
    scale = statistics.std.ravel().astype(np.float64) + SMALL_NUMBER if running.destd else np.ones(width)
    return Scaled(shift, scale, running.clip)


def require_box(space: gymnasium.Space[Any]) -> Box:
    """Returns the space if it is one array of numbers.

    Raises:
        ImportFailed: it isn't.
    """
    if not isinstance(space, Box):
        raise ImportFailed(
            f"the policy's network takes observations of {type(space).__name__} as they are, not as a list of numbers:"
            " train it with a FlattenObservations connector (or with RLlib's preprocessors)"
        )
    return space
