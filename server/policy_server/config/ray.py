"""How policies are spread over the processes of Ray; descriptions are those of `kubectl explain`."""

from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator

from policy_server.config.base import ConfigModel

SCALING_RULE = "give exactly one of replicas, and both of minReplicas and maxReplicas"
SCALING_ORDER_RULE = "minReplicas must be at most maxReplicas"
SCALING_TARGET_RULE = "targetOngoingRequests goes with minReplicas and maxReplicas: remove it, or replicas"

_Replicas = Annotated[int, Field(ge=1, le=1000)]


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
        problems = [message for broken, message in self._rules() if broken]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _rules(self) -> list[tuple[bool, str]]:
        """Returns whether each rule is broken, and what it says; the API server checks the same in CEL."""
        least, most = self.min_replicas, self.max_replicas
        fixed = self.replicas is not None
        return [
            ((least is None) != (most is None) or fixed == (least is not None), SCALING_RULE),
            (least is not None and most is not None and least > most, SCALING_ORDER_RULE),
            (fixed and self.target_ongoing_requests is not None, SCALING_TARGET_RULE),
        ]


class RayConfig(ConfigModel):
    """What makes Ray Serve the engine."""

    scaling: ScalingConfig | None = None
    """How many processes each policy has that says nothing of its own; one if not said."""
