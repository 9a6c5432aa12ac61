"""Observations as they travel: plain Python values, or all numbers in one row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_client.errors import NotFinite, PolicyError

Observation = Mapping[str, Any]
"""Of one agent: each value is a number or bool, or a list or array of them."""


def plain(value: Any) -> Any:
    """Returns a value without numpy's types in it, which JSON doesn't know."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def row(observation: Observation) -> NDArray[np.float64]:
    """Returns all numbers of an observation `(n,)`, in its order: lists are spliced in, bools are 0 or 1.

    Raises:
        PolicyError: a value is no number, or not finite.
    """
    parts = []
    for name, value in observation.items():
        try:
            part = np.ravel(np.asarray(value, np.float64))
        except (TypeError, ValueError):
            raise PolicyError(f"the observation {name} is {value!r}: give a number or a list of numbers") from None
        if not np.isfinite(part).all():
            raise NotFinite(f"the observation {name} is {value!r}: give finite numbers")
        parts.append(part)
    return np.concatenate(parts) if parts else np.empty(0)
