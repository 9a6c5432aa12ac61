"""What a policy of Stable-Baselines3 observes, from one row of numbers as requests make it."""
# ruff: noqa: PLC0415  # importing PyTorch takes seconds, and the serving image has none

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_server.errors import ImportFailed
from policy_server.importers.agreement import Array, trial_observations


@dataclass(frozen=True)
class _Part:
    """A space without parts, and the columns that are its values."""

    key: str | None
    """The key of a Dict; None where there is but one space."""
    space: Any
    columns: slice
    shape: tuple[int, ...]
    """The shape of one observation."""
    choices: Any
    """For whole numbers: how many values each may have; otherwise None."""


class Observations:
    """The spaces of a policy in the order in which a request's numbers fill them.

    A Box is filled in C order, a Discrete is one whole number, a Dict has its keys' spaces one after the other, in its
    own order (alphabetical, where it was made of a dict).
    """

    def __init__(self, space: Any, statistics: Any) -> None:
        """Raises ImportFailed for spaces that a row of numbers can't fill.

        Args:
            space: the policy's.
            statistics: a `VecNormalize`, or None.
        """
        from gymnasium import spaces

        self._parts: list[_Part] = []
        self._statistics = statistics if statistics is not None and statistics.norm_obs else None
        keyed = space.spaces.items() if isinstance(space, spaces.Dict) else [(None, space)]
        size = 0
        for key, one in keyed:
            shape, choices = _shape(key, one)
            width = math.prod(shape)
            self._parts.append(_Part(key, one, slice(size, size + width), shape, choices))
            size += width
        self._size = size

    def trial(self) -> Array:
        """Returns observations that are like the policy's, float32 `(64, size)`."""
        random = np.random.default_rng(0)
        rows = trial_observations(self._size)
        for part in self._parts:
            if part.choices is not None:
                rows[:, part.columns] = random.integers(0, part.choices, (len(rows), len(part.choices)))
            elif (known := self._known(part.key)) is not None:
                spread = np.sqrt(known.var) * rows[:, part.columns].reshape(-1, *part.shape) + known.mean
                rows[:, part.columns] = spread.reshape(len(rows), -1)
        return rows

    def as_framework_has_them(self, rows: Array) -> Any:
        """Returns what `policy.predict` takes, an array or a dict of arrays, normalised by VecNormalize itself."""
        found: dict[str | None, Array] = {}
        for part in self._parts:
            values = rows[:, part.columns].reshape(-1, *part.shape)
            if part.choices is not None:
                values = values.astype(np.int64)
            # A Discrete's observation is a number, not a list of one.
            found[part.key] = values.reshape(-1, *part.space.shape)
        observations = _alone_or_keyed(found)
        return observations if self._statistics is None else self._statistics.normalize_obs(observations)

    def given_to_policy(self, rows: Any) -> Any:
        """Returns what the policy's networks take of a tensor `(n, size)`: for the graph, so nothing but operations."""
        from stable_baselines3.common.preprocessing import preprocess_obs

        found: dict[str | None, Any] = {}
        for part in self._parts:
            values = rows[:, part.columns].reshape(-1, *part.shape)
            known = self._known(part.key)
            if known is not None:
                values = _normalised(values, known, self._statistics)
            if part.choices is not None:
                values = values.long()
            found[part.key] = preprocess_obs(values, part.space, normalize_images=False)
        return _alone_or_keyed(found)

    def _known(self, key: str | None) -> Any:
        """Returns the mean and the variance by which a space's observations are normalised, or None."""
        if self._statistics is None:
            return None
        known = self._statistics.obs_rms
        if not isinstance(known, dict):
            return known
        return known[key] if key in self._statistics.norm_obs_keys else None


def _alone_or_keyed(found: dict[str | None, Any]) -> Any:
    return found[None] if list(found) == [None] else found


def _shape(key: str | None, space: Any) -> tuple[tuple[int, ...], Any]:
    from gymnasium import spaces
    from stable_baselines3.common.preprocessing import is_image_space

    where = "" if key is None else f" {key!r}"
    if is_image_space(space):
        raise ImportFailed(
            f"the policy observes{where} an image: requests carry numbers, and nothing says the order of the channels;"
            " export the policy with torch.export, from one row of numbers"
        )
    match space:
        case spaces.Box() | spaces.MultiBinary():
            return tuple(space.shape), None
        case spaces.Discrete():
            return (1,), np.array([space.n])
        case spaces.MultiDiscrete() if len(space.shape) == 1:
            return tuple(space.shape), space.nvec
    raise ImportFailed(
        f"the policy observes{where} a {type(space).__name__}: only Box, Discrete, MultiDiscrete (of one dimension),"
        " MultiBinary, and a Dict of them can be imported"
    )


def _normalised(values: Any, known: Any, statistics: Any) -> Any:
    """As `VecNormalize.normalize_obs`, which computes in double precision."""
    import torch

    mean = torch.as_tensor(np.asarray(known.mean, np.float64))
    deviation = torch.as_tensor(np.sqrt(np.asarray(known.var, np.float64) + statistics.epsilon))
    return ((values.double() - mean) / deviation).clamp(-statistics.clip_obs, statistics.clip_obs).float()
