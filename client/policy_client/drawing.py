"""An action from a model's output, for each kind of distribution that a bundle can have.

The server has its own, which also tells probabilities; a test holds both to the same draws.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_client.errors import NotFinite, PolicyError

Parameters = NDArray[np.float64]


def draw(distribution: dict[str, Any], parameters: Parameters, random: np.random.Generator) -> list[float]:
    """Returns an action of a distribution, which is that of a `policy.json`, given its parameters `(n,)`.

    Raises:
        PolicyError: the kind is unknown, or the parameters are no distribution.
    """
    match distribution["kind"]:
        case "Categorical":
            return [_choice(parameters, random)]
        case "MultiCategorical":
            ends = np.cumsum(distribution["sizes"])[:-1]
            return [_choice(logits, random) for logits in np.split(parameters, ends)]
        case "QValues":
            return [_best_or_any(parameters, distribution.get("epsilon", 0.0), random)]
        case "DiagonalGaussian":
            drawn = _normal(parameters, random)
            low, high = (
                _bounds(distribution.get(bound), none) for bound, none in (("low", -math.inf), ("high", math.inf))
            )
            return np.clip(drawn, low, high).tolist()  # type: ignore[no-any-return]
        case "SquashedGaussian":
            share = (np.tanh(_normal(parameters, random)) + 1) / 2
            low, high = np.array(distribution["low"], float), np.array(distribution["high"], float)
            return np.clip(low * (1 - share) + high * share, low, high).tolist()  # type: ignore[no-any-return]
        case other:
            raise PolicyError(f"the bundle's distribution is {other}, which this version doesn't know: update it")


def _choice(logits: Parameters, random: np.random.Generator) -> int:
    if np.isnan(logits).any() or not math.isfinite(largest := logits.max()):
        raise NotFinite("the model's logits for this observation are not finite")
    cumulative = np.cumsum(np.exp(logits - largest))
    # To the right of equals: never an action of probability 0, which a last one may be.
    choice = int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))
    return min(choice, int(np.searchsorted(cumulative, cumulative[-1])))


def _best_or_any(values: Parameters, epsilon: float, random: np.random.Generator) -> int:
    if np.isnan(values).any() or not math.isfinite(values.max()):
        raise NotFinite("the model's values for this observation are not finite")
    if epsilon == 0 or random.random() >= epsilon:
        return int(values.argmax())
    allowed = np.flatnonzero(values > -math.inf)
    return int(allowed[random.integers(len(allowed))])


def _normal(parameters: Parameters, random: np.random.Generator) -> Parameters:
    mean, log_deviation = np.split(parameters, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        drawn: Parameters = mean + np.exp(log_deviation) * random.standard_normal(len(mean))
    if not np.isfinite(drawn).all():
        raise NotFinite("the model's mean or deviation for this observation is not finite")
    return drawn


def _bounds(bounds: Sequence[float | None] | None, none: float) -> Parameters | float:
    return none if bounds is None else np.array([none if bound is None else bound for bound in bounds], float)
