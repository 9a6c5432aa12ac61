"""The protocol of Ray's tutorial "Serving RLlib Models", on the server's own path.

https://docs.ray.io/en/latest/serve/tutorials/rllib.html: its client sends a GET with a body, as `requests.get(url,
json={"observation": [...]})` does. Its server calls `compute_single_action`, which explores: the action is sampled.
"""

from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, Field, FiniteFloat

from policy_server.bundle import Categorical
from policy_server.doors.door import Door


def open_tutorial(door: Door) -> None:
    """Declares the server's own path: a GET without a body says `ok`, one with a body is asked for an action."""
    app, engine = door.app, door.engine
    manifest = engine.policy.manifest
    size, distribution = manifest.observation_size, manifest.distribution
    number: Any = float if engine.continuous else int
    single = isinstance(distribution, Categorical)
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

    def answer(asked: TutorialObservation) -> TutorialAction:
        actions = door.count(engine.predict(engine.raw_vector({"obs": asked.observation}))).actions
        return TutorialAction.model_construct(action=actions[0] if single else actions)

    @app.get("/", summary="Say ok, or sample an action", **door.described("Health"))
    async def alive(
        asked: Annotated[TutorialObservation | None, Body()] = None,
    ) -> Literal["ok"] | TutorialAction:
        """Without a body: tells that the server is there, and needs no key.

        With one: as POST, for clients of Ray's tutorial, which send GET.
        """
        return "ok" if asked is None else answer(asked)

    @app.post("/", summary="Sample an action for the model's own input", **door.described("RLlib tutorial"))
    async def act(asked: Annotated[TutorialObservation, Body()]) -> TutorialAction:
        """As `/predict_raw/`, in the words of Ray's tutorial."""
        return answer(asked)
