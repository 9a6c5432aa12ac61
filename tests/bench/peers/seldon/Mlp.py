"""A model for Seldon's wrapper, which wants the class and its module to have one name."""
# Seldon Core is in an environment of its own, so mypy knows nothing of it.
# mypy: ignore-errors

from typing import Any

from mlp import Policy


class Mlp:
    """The policy."""

    def load(self) -> None:
        """Loads the model in the worker process."""
        self._policy = Policy()

    def predict(self, observations: Any, names: list[str], meta: dict[str, Any] | None = None) -> list[list[float]]:
        """Samples an action for each observation; answers it with its probability."""
        return [list(self._policy.act(observation)) for observation in observations]
