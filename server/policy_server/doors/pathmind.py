"""The protocol of Pathmind's policy server, whose clients work unchanged; `/predict_batch/` is ours."""

from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, Field

from policy_server.doors.door import MOST_ROWS, Door
from policy_server.engine import Decision
from policy_server.observations import observation_type, raw_observation_type

TAG = "Predictions"


def open_pathmind(door: Door) -> None:
    """Declares `/predict/` and its kin; without observations in the schema, `/predict_raw/` alone."""
    app, engine = door.app, door.engine
    common = door.described(TAG)
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

    Answer: Any = NamedAction if names else Action  # noqa: N806 -- a type

    def content(decision: Decision) -> dict[str, Any]:
        content: dict[str, Any] = {"actions": decision.actions, "probability": decision.probability}
        if names is not None:
            content["action_names"] = [names[int(action)] for action in decision.actions]
        return content

    def answer(decision: Decision) -> Action:
        answered: Action = Answer.model_construct(**content(decision))
        return answered

    RawObservation: Any = raw_observation_type(engine.policy.manifest.observation_size)  # noqa: N806 -- a type

    @app.post("/predict_raw/", response_model=Answer, summary="Sample an action for the model's own input", **common)
    async def predict_raw(observation: Annotated[RawObservation, Body()]) -> Action:
        """As `/predict/`, with all of the model's inputs in one list."""
        return answer(door.count(engine.predict(engine.raw_vector(observation))))

    door.shorten(
        "/predict_raw/", RawObservation, lambda body: content(door.count(engine.predict(engine.raw_vector(body))))
    )
    if not engine.schema.observations:
        return
    Observation: Any = observation_type(engine.schema)  # noqa: N806 -- a type

    @app.post("/predict/", response_model=Answer, summary="Sample an action", **common)
    async def predict(observation: Annotated[Observation, Body()]) -> Action:
        """Draws an action from the policy's distribution for this observation."""
        return answer(door.count(engine.predict(engine.vector(observation))))

    door.shorten("/predict/", Observation, lambda body: content(door.count(engine.predict(engine.vector(body)))))

    @app.post("/predict_deterministic/", response_model=Answer, summary="Take the most likely action", **common)
    async def predict_deterministic(observation: Annotated[Observation, Body()]) -> Action:
        """Returns the most likely action: the first among equals, and the mean where actions are real numbers."""
        return answer(door.count(engine.predict_deterministic(engine.vector(observation))))

    door.shorten(
        "/predict_deterministic/",
        Observation,
        lambda body: content(door.count(engine.predict_deterministic(engine.vector(body)))),
    )

    @app.post("/predict_batch/", response_model=list[Answer], summary="Sample an action for each observation", **common)
    async def predict_batch(
        observations: Annotated[list[Observation], Body(max_length=MOST_ROWS)],
    ) -> list[Action]:
        """As `/predict/` for each of many observations, answered by one inference, in their order."""
        return [answer(decision) for decision in await door.decide(engine.vectors(observations))]

    no_table = door.described(TAG, {405: "This policy's actions can't be listed."})

    @app.post("/distribution/", summary="Show each action's probability", **no_table)
    async def distribution(observation: Annotated[Observation, Body()]) -> dict[str, float]:
        """Returns the probability of every action, by its index; 405 for tuples and for real numbers."""
        return engine.distribution(engine.vector(observation))

    door.shorten("/distribution/", Observation, lambda body: engine.distribution(engine.vector(body)))
