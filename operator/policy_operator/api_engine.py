"""What of a PolicyServer is about the engine that serves it: one process, or Ray Serve in one pod or on many nodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Protocol, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from policy_operator.api_policies import CheckedScaling, Policy
from policy_operator.resources import Resources
from policy_operator.schema_rules import REPLICAS_RULES
from policy_server.config import ConfigModel, replicas_problems

MOST_WORKERS = 1000

_Count = Annotated[int, Field(ge=1, le=MOST_WORKERS)]


class Engine(StrEnum):
    """What runs the policies."""

    IN_PROCESS = "InProcess"
    RAY_SERVE = "RayServe"


class RayWorkers(ConfigModel):
    """The pods of a Ray cluster that serve, besides its head, which doesn't."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [{"rule": rule, "message": text} for rule, text in REPLICAS_RULES]
        }
    )

    replicas: _Count | None = None
    """How many there always are; otherwise as many as the policies' scaling needs, from minReplicas to maxReplicas."""
    min_replicas: _Count | None = None
    """The least that there are."""
    max_replicas: _Count | None = None
    """The most that there are."""
    resources: Resources | None = None
    """What each asks for; without it, 2 of cpu and 2Gi of memory. By the limit of cpu, or else by the request, Ray
    knows for how many processes there is room."""

    @property
    def fewest(self) -> int:
        """How many there are at least."""
        return self.replicas or self.min_replicas or 1

    @property
    def most(self) -> int:
        """How many there are at most."""
        return self.replicas or self.max_replicas or self.fewest

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if problems := replicas_problems(self.replicas, self.min_replicas, self.max_replicas):
            raise ValueError(problems[0])
        return self


class Ray(ConfigModel):
    """How policies are spread over processes of Ray, and those over pods."""

    scaling: CheckedScaling | None = None
    """How many processes each policy has that says nothing of its own; one if not said."""
    workers: RayWorkers | None = None
    """Serves on several pods, which KubeRay makes: its operator must be in the cluster. Without it, each of `replicas`
    pods runs a Ray of its own."""


class _Spec(Protocol):
    """What of a spec the rules are about."""

    @property
    def engine(self) -> Engine: ...
    @property
    def ray(self) -> Ray | None: ...
    @property
    def policies(self) -> Sequence[Policy] | None: ...
    @property
    def replicas(self) -> int: ...
    @property
    def resources(self) -> Resources | None: ...


@dataclass(frozen=True)
class EngineRule:
    """What must hold between the engine and what else is said: in CEL of the spec, and in Python."""

    message: str
    cel: str
    broken: Callable[[_Spec], bool]

    def validation(self) -> JsonDict:
        """The rule for the API server."""
        return {"rule": self.cel, "message": self.message}


_NO_WORKERS = "!has(self.ray) || !has(self.ray.workers)"


def _has_workers(spec: _Spec) -> bool:
    return spec.ray is not None and spec.ray.workers is not None


ENGINE_RULES = (
    EngineRule(
        "ray is for engine RayServe: say engine: RayServe, or remove ray",
        f"!has(self.ray) || self.engine == '{Engine.RAY_SERVE}'",
        lambda spec: spec.ray is not None and spec.engine != Engine.RAY_SERVE,
    ),
    EngineRule(
        "scaling is for engine RayServe: say engine: RayServe, or remove scaling from the policies",
        f"self.engine == '{Engine.RAY_SERVE}' || !has(self.policies) || !self.policies.exists(each, has(each.scaling))",
        lambda spec: spec.engine != Engine.RAY_SERVE and any(policy.scaling for policy in spec.policies or ()),
    ),
    EngineRule(
        "beside ray.workers, replicas is 1, or 0 for no pods at all: say in ray.workers how many serve",
        f"{_NO_WORKERS} || self.replicas <= 1",
        lambda spec: _has_workers(spec) and spec.replicas > 1,
    ),
    EngineRule(
        "resources are those of a pod that serves alone: beside ray.workers, say them in ray.workers.resources",
        f"{_NO_WORKERS} || !has(self.resources)",
        lambda spec: _has_workers(spec) and spec.resources is not None,
    ),
)
