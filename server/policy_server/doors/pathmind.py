"""The protocol of Pathmind's policy server, whose clients work unchanged; `/predict_batch/` is ours."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, Field
from pydantic_core import to_json

from policy_server.deciding import Decided, Vectors
from policy_server.doors.door import Door
from policy_server.errors import ObservationError
from policy_server.observations import observation_type, raw_observation_type
from policy_server.recurrence import STATE

TAG = "Predictions"


class _Answers:
    """What decisions are told as.

    Attributes:
        type: the model of an answer.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._names = names = door.engine.schema.actions
        self._brief = names is None and door.engine.policy.recurrence is None
        number: Any = float if door.engine.continuous else int

        class Action(BaseModel):
            """What the policy does."""

            actions: Annotated[list[number], Field(description="One number for each component of the action.")]
            probability: Annotated[
                float, Field(ge=0, description="Of these actions; the density where actions are real numbers.")
            ]

        class NamedAction(Action):
            """What the policy does, in the schema's words too."""

            action_names: Annotated[list[str], Field(description="What the schema calls each of the actions.")]

        self.type: Any = door.context_fields(NamedAction if names else Action)

    def model(self, decided: Decided) -> BaseModel:
        """Returns the answer as FastAPI takes it."""
        answer: BaseModel = self.type.model_construct(**self._content(decided))
        return answer

    def at_once(
        self,
        vector_of: Callable[[dict[str, Any]], Vectors],
        body: dict[str, Any],
        episode: str | None,
        *,
        deterministic: bool = False,
    ) -> bytes:
        """Decides on a validated body, and returns the same as JSON; `episode` is what the head says."""
        decider = self._door.decider
        state, episode = self._door.take_context(body, episode)
        vector = vector_of(body)
        if not self._brief or episode is not None:
            return to_json(self._content(decider.decide(vector, state, episode, deterministic=deterministic)))
        (actions, probability, _), (series, end) = decider.begin(vector, deterministic=deterministic)
        before, between, after = series.told
        taken = to_json({"actions": actions, "probability": probability})
        return b"".join((taken[:-1], before, end, between, end, after))

    def _content(self, decided: Decided) -> dict[str, Any]:
        actions, probability, _ = decided[0]
        content: dict[str, Any] = {"actions": actions, "probability": probability}
        if self._names is not None:
            content["action_names"] = [self._names[int(action)] for action in actions]
        return content | self._door.context(decided)


def open_pathmind(door: Door) -> None:
    """Declares `/predict/` and its kin; without observations in the schema, `/predict_raw/` alone."""
    app, engine, answers = door.app, door.engine, _Answers(door)
    Answer: Any = answers.type  # noqa: N806 -- a type
    Episode: Any = door.episode_header  # noqa: N806 -- a type
    common = door.described(TAG) | {"response_model_exclude_unset": True}
    RawObservation: Any = raw_observation_type(  # noqa: N806 -- a type
        engine.policy.manifest.observation_size, door.context_types()
    )

    @app.post("/predict_raw/", response_model=Answer, summary="Sample an action for the model's own input", **common)
    async def predict_raw(observation: Annotated[RawObservation, Body()], episode: Episode = None) -> Any:
        """As `/predict/`, with all of the model's inputs in one list."""
        state, episode = door.take_context(observation, episode)
        return answers.model(await door.decider.decided(engine.raw_vector(observation), state, episode))

    door.shorten("/predict_raw/", RawObservation, partial(answers.at_once, engine.raw_vector))
    if not engine.schema.observations:
        return
    Observation: Any = observation_type(engine.schema, door.context_types())  # noqa: N806 -- a type

    @app.post("/predict/", response_model=Answer, summary="Sample an action", **common)
    async def predict(observation: Annotated[Observation, Body()], episode: Episode = None) -> Any:
        """Draws an action from the policy's distribution for this observation."""
        state, episode = door.take_context(observation, episode)
        return answers.model(await door.decider.decided(engine.vector(observation), state, episode))

    door.shorten("/predict/", Observation, partial(answers.at_once, engine.vector))

    @app.post("/predict_deterministic/", response_model=Answer, summary="Take the most likely action", **common)
    async def predict_deterministic(observation: Annotated[Observation, Body()], episode: Episode = None) -> Any:
        """Returns the most likely action: the first among equals, and the mean where actions are real numbers."""
        state, episode = door.take_context(observation, episode)
        return answers.model(await door.decider.decided(engine.vector(observation), state, episode, deterministic=True))

    likeliest = partial(answers.at_once, engine.vector, deterministic=True)
    door.shorten("/predict_deterministic/", Observation, likeliest)

    @app.post("/predict_batch/", response_model=list[Answer], summary="Sample an action for each observation", **common)
    async def predict_batch(
        observations: Annotated[list[Observation], Body(max_length=door.most_rows)],
    ) -> list[Any]:
        """As `/predict/` for each of many observations, in their order, by one inference of each policy."""
        contexts = [door.take_context(observation, None) for observation in observations]
        states, episodes = [state for state, _ in contexts], [episode for _, episode in contexts]
        try:
            decided = await door.decider.batch(engine.vectors(observations), states, episodes)
        except ObservationError as error:
            where = error.location
            where = (where[1], STATE) if where[:1] == (STATE,) else where
            raise ObservationError(str(error), where) from None
        return [answers.model(one) for one in decided]

    no_table = door.described(TAG, {405: "This policy's actions can't be listed."})

    @app.post("/distribution/", summary="Show each action's probability", **no_table)
    async def distribution(observation: Annotated[Observation, Body()], episode: Episode = None) -> dict[str, float]:
        """Returns the probability of every action, by its index; 405 for tuples and for real numbers."""
        state, episode = door.take_context(observation, episode)
        return await door.decider.distribution(engine.vector(observation), state, episode)

    def table_at_once(body: dict[str, Any], episode: str | None) -> bytes:
        state, _ = door.take_context(body, episode)
        return to_json(engine.distribution(engine.vector(body), state))

    if door.routing is None:
        door.shorten("/distribution/", Observation, table_at_once)
