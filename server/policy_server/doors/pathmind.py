"""The protocol of Pathmind's policy server, whose clients work unchanged; `/predict_batch/` is ours."""

from typing import Annotated, Any, NotRequired

from fastapi import Body
from pydantic import BaseModel, Field

from policy_server.doors.door import Door
from policy_server.engine import Decision
from policy_server.observations import observation_type, raw_observation_type
from policy_server.recurrence import STATE

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
    State: Any = door.state_type()  # noqa: N806 -- a type
    others = {} if State is None else {STATE: NotRequired[State]}
    if State is not None:

        class RememberingAction(Answer):  # type: ignore[misc]  # a class that is known only here
            """What the policy does, and what it keeps in mind."""

            state: Annotated[str, Field(description="Send it with the next observation of this episode.")]

        Answer = RememberingAction  # noqa: N806 -- a type

    def content(decision: Decision) -> dict[str, Any]:
        content: dict[str, Any] = {"actions": decision.actions, "probability": decision.probability}
        if names is not None:
            content["action_names"] = [names[int(action)] for action in decision.actions]
        if decision.state is not None:
            content[STATE] = decision.state
        return content

    def answer(decision: Decision) -> Action:
        answered: Action = Answer.model_construct(**content(decision))
        return answered

    def sampled_raw(body: dict[str, Any]) -> Decision:
        memory = engine.memory(body)
        return engine.predict(engine.raw_vector(body), memory)

    RawObservation: Any = raw_observation_type(  # noqa: N806 -- a type
        engine.policy.manifest.observation_size, others
    )

    @app.post("/predict_raw/", response_model=Answer, summary="Sample an action for the model's own input", **common)
    async def predict_raw(observation: Annotated[RawObservation, Body()]) -> Action:
        """As `/predict/`, with all of the model's inputs in one list."""
        return answer(door.count(await door.run(lambda: sampled_raw(observation))))

    door.shorten("/predict_raw/", RawObservation, lambda body: content(door.count(sampled_raw(body))))
    if not engine.schema.observations:
        return
    Observation: Any = observation_type(engine.schema, others)  # noqa: N806 -- a type

    def sampled(body: dict[str, Any]) -> Decision:
        memory = engine.memory(body)
        return engine.predict(engine.vector(body), memory)

    def most_likely(body: dict[str, Any]) -> Decision:
        memory = engine.memory(body)
        return engine.predict_deterministic(engine.vector(body), memory)

    def table(body: dict[str, Any]) -> dict[str, float]:
        memory = engine.memory(body)
        return engine.distribution(engine.vector(body), memory)

    @app.post("/predict/", response_model=Answer, summary="Sample an action", **common)
    async def predict(observation: Annotated[Observation, Body()]) -> Action:
        """Draws an action from the policy's distribution for this observation."""
        return answer(door.count(await door.run(lambda: sampled(observation))))

    door.shorten("/predict/", Observation, lambda body: content(door.count(sampled(body))))

    @app.post("/predict_deterministic/", response_model=Answer, summary="Take the most likely action", **common)
    async def predict_deterministic(observation: Annotated[Observation, Body()]) -> Action:
        """Returns the most likely action: the first among equals, and the mean where actions are real numbers."""
        return answer(door.count(await door.run(lambda: most_likely(observation))))

    door.shorten("/predict_deterministic/", Observation, lambda body: content(door.count(most_likely(body))))

    @app.post("/predict_batch/", response_model=list[Answer], summary="Sample an action for each observation", **common)
    async def predict_batch(
        observations: Annotated[list[Observation], Body(max_length=door.most_rows)],
    ) -> list[Action]:
        """As `/predict/` for each of many observations, answered by one inference, in their order."""
        memories = engine.memories(observations)
        return [answer(decision) for decision in await door.decide(engine.vectors(observations), memories)]

    no_table = door.described(TAG, {405: "This policy's actions can't be listed."})

    @app.post("/distribution/", summary="Show each action's probability", **no_table)
    async def distribution(observation: Annotated[Observation, Body()]) -> dict[str, float]:
        """Returns the probability of every action, by its index; 405 for tuples and for real numbers."""
        return await door.run(lambda: table(observation))

    door.shorten("/distribution/", Observation, table)
