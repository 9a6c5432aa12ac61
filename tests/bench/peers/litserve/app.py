"""LitServe as its quickstart has it."""
# LitServe is in an environment of its own, so mypy knows nothing of it.
# mypy: ignore-errors

import os
from typing import Any

import litserve
from mlp import Policy


class Mlp(litserve.LitAPI):
    """The policy."""

    def setup(self, device: str) -> None:
        """Loads the model in the worker process."""
        self._policy = Policy()

    def decode_request(self, request: dict[str, Any]) -> list[float]:
        """Reads the observation."""
        return request["observation"]

    def predict(self, observation: list[float]) -> tuple[int, float]:
        """Samples an action."""
        return self._policy.act(observation)

    def encode_response(self, answer: tuple[int, float]) -> dict[str, Any]:
        """Answers in JSON."""
        return {"actions": [answer[0]], "probability": answer[1]}


if __name__ == "__main__":
    server = litserve.LitServer(Mlp(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
