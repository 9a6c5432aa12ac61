"""The protocol of Ray's tutorial "Serving RLlib Models", on the server's own path.

https://docs.ray.io/en/latest/serve/tutorials/rllib.html: its client sends a GET with a body, as `requests.get(url,
json={"observation": [...]})` does. Its server calls `compute_single_action`, which explores: the action is sampled.
"""

from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, Field, FiniteFloat

from policy_server.doors.door import Door
from policy_server.recurrence import STATE


def open_tutorial(door: Door) -> None:
    """Declares the server's own path: a GET without a body says `ok`, one with a body is asked for an action."""
    app, engine = door.app, door.engine
    manifest = engine.policy.manifest
    size, distribution = manifest.observation_size, manifest.distribution
    number: Any = float if engine.continuous else int
    single = distribution.single
    Action: Any = int if single else list[number]  # noqa: N806 -- a type

    class TutorialObservation(BaseModel):
        """What the agent observes."""

        observation: Annotated[
            list[FiniteFloat],
            Field(min_length=size, max_length=size, description="The model's inputs in its own order."),
        ]

    class TutorialAction(BaseModel):
        """What the policy does."""

        action: Annotated[
            Action, Field(description="A number where the action is one choice, else one number for each component.")
        ]

    State: Any = door.state_type()  # noqa: N806 -- a type
    Asked: Any = TutorialObservation  # noqa: N806 -- a type
    Answer: Any = TutorialAction  # noqa: N806 -- a type
    if State is not None:

        class RememberingObservation(TutorialObservation):
            """What the agent observes, and what it keeps in mind."""

            state: State = None  # an episode begins

        class RememberingAction(TutorialAction):
            """What the policy does, and what it keeps in mind."""

            state: Annotated[str, Field(description="Send it with the next observation of this episode.")]

        Asked, Answer = RememberingObservation, RememberingAction  # noqa: N806 -- types

    async def answer(asked: BaseModel) -> BaseModel:
        body = asked.model_dump()
        memory = engine.memory(body)
        vector = engine.raw_vector({"obs": body["observation"]})
        decision = door.count(await door.run(lambda: engine.predict(vector, memory)))
        told: dict[str, Any] = {"action": decision.actions[0] if single else decision.actions}
        answered: BaseModel = Answer.model_construct(
            **told | ({} if decision.state is None else {STATE: decision.state})
        )
        return answered

    @app.get(
        "/", response_model=Literal["ok"] | Answer, summary="Say ok, or sample an action", **door.described("Health")
    )
    async def alive(
        asked: Annotated[Asked | None, Body()] = None,
    ) -> Any:
        """Without a body: tells that the server is there, and needs no key.

        With one: as POST, for clients of Ray's tutorial, which send GET.
        """
        return "ok" if asked is None else await answer(asked)

    described = door.described("RLlib tutorial")

    @app.post("/", response_model=Answer, summary="Sample an action for the model's own input", **described)
    async def act(asked: Annotated[Asked, Body()]) -> Any:
        """As `/predict_raw/`, in the words of Ray's tutorial."""
        return await answer(asked)
