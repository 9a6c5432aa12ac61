"""Seldon's protocol v1: predictions and feedback.

https://docs.seldon.io/projects/seldon-core/en/latest/reference/apis/external-prediction.html and its message types.
The answer's data are the actions, as the CartPole agent of cartpole-rl-remote reads them (`int(values[0])`), in the
encoding of the request. That agent sends `names: ["a"]` with four values: names are not looked at.
"""

from secrets import token_hex
from typing import Annotated, Any, Self

import numpy as np
from fastapi import Body
from pydantic import BaseModel, Field, FiniteFloat, model_validator

from policy_server.doors.door import MOST_ROWS, Door
from policy_server.engine import Decision, Memories
from policy_server.errors import ObservationError
from policy_server.recurrence import STATE

TAG = "Seldon"
VERSIONS = ("v1.0", "v0.1")
LARGEST_REWARD = float(np.finfo(np.float32).max)  # Seldon's messages hold it as a float32

Size = Annotated[int, Field(ge=0, le=2**31 - 1)]
# A list may be as long as the body: each of its errors would be told.
Row = Annotated[list[FiniteFloat], Field(fail_fast=True)]


class SeldonTensor(BaseModel):
    """Numbers and the shape they have, row by row."""

    shape: Annotated[list[Size], Field(min_length=1, max_length=2, description="Rows and columns, or one row's length")]
    values: Row


class SeldonData(BaseModel):
    """Observations as numbers, one row for each, in the order of the model's inputs."""

    names: Annotated[list[str] | None, Field(fail_fast=True, description="Not looked at.")] = None
    tensor: SeldonTensor | None = None
    ndarray: Annotated[list[Row] | None, Field(min_length=1, max_length=MOST_ROWS)] = None

    @model_validator(mode="after")
    def _one_encoding(self) -> Self:
        if (self.tensor is None) == (self.ndarray is None):
            raise ValueError("give exactly one of tensor and ndarray")
        return self

    @property
    def rows(self) -> Any:
        """The observations, one row for each.

        Raises:
            ObservationError: the tensor's values don't fill its shape, or there are too many rows.
        """
        if self.tensor is None:
            return self.ndarray
        shape, values = self.tensor.shape, self.tensor.values
        expected = shape[0] * (shape[1] if len(shape) == 2 else 1)
        if expected != len(values):
            where = ("data", "tensor", "values")
            raise ObservationError(f"The shape {shape} has {expected} values, there are {len(values)}", where)
        if len(shape) == 2 and shape[0] > MOST_ROWS:
            raise ObservationError(f"There are {shape[0]} rows; at most {MOST_ROWS}", ("data", "tensor", "shape"))
        return np.array(values, np.float64).reshape(shape)


class SeldonRequestMeta(BaseModel):
    """What the client says of its request."""

    puid: Annotated[str | None, Field(max_length=128, description="Comes back in the answer.")] = None
    tags: Annotated[
        dict[str, Any] | None,
        Field(
            description="`state`, for recurrent policies: a list with that of each row, as the tags of the last answer"
            " have it; null, or nothing, at the beginning of an episode. Others are not looked at."
        ),
    ] = None


class SeldonRequest(BaseModel):
    """Observations to act on."""

    data: SeldonData
    meta: SeldonRequestMeta | None = None


class SeldonActionTensor(BaseModel):
    """Actions and the shape they have."""

    shape: list[int]
    values: list[int | float]


class SeldonActions(BaseModel):
    """Actions, one row for each observation, with a column for each component of the action."""

    names: list[str]
    tensor: SeldonActionTensor | None = None
    ndarray: list[list[int | float]] | None = None


class SeldonMeta(BaseModel):
    """What the server says of its answer."""

    puid: Annotated[str, Field(description="Names this answer: the request's, or a new one.")]
    tags: Annotated[
        dict[str, list[Any]], Field(description="`probability` of each row, and `action_names` and `state` if any.")
    ]
    routing: Annotated[dict[str, int], Field(description="The arm that each router took; empty without a router.")]


class SeldonAnswer(BaseModel):
    """The actions for the observations."""

    data: SeldonActions
    meta: SeldonMeta


class SeldonFeedback(BaseModel):
    """The reward for an answer. Clients that write Protobuf as JSON leave out a reward of 0."""

    request: dict[str, Any] | None = None
    response: Annotated[dict[str, Any] | None, Field(description="The answer that is rewarded.")] = None
    reward: Annotated[FiniteFloat, Field(ge=-LARGEST_REWARD, le=LARGEST_REWARD)] = 0.0
    truth: dict[str, Any] | None = None


class SeldonAcknowledgement(BaseModel):
    """Nothing: Seldon's empty message."""


def open_seldon(door: Door) -> None:
    """Declares predictions and feedback, in both spellings of the version."""

    async def seldon_predictions(asked: Annotated[SeldonRequest, Body()]) -> SeldonAnswer:
        """Samples an action for each row, as `/predict_raw/` does.

        The answer has the encoding of the request; its values are the actions themselves.
        """
        vectors = door.engine.matrix(asked.data.rows)
        memories = _memories(door, asked, len(vectors))
        decisions = await door.decide(vectors, memories)
        puid = asked.meta.puid if asked.meta else None
        return _answer(decisions, asked.data.tensor is not None, puid or token_hex(16), door)

    async def seldon_feedback(feedback: Annotated[SeldonFeedback, Body()]) -> SeldonAcknowledgement:
        """Counts the reward in the metrics, zero too. This server has no router, so nothing learns from it."""
        config = door.engine.config
        door.metrics.count_reward(config.name, config.policies[0].name, feedback.reward)
        return SeldonAcknowledgement()

    for version in VERSIONS:
        suffix = version.replace(".", "_")
        door.app.post(
            f"/api/{version}/predictions",
            name=f"seldon_predictions_{suffix}",
            summary="Sample actions",
            response_model_exclude_none=True,
            **door.described(TAG),
        )(seldon_predictions)
        door.app.post(
            f"/api/{version}/feedback",
            name=f"seldon_feedback_{suffix}",
            summary="Count a reward",
            **door.described(TAG),
        )(seldon_feedback)


def _memories(door: Door, asked: SeldonRequest, rows: int) -> Memories | None:
    """Returns what a recurrent policy keeps in mind for each row; None for other policies.

    Raises:
        ObservationError: there are too many rows, or not as many states as rows, or one that the model didn't give.
    """
    recurrence = door.engine.policy.recurrence
    if recurrence is None:
        return None
    if rows > door.most_rows:
        raise ObservationError(f"There are {rows} rows; this policy's states allow {door.most_rows}", ("data",))
    where = ("meta", "tags", STATE)
    told = (asked.meta.tags if asked.meta else None) or {}
    states = told.get(STATE)
    if states is None:
        states = [None] * rows
    if not isinstance(states, list) or len(states) != rows:
        raise ObservationError(f"The state must be a list with one for each of the {rows} rows", where)
    try:
        return recurrence.opened(states)
    except ObservationError as error:
        raise ObservationError(str(error), (*where, *error.location)) from None


def _answer(decisions: list[Decision], as_tensor: bool, puid: str, door: Door) -> SeldonAnswer:
    rows: list[list[int | float]] = [list(decision.actions) for decision in decisions]
    columns = door.engine.policy.manifest.distribution.components
    data = SeldonActions(names=["action"] if columns == 1 else [f"action_{column}" for column in range(columns)])
    if as_tensor:
        values = [action for row in rows for action in row]
        data.tensor = SeldonActionTensor.model_construct(shape=[len(rows), columns], values=values)
    else:
        data.ndarray = rows
    tags: dict[str, list[Any]] = {"probability": [decision.probability for decision in decisions]}
    if names := door.engine.schema.actions:
        tags["action_names"] = [[names[int(action)] for action in row] for row in rows]
    if door.engine.policy.recurrence is not None:
        tags[STATE] = [decision.state for decision in decisions]
    return SeldonAnswer(data=data, meta=SeldonMeta(puid=puid, tags=tags, routing={}))
