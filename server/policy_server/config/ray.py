"""How policies are spread over the processes of Ray; descriptions are those of `kubectl explain`."""

from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator

from policy_server.config.base import ConfigModel

SCALING_RULE = "give exactly one of replicas, and both of minReplicas and maxReplicas"
SCALING_ORDER_RULE = "minReplicas must be at most maxReplicas"
SCALING_TARGET_RULE = "targetOngoingRequests goes with minReplicas and maxReplicas: remove it, or replicas"

_Replicas = Annotated[int, Field(ge=1, le=1000)]


def replicas_problems(fixed: int | None, least: int | None, most: int | None) -> list[str]:
    """Returns which rules are broken by a fixed number and two bounds of it; the API server checks the same in CEL."""
    rules = [
        ((least is None) != (most is None) or (fixed is None) == (least is None), SCALING_RULE),
        (least is not None and most is not None and least > most, SCALING_ORDER_RULE),
    ]
    return [message for broken, message in rules if broken]


class ScalingConfig(ConfigModel):
    """How many processes of Ray answer for one policy."""

    replicas: _Replicas | None = None
    """How many there always are; otherwise as many as requests need, from minReplicas to maxReplicas."""
    min_replicas: _Replicas | None = None
    """The least that there are."""
    max_replicas: _Replicas | None = None
    """The most that there are."""
    target_ongoing_requests: Annotated[FiniteFloat, Field(gt=0)] | None = None
    """With how many requests at a time one is fully used; 2 if not said."""
    cpus: Annotated[FiniteFloat, Field(gt=0)] = 1
    """How many of a node's CPUs each takes. Ray places it where so many are left; it isn't kept from using more."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        problems = replicas_problems(self.replicas, self.min_replicas, self.max_replicas)
        if self.replicas is not None and self.target_ongoing_requests is not None:
            problems.append(SCALING_TARGET_RULE)
        if problems:
            raise ValueError("\n".join(problems))
        return self


class RayConfig(ConfigModel):
    """What makes Ray Serve the engine."""

    scaling: ScalingConfig | None = None
    """How many processes each policy has that says nothing of its own; one if not said."""
