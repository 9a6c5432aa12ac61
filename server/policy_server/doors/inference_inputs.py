"""What a request of the Open Inference Protocol brings: observations, and the states of a recurrent policy."""

import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_server.doors.door import Door
from policy_server.doors.inference_messages import InferenceInput, InferenceRequest
from policy_server.doors.tensors import decoded, decoded_bytes
from policy_server.errors import ObservationError
from policy_server.recurrence import STATE

INPUT = "observations"


def vectors_and_states(
    door: Door, asked: InferenceRequest, tensors: bytes
) -> tuple[NDArray[np.float32], list[str | None] | None]:
    """Returns the model's inputs `(n, size)`, and the state of each row where the policy is recurrent.

    Args:
        door: knows the policy.
        asked: the request's JSON.
        tensors: the bytes after it, input by input.

    Raises:
        ObservationError: an input is there twice or not at all, or is no such tensor.
    """
    given: dict[str, tuple[int, NDArray[Any]]] = {}
    start = 0
    for index, one in enumerate(asked.inputs):
        if one.name in given:
            raise ObservationError(f"The input {one.name} is there twice", ("inputs", index))
        size = one.parameters.binary_data_size or 0
        given[one.name] = index, _tensor(door, one, index, tensors[start : start + size])
        start += size
    if INPUT not in given:
        raise ObservationError(f"The input {INPUT} is missing", ("inputs",))
    index, observations = given[INPUT]
    try:
        vectors = door.engine.matrix(observations)
    except ObservationError as error:
        raise ObservationError(str(error), ("inputs", index, "data")) from None
    return vectors, _states(door, given.get(STATE), len(vectors))


def _tensor(door: Door, given: InferenceInput, index: int, tensors: bytes) -> NDArray[Any]:
    if (given.data is None) == (given.parameters.binary_data_size is None):
        where = ("inputs", index)
        raise ObservationError(f"Give the {given.name} as data, or as bytes with binary_data_size", where)
    if len(given.shape) == 2 and given.shape[0] > door.most_rows:
        message = f"There are {given.shape[0]} rows; at most {door.most_rows}"
        raise ObservationError(message, ("inputs", index, "shape"))
    try:
        if given.data is not None:
            return decoded(given.data, given.shape)
        return decoded_bytes(tensors, given.shape, given.datatype)
    except ObservationError as error:
        raise ObservationError(str(error), ("inputs", index, "data")) from None


def _states(door: Door, given: tuple[int, NDArray[Any]] | None, rows: int) -> list[str | None] | None:
    recurrence = door.engine.policy.recurrence
    if recurrence is None:
        return None
    if given is None:
        return [None] * rows
    index, states = given
    where = ("inputs", index, "data")
    if states.ndim == 1:
        states = states[np.newaxis]
    if states.shape != (rows, recurrence.sealed_bytes) or not ((states >= 0) & (states < 256)).all():
        expected = [rows, recurrence.sealed_bytes]
        raise ObservationError(f"The state must be the bytes of the last answer's, of the shape {expected}", where)
    return [
        binascii.b2a_base64(row.tobytes(), newline=False).decode() if row.any() else None
        for row in states.astype(np.uint8)
    ]


def state_error(asked: InferenceRequest, error: ObservationError) -> ObservationError:
    """Returns an error in one row's state with the place of the tensor that holds it."""
    names: list[str] = [one.name for one in asked.inputs]
    index = names.index(STATE)
    return ObservationError(f"Row {error.location[1]}: {error}", ("inputs", index, "data"))


def state_tensor(door: Door, states: list[str | None]) -> NDArray[np.uint8]:
    """Returns the states of decisions as bytes `(n, size)`; the size is 0 where the policy has none."""
    recurrence = door.engine.policy.recurrence
    size = 0 if recurrence is None else recurrence.sealed_bytes
    told = b"".join(binascii.a2b_base64(state) for state in states if state is not None)
    return np.frombuffer(told, np.uint8).reshape(len(states), size)
