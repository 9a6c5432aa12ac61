"""Actions from a distribution's parameters: sampled, most likely, or as a table, each in one exact pass.

Arithmetic is in float64, whatever the model's output is. Parameters have the shape `(parameters,)`.
"""

from typing import assert_never

from policy_server.bundle import (
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
    QValues,
    SquashedGaussian,
)
from policy_server.sampling.continuous import DiagonalGaussianSampler, SquashedGaussianSampler
from policy_server.sampling.discrete import CategoricalSampler, MultiCategoricalSampler, QValuesSampler, softmax
from policy_server.sampling.sampler import Actions, Sampler, Vector

__all__ = [
    "Actions",
    "CategoricalSampler",
    "DiagonalGaussianSampler",
    "MultiCategoricalSampler",
    "QValuesSampler",
    "Sampler",
    "SquashedGaussianSampler",
    "Vector",
    "sampler_for",
    "softmax",
]


def sampler_for(distribution: Distribution) -> Sampler:
    """Returns what samples from a bundle's distribution."""
    match distribution:
        case Categorical():
            return CategoricalSampler()
        case MultiCategorical(sizes=sizes):
            return MultiCategoricalSampler(sizes)
        case QValues(epsilon=epsilon):
            return QValuesSampler(epsilon)
        case DiagonalGaussian(size=size, low=low, high=high):
            return DiagonalGaussianSampler(size, low, high)
        case SquashedGaussian(low=least, high=greatest):
            return SquashedGaussianSampler(least, greatest)
        case _:
            assert_never(distribution)
