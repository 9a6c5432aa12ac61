"""The observation model that a schema generates, and the vector that the policy's model takes.

Flattening follows Pathmind's policy server: schema order, scalars appended, lists spliced, bool as 0 or 1, float32.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field
from typing_extensions import TypedDict

from policy_server.config import Observation, ObservationType, Schema
from policy_server.errors import ObservationError

# Numbers beyond float32 would reach the model as infinity.
_LARGEST = float(np.finfo(np.float32).max)
_PYTHON = {ObservationType.INT: int, ObservationType.FLOAT: float, ObservationType.BOOL: bool}


def observation_type(schema: Schema, others: Mapping[str, Any]) -> Any:
    """Returns a TypedDict with a key for each observation, in the schema's order, typed and bounded, and for others.

    Validation fills in the defaults of what a request leaves out. Keys that it doesn't know are ignored, as Pathmind's
    server did. A dict, since names need not be Python's.
    """
    fields = {observation.name: _key(observation) for observation in schema.observations}
    return TypedDict("Observation", {**fields, **others})  # type: ignore[operator]


def _key(observation: Observation) -> Any:
    if observation.default is None:
        return _annotation(observation)
    return NotRequired[Annotated[_annotation(observation), Field(default=observation.default)]]


def _annotation(observation: Observation) -> Any:
    item: Any = _PYTHON[observation.type.item]
    if item is float:
        item = Annotated[item, Field(allow_inf_nan=False)]
    if observation.minimum is not None:
        item = Annotated[item, Field(ge=observation.minimum)]
    if observation.maximum is not None:
        item = Annotated[item, Field(le=observation.maximum)]
    description = observation.description
    if not observation.type.is_list:
        return Annotated[item, Field(description=description)]
    limits = Field(min_length=observation.min_items, max_length=observation.max_items, description=description)
    if observation.max_items is None:  # it may be as long as the body, and each error would be told
        return Annotated[list[item], FailFast(), limits]
    return Annotated[list[item], limits]


def raw_observation_type(size: int, others: Mapping[str, Any]) -> Any:
    """Returns the TypedDict of `/predict_raw/`: all of the model's inputs in one list, and other keys."""
    item = Annotated[float, Field(allow_inf_nan=False)]
    description = "The model's inputs in its own order."
    obs = Annotated[list[item], Field(min_length=size, max_length=size, description=description)]
    return TypedDict("RawObservation", {"obs": obs, **others})  # type: ignore[operator]


class Flattening:
    """Makes a validated observation into the model's input."""

    def __init__(self, schema: Schema, size: int) -> None:
        self._lists = [observation.name for observation in schema.observations if observation.type.is_list]
        self._size = size

    def vector(self, observation: dict[str, Any]) -> NDArray[np.float32]:
        """Returns the observation as float32 of shape `(1, size)`.

        Raises:
            ObservationError: there are more or fewer values than the model takes, or one is too large for float32.
        """
        if self._lists:
            parts = (value if isinstance(value, list) else (value,) for value in observation.values())
            values = list(chain.from_iterable(parts))
        else:
            values = list(observation.values())
        if len(values) != self._size:
            raise ObservationError(
                f"The observation has {len(values)} values, the model takes {self._size}:"
                f" change the length of {' or '.join(self._lists)}"
            )
        return _float32(values, observation)

    def raw_vector(self, values: list[float]) -> NDArray[np.float32]:
        """Returns the model's inputs, already in order and complete, as float32 of shape `(1, size)`.

        Raises:
            ObservationError: one is too large for float32.
        """
        return _float32(values, {"obs": values})

    def matrix(self, rows: Any) -> NDArray[np.float32]:
        """Returns the model's inputs of many observations, rows of numbers in any form that numpy takes, as float32.

        Raises:
            ObservationError: they are not rows of `size` numbers, or one is not finite in float32.
        """
        try:
            given = np.asarray(rows)
        except (ValueError, TypeError, OverflowError):  # ragged, or nested deeper than numpy goes
            given = np.empty(0, object)
        if given.dtype.kind not in "bfiu":
            raise ObservationError("The observations must be rows of numbers, all of the same length")
        if given.ndim == 1:
            given = given[np.newaxis]
        if given.ndim != 2 or given.shape[1] != self._size:
            shape = "x".join(map(str, given.shape))
            raise ObservationError(f"The observations have the shape {shape}, the model takes rows of {self._size}")
        with np.errstate(over="ignore"):
            matrix = np.ascontiguousarray(given, np.float32)
        if not np.isfinite(matrix).all():
            row, column = np.argwhere(~np.isfinite(matrix))[0].tolist()
            raise ObservationError(
                f"Value {column} of observation {row} is not finite in float32, whose largest is {_LARGEST:.6g}"
            )
        return matrix


def _float32(values: list[Any], observation: dict[str, Any]) -> NDArray[np.float32]:
    if max(values) > _LARGEST or min(values) < -_LARGEST:
        raise _too_large(observation)
    return np.array([values], np.float32)


def _too_large(observation: dict[str, Any]) -> ObservationError:
    for name, value in observation.items():
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            if abs(item) > _LARGEST:
                location = (name, index) if isinstance(value, list) else (name,)
                return ObservationError(f"Input should be at most {_LARGEST:.6g} in size (float32)", location)
    raise AssertionError("no value is too large, yet one of them is")
