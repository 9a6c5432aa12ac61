"""What a server process is told: the one module that the operator shares with the server.

It needs pydantic alone, so that the operator's image carries nothing that serves.
Field descriptions are written for `kubectl explain`, because the resource reuses these models.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

# The least and the greatest number of model inputs that something fills; None: there is no greatest.
Width = tuple[int, int | None]


class ConfigModel(BaseModel):
    """camelCase on the wire, as Kubernetes has it; a misspelt field is an error, never ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class ObservationType(StrEnum):
    """Pathmind's names for what a policy can observe."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    INT_LIST = "List[int]"
    FLOAT_LIST = "List[float]"
    BOOL_LIST = "List[bool]"

    @property
    def is_list(self) -> bool:
        """Whether one observation holds several of the model's inputs."""
        return self.value.startswith("List[")

    @property
    def item(self) -> "ObservationType":
        """The type of one item of a list; a scalar type is its own."""
        return ObservationType(self.value.removeprefix("List[").removesuffix("]"))


class ModelFormat(StrEnum):
    """The formats that can be imported."""

    BUNDLE = "Bundle"
    ONNX = "ONNX"
    SAVED_MODEL = "SavedModel"

    @property
    def needs_framework(self) -> bool:
        """Whether a training framework must be there to convert it."""
        return self is ModelFormat.SAVED_MODEL


class Observation(ConfigModel):
    """One named observation: one input of the model, or several where it is a list."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    """The key of this observation in the body of a request."""
    type: ObservationType
    """What a client sends. A bool becomes 0 or 1; a list is spliced in place."""
    min_items: Annotated[int, Field(ge=0)] | None = None
    """The least number of items that a list may have."""
    max_items: Annotated[int, Field(ge=1)] | None = None
    """The greatest number of items that a list may have."""
    minimum: FiniteFloat | None = None
    """The least value that is accepted, of the number or of each item of the list."""
    maximum: FiniteFloat | None = None
    """The greatest value that is accepted, of the number or of each item of the list."""
    description: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """What the observation means; shown in the server's API documentation."""

    @model_validator(mode="after")
    def _bounds_fit_the_type(self) -> Self:
        if not self.type.is_list and (self.min_items is not None or self.max_items is not None):
            raise ValueError(
                f"observation {self.name!r} is of type {self.type}: minItems and maxItems are for lists;"
                f" remove them or make it a List[{self.type}]"
            )
        if None not in (self.min_items, self.max_items) and self.min_items > self.max_items:  # type: ignore[operator]
            raise ValueError(f"observation {self.name!r}: minItems {self.min_items} > maxItems {self.max_items}")
        if self.type.item is ObservationType.BOOL and (self.minimum, self.maximum) != (None, None):
            raise ValueError(f"observation {self.name!r} is of type {self.type}: remove minimum and maximum")
        if None not in (self.minimum, self.maximum) and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError(f"observation {self.name!r}: minimum {self.minimum} > maximum {self.maximum}")
        return self

    @property
    def width(self) -> Width:
        """How many of the model's inputs this observation fills."""
        if not self.type.is_list:
            return 1, 1
        return self.min_items or 0, self.max_items


class Schema(ConfigModel):
    """What the policy observes and what kind of action it takes."""

    observations: Annotated[list[Observation], Field(max_length=4096)] = []
    """The observations in the order of the model's inputs. Without any, only /predict_raw/ is served."""
    discrete: bool = True
    """Whether actions are integers (true) or real numbers (false)."""
    tuple: bool = False
    """Whether an action has several components."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        seen: set[str] = set()
        for observation in self.observations:
            if observation.name in seen:
                raise ValueError(f"observation {observation.name!r} is there twice; names must differ")
            seen.add(observation.name)
        return self

    @property
    def width(self) -> Width:
        """How many of the model's inputs all observations fill."""
        widths = [observation.width for observation in self.observations]
        bounded = [greatest for _, greatest in widths if greatest is not None]
        return sum(least for least, _ in widths), sum(bounded) if len(bounded) == len(widths) else None


class PolicyConfig(ConfigModel):
    """One policy of a server."""

    name: str
    """The name in metrics and status."""
    bundle: Path
    """The folder that an importer wrote."""


class ServerConfig(ConfigModel):
    """All that one PolicyServer's serving process needs to know, as JSON in one file."""

    name: str
    """The PolicyServer's name; a label of its metrics."""
    url_path: str
    """The path under which everything is served, without a slash at either end."""
    observation_schema: Annotated[Schema, Field(alias="schema")]
    """What requests hold."""
    policies: Annotated[list[PolicyConfig], Field(min_length=1, max_length=1)]
    """What answers."""
    auth: Literal["apiKey", "none"] = "apiKey"
    """`none` serves everyone; it must be said, never left out."""
    api_keys_directory: Path | None = None
    """A folder in which each file holds one accepted key, as Kubernetes mounts a Secret."""
    max_body_bytes: Annotated[int, Field(ge=1)] = 1_048_576
    """The largest request body that is read; beyond it the answer is 413."""
    seed: int | None = None
    """Makes the sampled actions repeatable; without it they are not."""

    @model_validator(mode="after")
    def _keys_or_none(self) -> Self:
        if (self.auth == "apiKey") != (self.api_keys_directory is not None):
            raise ValueError("apiKeysDirectory goes with auth: apiKey, and only with it")
        return self
