"""A BentoML service as its quickstart has it."""
# BentoML is in an environment of its own, so mypy knows nothing of it.
# mypy: ignore-errors

from typing import Any

import bentoml
from mlp import Policy


@bentoml.service(workers=1, metrics={"enabled": True}, logging={"access": {"enabled": False}})
class Mlp:
    """The policy."""

    def __init__(self) -> None:
        self._policy = Policy()

    @bentoml.api
    async def predict(self, observation: list[float]) -> dict[str, Any]:
        """Samples an action; async, because a thread hand-off costs more than the model."""
        action, probability = self._policy.act(observation)
        return {"actions": [action], "probability": probability}
