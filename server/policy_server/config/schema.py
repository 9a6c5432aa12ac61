"""What a policy observes and what kind of action it takes."""

import math
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from policy_server.config.base import ConfigModel

# The least and the greatest number of model inputs that something fills; None: there is no greatest.
Width = tuple[int, int | None]


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
    default: Any = None
    """The value where a request leaves this observation out, of its type and within its bounds; without a default, a
    request must have it."""
    mask: bool | None = None
    """Whether this List[bool] tells, in the order of the actions, which of them are allowed now: true allows. The
    server never takes the others, whatever the model says, and the probabilities of the rest sum to 1. Where an action
    has several components, the mask holds all of theirs, one component after the other."""
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

    @model_validator(mode="after")
    def _mask_is_a_list_of_bools(self) -> Self:
        if self.mask and self.type is not ObservationType.BOOL_LIST:
            raise ValueError(
                f"observation {self.name!r} is of type {self.type}: a mask is a List[bool];"
                " change the type or remove mask"
            )
        return self

    @model_validator(mode="after")
    def _default_is_accepted(self) -> Self:
        if self.default is not None and (reason := self._refusal(self.default)):
            raise ValueError(f"observation {self.name!r}: its default {reason}")
        return self

    def _refusal(self, default: Any) -> str | None:
        """Returns why a request with this value would be refused, or None."""
        if isinstance(default, list) != self.type.is_list:
            return f"must be {'a list' if self.type.is_list else 'a single value'}, as its type {self.type} says"
        items = default if isinstance(default, list) else [default]
        least, greatest = self.width
        if not least <= len(items) <= (len(items) if greatest is None else greatest):
            return f"has {len(items)} items; minItems and maxItems allow {least} to {greatest or 'any number of'}"
        lowest = -math.inf if self.minimum is None else self.minimum
        highest = math.inf if self.maximum is None else self.maximum
        for item in items:
            if type(item) not in _ACCEPTED[self.type.item] or not -_LARGEST <= item <= _LARGEST:
                return f"is not of type {self.type}"
            if not lowest <= item <= highest:
                return f"holds {item}, which minimum and maximum don't allow"
        return "allows no action; a mask needs at least one true" if self.mask and not any(items) else None

    @property
    def width(self) -> Width:
        """How many of the model's inputs this observation fills."""
        if not self.type.is_list:
            return 1, 1
        return self.min_items or 0, self.max_items


_LARGEST = float.fromhex("0x1.fffffep+127")  # of float32, which models take
_ACCEPTED: dict[ObservationType, set[type]] = {
    ObservationType.INT: {int},
    ObservationType.FLOAT: {int, float},
    ObservationType.BOOL: {bool},
}

ActionName = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class Schema(ConfigModel):
    """What the policy observes and what kind of action it takes."""

    observations: Annotated[list[Observation], Field(max_length=4096)] = []  # noqa: RUF012 -- pydantic copies it
    """The observations in the order of the model's inputs. Without any, only /predict_raw/ is served."""
    discrete: bool = True
    """Whether actions are integers (true) or real numbers (false)."""
    tuple: bool = False
    """Whether an action has several components."""
    actions: Annotated[list[ActionName], Field(min_length=1, max_length=4096)] | None = None
    """The names of the actions, in the order of the model's: answers then hold `action_names` beside the indexes. For
    policies that take one discrete action."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for what, names in (("observation", [each.name for each in self.observations]), ("action", self.actions or [])):
            seen: set[str] = set()
            for name in names:
                if name in seen:
                    raise ValueError(f"{what} {name!r} is there twice; names must differ")
                seen.add(name)
        return self

    @model_validator(mode="after")
    def _actions_can_be_named_and_masked(self) -> Self:
        if self.actions and (self.tuple or not self.discrete):
            raise ValueError(
                "actions names the choices of one discrete action: remove actions, or correct discrete and tuple"
            )
        masks = [repr(observation.name) for observation in self.observations if observation.mask]
        if len(masks) > 1:
            raise ValueError(f"observations {' and '.join(masks)} are masks; there can be one")
        if masks and not self.discrete:
            raise ValueError(f"observation {masks[0]} is a mask, and continuous actions can't be masked: remove mask")
        return self

    @property
    def mask(self) -> Observation | None:
        """The observation that tells which actions are allowed."""
        return next((observation for observation in self.observations if observation.mask), None)

    @property
    def width(self) -> Width:
        """How many of the model's inputs all observations fill."""
        widths = [observation.width for observation in self.observations]
        bounded = [greatest for _, greatest in widths if greatest is not None]
        return sum(least for least, _ in widths), sum(bounded) if len(bounded) == len(widths) else None
