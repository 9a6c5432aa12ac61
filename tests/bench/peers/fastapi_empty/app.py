"""FastAPI's own cost: a route that does nothing, and one that does nothing but validate the observation."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, FiniteFloat


class Observation(BaseModel):
    """What CartPole shows."""

    cart_position: FiniteFloat
    cart_velocity: FiniteFloat
    pole_angle: FiniteFloat
    pole_velocity: FiniteFloat


app = FastAPI()


@app.post("/empty")
async def empty() -> dict[str, Any]:
    """Answers what a policy might."""
    return {"actions": [0], "probability": 0.5}


@app.post("/validated")
async def validated(observation: Observation) -> dict[str, Any]:
    """Answers what a policy might, once FastAPI has read the body."""
    return {"actions": [int(observation.pole_angle > 0)], "probability": 0.5}
