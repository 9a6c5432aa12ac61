"""Seldon's protocol v1: predictions and feedback.

https://docs.seldon.io/projects/seldon-core/en/latest/reference/apis/external-prediction.html and its message types.
The answer's data are the actions, as the CartPole agent of cartpole-rl-remote reads them (`int(values[0])`), in the
encoding of the request. That agent sends `names: ["a"]` with four values: names are not looked at.
"""

from secrets import token_hex
from typing import Annotated, Any, Self

import numpy as np
from fastapi import Body, HTTPException
from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter, ValidationError, model_validator

from policy_server.config import EPISODE
from policy_server.doors.door import MOST_ROWS, Door, EpisodeId
from policy_server.doors.feedback import DECISION, take_reward, take_reward_for_policy
from policy_server.engine import Decision
from policy_server.errors import ObservationError
from policy_server.recurrence import STATE
from policy_server.request_head import LONGEST_EPISODE_ID
from policy_server.router.routed import Routed
from policy_server.routing.routing import Routing

TAG = "Seldon"
_EPISODE_ID: TypeAdapter[str] = TypeAdapter(EpisodeId)
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
            " have it; null, or nothing, at the beginning of an episode. `episode_id`, where there is a router: that of"
            " the last answer, or a name of your own. Others are not looked at."
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
        dict[str, Any],
        Field(
            description="`probability` of each row, and `action_names` and `state` if any; with a router also"
            " `policy`, `decision_id`, `episode_id` and `propensity`."
        ),
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
    Episode: Any = door.episode_header  # noqa: N806 -- a type

    async def seldon_predictions(asked: Annotated[SeldonRequest, Body()], episode: Episode = None) -> SeldonAnswer:
        """Samples an action for each row, as `/predict_raw/` does.

        The answer has the encoding of the request; its values are the actions themselves.
        """
        vectors = door.engine.matrix(asked.data.rows)
        states = _states(door, asked, len(vectors))
        try:
            decisions, _, routed = await door.decider.rows(vectors, states, _episode(asked) or episode)
        except ObservationError as error:
            raise ObservationError(str(error), _where(error.location)) from None
        puid = asked.meta.puid if asked.meta else None
        return _answer(decisions, routed, asked.data.tensor is not None, puid, door)

    async def seldon_feedback(feedback: Annotated[SeldonFeedback, Body()]) -> SeldonAcknowledgement:
        """Takes the reward of an answer, zero too.

        With a router, the answer is the one that `response.meta` names: by its `puid` or its tag `decision_id`, which
        are counted once, or else by its `routing` alone, as old clients echo it, of which repeats can't be told.
        Without a router nothing learns from it.
        """
        if door.routing is None:
            door.tallies.policy(door.engine.config.name, door.engine.name).rewards.take(feedback.reward)
        else:
            await _reward(door.routing, feedback)
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


def _episode(asked: SeldonRequest) -> str | None:
    """Returns the id of the episode that goes on, if the tags have it."""
    episode = ((asked.meta.tags if asked.meta else None) or {}).get(EPISODE)
    try:
        return None if episode is None else _EPISODE_ID.validate_python(episode, strict=True)
    except ValidationError:
        message = f"The episode's id must be a text of 1 to {LONGEST_EPISODE_ID} characters"
        raise ObservationError(message, ("meta", "tags", EPISODE)) from None


def _states(door: Door, asked: SeldonRequest, rows: int) -> list[Any] | None:
    """Returns the state of each row; None for policies without a memory.

    Raises:
        ObservationError: there are too many rows, or not as many states as rows.
    """
    if door.engine.policy.recurrence is None:
        return None
    if rows > door.most_rows:
        raise ObservationError(f"There are {rows} rows; this policy's states allow {door.most_rows}", ("data",))
    states = ((asked.meta.tags if asked.meta else None) or {}).get(STATE)
    if states is None:
        return [None] * rows
    if not isinstance(states, list) or len(states) != rows:
        message = f"The state must be a list with one for each of the {rows} rows"
        raise ObservationError(message, ("meta", "tags", STATE))
    return states


def _where(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    return ("meta", "tags", *location) if location[:1] == (STATE,) else location


async def _reward(routing: Routing, feedback: SeldonFeedback) -> None:
    """Gives a reward to whom the answer in the feedback names.

    Raises:
        HTTPException: it names nobody; Seldon would have told all.
    """
    meta = (feedback.response or {}).get("meta")
    meta = meta if isinstance(meta, dict) else {}
    tags = meta.get("tags")
    told = (tags.get(DECISION) if isinstance(tags, dict) else None, meta.get("puid"))
    for name in dict.fromkeys(name for name in told if isinstance(name, str)):
        if routing.router.issued(name, routing.clock()):
            await take_reward(routing, name, feedback.reward)
            return
    arms = meta.get("routing")
    arm = arms.get(routing.name) if isinstance(arms, dict) else None
    if type(arm) is not int:
        raise HTTPException(400, f"response.meta must have the puid, or the routing of {routing.name}, of the answer")
    try:
        await take_reward_for_policy(routing, arm, feedback.reward)
    except IndexError:
        raise HTTPException(400, f"response.meta.routing: {routing.name} has no arm {arm} that can be chosen") from None


def _answer(
    decisions: list[Decision], routed: Routed | None, as_tensor: bool, puid: str | None, door: Door
) -> SeldonAnswer:
    rows: list[list[int | float]] = [list(decision.actions) for decision in decisions]
    columns = door.engine.policy.manifest.distribution.components
    data = SeldonActions(names=["action"] if columns == 1 else [f"action_{column}" for column in range(columns)])
    if as_tensor:
        values = [action for row in rows for action in row]
        data.tensor = SeldonActionTensor.model_construct(shape=[len(rows), columns], values=values)
    else:
        data.ndarray = rows
    tags: dict[str, Any] = {"probability": [decision.probability for decision in decisions]}
    if names := door.engine.schema.actions:
        tags["action_names"] = [[names[int(action)] for action in row] for row in rows]
    if door.engine.policy.recurrence is not None:
        tags[STATE] = [decision.state for decision in decisions]
    routing = {}
    if routed is not None:
        tags |= routed.content()
        names = [policy.name for policy in door.engine.config.policies]
        routing = {door.engine.config.name: names.index(routed.policy)}
        puid = puid or routed.id
    return SeldonAnswer(data=data, meta=SeldonMeta(puid=puid or token_hex(16), tags=tags, routing=routing))
