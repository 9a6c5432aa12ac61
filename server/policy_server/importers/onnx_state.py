"""The memory of a recurrent policy in an ONNX model: inputs and outputs beside its observations and its answer."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from policy_server.bundle import State
from policy_server.config import first_problem
from policy_server.errors import ImportFailed

STATE_PROPERTY = "policyserver.state"
"""The metadata property in which the exporter of a recurrent policy says its memory: a JSON list of `State`."""
FLOAT = "tensor(float)"
"""What ONNX Runtime calls float32."""
HOW_TO_SAY_STATE = (
    "where the others are the state of a recurrent policy, say so in the model's metadata: "
    f"onnx.helper.set_model_props(model, {{{STATE_PROPERTY!r}: "
    + '\'[{"input": "hidden_in", "output": "hidden_out", "shape": [64]}]\'})'
)


def beginning(state: Sequence[State], rows: int) -> dict[str, np.ndarray[Any, Any]]:
    """Returns the inputs for the state at the beginning of an episode, by name."""
    return {each.input: np.zeros((rows, *each.shape), np.float32) for each in state}


def state_said(properties: dict[str, str]) -> tuple[State, ...]:
    """Returns the state of which a model's metadata tell; raises ImportFailed where they are wrong."""
    said = properties.get(STATE_PROPERTY)
    if said is None:
        return ()
    try:
        return tuple(TypeAdapter(Annotated[list[State], Field(min_length=1)]).validate_json(said))
    except ValidationError as error:
        problem = first_problem(error)
        raise ImportFailed(f"the model's property {STATE_PROPERTY} is wrong ({problem}): {said}") from None


def require_state(session: Any, states: Sequence[State]) -> None:
    """Raises ImportFailed where the model has no such inputs and outputs."""
    for what, tensors, names in (
        ("input", session.get_inputs(), [each.input for each in states]),
        ("output", session.get_outputs(), [each.output for each in states]),
    ):
        known = {one.name: one for one in tensors}
        for name, state in zip(names, states, strict=True):
            one = known.get(name)
            if one is None or names.count(name) > 1:
                raise ImportFailed(
                    f"the state's {what} {name} is {'there twice' if one else f'no {what} of the model'}, which has"
                    f" {', '.join(known)}: correct the importer's or the metadata's state"
                )
            said, has = state.shape, one.shape[1:]
            fits = len(one.shape) == 0 or (
                len(said) == len(has) and all(not isinstance(n, int) or n == m for m, n in zip(said, has, strict=True))
            )
            if one.type != FLOAT or not fits:
                raise ImportFailed(
                    f"the state's {what} is {described(one)}, needed is float32 [batch, {', '.join(map(str, said))}]"
                    " as its shape says: correct the shape or the model"
                )


def described(one: Any) -> str:
    """Returns an input or output of a session in words: its name, type and shape."""
    return f"{one.name} {one.type.removeprefix('tensor(').removesuffix(')')}{list(one.shape)}".replace("'", "")
