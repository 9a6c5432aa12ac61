"""The protocol of Ray's tutorial "Serving RLlib Models", on the server's own path.

https://docs.ray.io/en/latest/serve/tutorials/rllib.html: its client sends a GET with a body, as `requests.get(url,
json={"observation": [...]})` does. Its server calls `compute_single_action`, which explores: the action is sampled.
"""

from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import BaseModel, Field, FiniteFloat
from typing_extensions import TypedDict

from policy_server.doors.door import Door


def open_tutorial(door: Door) -> None:
    """Declares the server's own path: a GET without a body says `ok`, one with a body is asked for an action."""
    app, engine = door.app, door.engine
    manifest = engine.policy.manifest
    size, distribution = manifest.observation_size, manifest.distribution
    number: Any = float if engine.continuous else int
    single = distribution.single
    Action: Any = int if single else list[number]  # noqa: N806 -- a type

    inputs = Annotated[
        list[FiniteFloat],
        Field(min_length=size, max_length=size, description="The model's inputs in its own order."),
    ]
    asked_fields: Any = {"observation": inputs, **door.context_types()}
    Asked: Any = TypedDict("TutorialObservation", asked_fields)  # type: ignore[misc]  # noqa: N806 -- a type

    class TutorialAction(BaseModel):
        """What the policy does."""

        action: Annotated[
            Action, Field(description="A number where the action is one choice, else one number for each component.")
        ]

    Answer: Any = door.context_fields(TutorialAction)  # noqa: N806 -- a type
    Episode: Any = door.episode_header  # noqa: N806 -- a type

    async def answer(asked: Any, episode: str | None) -> BaseModel:
        vector = engine.raw_vector({"obs": asked["observation"]})
        decided = await door.decider.decided(vector, *door.take_context(asked, episode))
        actions = decided[0].actions
        told: dict[str, Any] = {"action": actions[0] if single else actions}
        answered: BaseModel = Answer.model_construct(**told | door.context(decided))
        return answered

    health, acting = (
        door.described(tag) | {"response_model_exclude_unset": True} for tag in ("Health", "RLlib tutorial")
    )

    @app.get("/", response_model=Literal["ok"] | Answer, summary="Say ok, or sample an action", **health)
    async def alive(asked: Annotated[Asked | None, Body()] = None, episode: Episode = None) -> Any:
        """Without a body: tells that the server is there, and needs no key.

        With one: as POST, for clients of Ray's tutorial, which send GET.
        """
        return "ok" if asked is None else await answer(asked, episode)

    @app.post("/", response_model=Answer, summary="Sample an action for the model's own input", **acting)
    async def act(asked: Annotated[Asked, Body()], episode: Episode = None) -> Any:
        """As `/predict_raw/`, in the words of Ray's tutorial."""
        return await answer(asked, episode)
