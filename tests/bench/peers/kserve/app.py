"""KServe's Python server with a custom predictor, protocol v1."""
# KServe is in an environment of its own, so mypy knows nothing of it.
# mypy: ignore-errors

import os
from typing import Any

import uvicorn
from kserve import Model, ModelServer
from mlp import Policy


class Mlp(Model):
    """The policy."""

    def __init__(self) -> None:
        super().__init__("mlp")
        self._policy = Policy()
        self.ready = True

    async def predict(self, payload: dict[str, Any], headers: Any = None, response_headers: Any = None) -> Any:
        """Samples an action for each instance."""
        answers = [self._policy.act(observation) for observation in payload["instances"]]
        return {"predictions": [{"actions": [action], "probability": probability} for action, probability in answers]}


class LoopbackConfig(uvicorn.Config):
    """KServe listens on every address, without a setting for it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"host": "127.0.0.1", "access_log": False})


if __name__ == "__main__":
    uvicorn.Config = LoopbackConfig
    server = ModelServer(http_port=int(os.environ["PORT"]), enable_grpc=False, enable_latency_logging=False)
    server.start([Mlp()])
