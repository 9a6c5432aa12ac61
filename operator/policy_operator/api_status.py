"""The status of the PolicyServer resource: the one source of its definition and documentation."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from policy_server.config import ConfigModel


class OpenModel(ConfigModel):
    """What others write, such as Kubernetes or another version of the operator: more than is known here."""

    model_config = ConfigDict(extra="ignore")


class Condition(OpenModel):
    """One aspect of the PolicyServer's state, as the API conventions of Kubernetes have it."""

    type: Annotated[str, StringConstraints(max_length=316)]
    """What is judged, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: Annotated[str, StringConstraints(pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1024)]
    """Why, in one word for programs."""
    message: Annotated[str, StringConstraints(max_length=32_768)]
    """Why, in a sentence for people; it names the thing that fails."""
    last_transition_time: AwareDatetime
    """When the status last changed."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the resource that was judged."""


class PolicyFailure(OpenModel):
    """Why a policy couldn't be served."""

    reason: Annotated[str, StringConstraints(max_length=1024)]
    """In one word for programs."""
    message: Annotated[str, StringConstraints(max_length=32_768)]
    """In a sentence for people."""
    time: AwareDatetime
    """When it was first seen."""


class PolicyStatus(OpenModel):
    """One policy as its pods have it."""

    name: Annotated[str, StringConstraints(max_length=253)]
    """The name in metrics; where there is but spec.modelUri, that of the PolicyServer."""
    state: Literal["Loaded", "Loading", "Failed", "Unloaded"]
    """Loaded where all pods that are wanted serve it; Unloaded where none is wanted."""
    digest: str | None = None
    """The SHA-256 of what was fetched, as the pods that serve it reported last."""
    last_failure: PolicyFailure | None = None
    """The last thing that went wrong, which may be over."""


class ArmStatus(OpenModel):
    """One policy as the router has it."""

    name: Annotated[str, StringConstraints(max_length=253)]
    """The policy's name."""
    weight: Annotated[str, StringConstraints(max_length=32)] | None = None
    """Its part of the traffic now, such as 93.4%; there is none of a shadow, or where nothing is drawn (UCB1)."""
    decisions: Annotated[int, Field(ge=0)] | None = None
    """How often it was chosen."""
    mean_reward: Annotated[str, StringConstraints(max_length=32)] | None = None
    """The mean of its rewards, as far as they count still."""
    state: Literal["Available", "Out", "NotLoaded"]
    """Available where it answers; Out where it failed and is tried again later; NotLoaded where it has no model."""


class RouterStatus(OpenModel):
    """The router as a pod tells it."""

    mode: Annotated[str, StringConstraints(max_length=32)]
    """How it chooses."""
    arms: Annotated[
        list[ArmStatus],
        Field(
            default_factory=list,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """What it chooses among, and its shadows."""


class PolicyServerStatus(OpenModel):
    """What the operator last saw."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the resource that this status is about."""
    conditions: Annotated[
        list[Condition],
        Field(
            default_factory=list,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ]
    """The state, aspect by aspect; Ready sums the others up."""
    url: str | None = None
    """Where the server answers."""
    replicas: Annotated[int, Field(ge=0)] | None = None
    """How many pods there are; `kubectl scale` and autoscalers read it."""
    selector: str | None = None
    """The labels of the pods, as `kubectl scale` and autoscalers need them."""
    policies: Annotated[
        list[PolicyStatus],
        Field(
            default_factory=list,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The policies, each with what is served of it."""
    loaded_policies: Annotated[str, StringConstraints(max_length=32)] | None = None
    """How many of the policies are loaded, such as 2/3."""
    router: RouterStatus | None = None
    """What the router does, seen about once a minute."""
