"""`GET /router`: what a router tells of itself, to those who have a key."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from policy_server.doors.door import Door, Rejection


class ArmStatus(BaseModel):
    """One policy under the router."""

    model_config = ConfigDict(alias_generator=to_camel)

    name: str
    digest: Annotated[str | None, Field(description="The model's; null: it isn't loaded.")]
    shadow: Annotated[bool, Field(description="Whether it only answers to be compared.")]
    state: Literal["Available", "Out", "NotLoaded"]
    detail: Annotated[str | None, Field(description="Why it isn't available.")]
    weight: Annotated[
        float | None, Field(ge=0, le=1, description="The probability with which it is chosen; null: it isn't drawn.")
    ]
    decisions: Annotated[int, Field(description="Those of late enough to count.")]
    rewards: Annotated[int, Field(description="How many of them have a reward.")]
    mean_reward: Annotated[float | None, Field(description="The mean of these rewards, as they came.")]


class RouterStatus(BaseModel):
    """What the router does now."""

    model_config = ConfigDict(alias_generator=to_camel)

    name: Annotated[str, Field(description="The PolicyServer's.")]
    mode: Annotated[str, Field(description="How it chooses.")]
    frozen: Annotated[bool, Field(description="Whether it learns nothing now.")]
    store_away: Annotated[str | None, Field(description="Why its store can't be used; null: it can.")]
    arms: list[ArmStatus]


def open_router_status(door: Door) -> None:
    """Declares the route, where there is a router."""
    routing = door.routing
    if routing is None:
        return
    responses: dict[int | str, Any] = {503: {"model": Rejection, "description": "There is no report yet."}}
    described = door.keyed | {"tags": ["Feedback"], "responses": door.keyed.get("responses", {}) | responses}

    @door.app.get("/router", response_model=RouterStatus, summary="Show the router's policies", **described)
    async def router() -> Any:
        """Returns each policy's share of the decisions and its mean reward, at most a second old."""
        report = door.tallies.reports.get(routing.name)
        if report is None:
            raise HTTPException(503, "The router has not reported yet: ask again", {"Retry-After": "1"})
        return replace(report, snapshot=None).content(routing.name)
