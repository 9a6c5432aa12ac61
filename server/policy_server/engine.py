"""The data plane of one PolicyServer, without any transport: each protocol is a thin door to it."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from policy_server.compatibility import require_compatible
from policy_server.config import ServerConfig
from policy_server.observations import Flattening
from policy_server.policy import Policy
from policy_server.sampling import Actions


@dataclass(frozen=True, slots=True)
class Decision:
    """One answered prediction.

    Attributes:
        actions: one number for each component of the action.
        probability: that of these actions; a density where they are real numbers.
    """

    actions: Actions
    probability: float


class Engine:
    """Answers observations with actions.

    Attributes:
        config: what it was made from.
        policy: what answers.
        warnings: where the model overruled the schema.
    """

    def __init__(self, config: ServerConfig, policy: Policy, random: np.random.Generator) -> None:
        self.config = config
        self.policy = policy
        self.warnings = require_compatible(config.observation_schema, policy.manifest)
        self._flattening = Flattening(config.observation_schema, policy.manifest.observation_size)
        self._random = random

    @classmethod
    def load(cls, config: ServerConfig) -> Self:
        """Reads the bundle and checks it against the schema.

        Raises:
            BundleError: the bundle can't be served.
            SchemaMismatch: it is for other observations or actions than the schema's.
        """
        return cls(config, Policy.load(config.policies[0].bundle), np.random.default_rng(config.seed))

    def vector(self, observation: dict[str, Any]) -> NDArray[np.float32]:
        """Returns the model's input of a validated observation; raises ObservationError where it doesn't fit."""
        return self._flattening.vector(observation)

    def raw_vector(self, observation: dict[str, Any]) -> NDArray[np.float32]:
        """Returns the model's input of a validated `{"obs": [...]}`; raises ObservationError as `vector` does."""
        return self._flattening.raw_vector(observation["obs"])

    def predict(self, vector: NDArray[np.float32]) -> Decision:
        """Samples an action."""
        return Decision(*self.policy.sampler.sample(self.policy.parameters(vector), self._random))

    def predict_deterministic(self, vector: NDArray[np.float32]) -> Decision:
        """Returns the most likely action."""
        return Decision(*self.policy.sampler.most_likely(self.policy.parameters(vector)))

    def distribution(self, vector: NDArray[np.float32]) -> dict[str, float]:
        """Returns each action's probability; raises NotOffered where they can't be listed."""
        return self.policy.sampler.table(self.policy.parameters(vector))
