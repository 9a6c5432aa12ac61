"""The protocol of Pathmind's policy server, whose clients work unchanged; `/predict_batch/` is ours."""

from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, Field

from policy_server.deciding import Decided
from policy_server.doors.door import Door
from policy_server.errors import ObservationError
from policy_server.observations import observation_type, raw_observation_type
from policy_server.recurrence import STATE

TAG = "Predictions"


def open_pathmind(door: Door) -> None:
    """Declares `/predict/` and its kin; without observations in the schema, `/predict_raw/` alone."""
    app, engine, decider = door.app, door.engine, door.decider
    common = door.described(TAG) | {"response_model_exclude_unset": True}
    names = engine.schema.actions
    number: Any = float if engine.continuous else int

    class Action(BaseModel):
        """What the policy does."""

        actions: Annotated[list[number], Field(description="One number for each component of the action.")]
        probability: Annotated[
            float, Field(ge=0, description="Of these actions; the density where actions are real numbers.")
        ]

    class NamedAction(Action):
        """What the policy does, in the schema's words too."""

        action_names: Annotated[list[str], Field(description="What the schema calls each of the actions.")]

    Answer: Any = door.context_fields(NamedAction if names else Action)  # noqa: N806 -- a type
    Episode: Any = door.episode_header  # noqa: N806 -- a type

    def content(decided: Decided) -> dict[str, Any]:
        actions, probability, _ = decided[0]
        content: dict[str, Any] = {"actions": actions, "probability": probability}
        if names is not None:
            content["action_names"] = [names[int(action)] for action in actions]
        return content | door.context(decided)

    def answer(decided: Decided) -> Action:
        answered: Action = Answer.model_construct(**content(decided))
        return answered

    RawObservation: Any = raw_observation_type(  # noqa: N806 -- a type
        engine.policy.manifest.observation_size, door.context_types()
    )

    def at_once(body: dict[str, Any], episode: str | None, *, deterministic: bool = False) -> dict[str, Any]:
        """Answers a validated observation on the short way."""
        state, episode = door.take_context(body, episode)
        return content(decider.decide(engine.vector(body), state, episode, deterministic=deterministic))

    def raw_at_once(body: dict[str, Any], episode: str | None) -> dict[str, Any]:
        state, episode = door.take_context(body, episode)
        return content(decider.decide(engine.raw_vector(body), state, episode))

    @app.post("/predict_raw/", response_model=Answer, summary="Sample an action for the model's own input", **common)
    async def predict_raw(observation: Annotated[RawObservation, Body()], episode: Episode = None) -> Action:
        """As `/predict/`, with all of the model's inputs in one list."""
        state, episode = door.take_context(observation, episode)
        return answer(await decider.decided(engine.raw_vector(observation), state, episode))

    door.shorten("/predict_raw/", RawObservation, raw_at_once)
    if not engine.schema.observations:
        return
    Observation: Any = observation_type(engine.schema, door.context_types())  # noqa: N806 -- a type

    @app.post("/predict/", response_model=Answer, summary="Sample an action", **common)
    async def predict(observation: Annotated[Observation, Body()], episode: Episode = None) -> Action:
        """Draws an action from the policy's distribution for this observation."""
        state, episode = door.take_context(observation, episode)
        return answer(await decider.decided(engine.vector(observation), state, episode))

    door.shorten("/predict/", Observation, at_once)

    @app.post("/predict_deterministic/", response_model=Answer, summary="Take the most likely action", **common)
    async def predict_deterministic(observation: Annotated[Observation, Body()], episode: Episode = None) -> Action:
        """Returns the most likely action: the first among equals, and the mean where actions are real numbers."""
        state, episode = door.take_context(observation, episode)
        return answer(await decider.decided(engine.vector(observation), state, episode, deterministic=True))

    door.shorten(
        "/predict_deterministic/", Observation, lambda body, episode: at_once(body, episode, deterministic=True)
    )

    @app.post("/predict_batch/", response_model=list[Answer], summary="Sample an action for each observation", **common)
    async def predict_batch(
        observations: Annotated[list[Observation], Body(max_length=door.most_rows)],
    ) -> list[Action]:
        """As `/predict/` for each of many observations, in their order, by one inference of each policy."""
        contexts = [door.take_context(observation, None) for observation in observations]
        states, episodes = [state for state, _ in contexts], [episode for _, episode in contexts]
        try:
            decided = await decider.batch(engine.vectors(observations), states, episodes)
        except ObservationError as error:
            where = error.location
            where = (where[1], STATE) if where[:1] == (STATE,) else where
            raise ObservationError(str(error), where) from None
        return [answer(one) for one in decided]

    no_table = door.described(TAG, {405: "This policy's actions can't be listed."})

    @app.post("/distribution/", summary="Show each action's probability", **no_table)
    async def distribution(observation: Annotated[Observation, Body()], episode: Episode = None) -> dict[str, float]:
        """Returns the probability of every action, by its index; 405 for tuples and for real numbers."""
        state, episode = door.take_context(observation, episode)
        return await decider.distribution(engine.vector(observation), state, episode)
