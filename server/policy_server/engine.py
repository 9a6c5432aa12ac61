"""The data plane of one PolicyServer, without any transport: each protocol is a thin door to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from policy_server.bundle import DiagonalGaussian
from policy_server.compatibility import require_compatible
from policy_server.config import Schema, ServerConfig
from policy_server.errors import ObservationError
from policy_server.masking import ActionMask, with_mask_of_size
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
        schema: what observations hold, with what the model adds to it: the length of the mask.
        continuous: whether actions are real numbers.
        warnings: where the model overruled the schema.
    """

    def __init__(self, config: ServerConfig, policy: Policy, random: np.random.Generator) -> None:
        self.config = config
        self.policy = policy
        self.warnings = require_compatible(config.observation_schema, policy.manifest)
        actions = policy.manifest.distribution.parameters
        self.schema: Schema = with_mask_of_size(config.observation_schema, actions)
        self.continuous = isinstance(policy.manifest.distribution, DiagonalGaussian)
        self._flattening = Flattening(self.schema, policy.manifest.observation_size)
        self._mask = ActionMask.of(self.schema, policy.manifest)
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

    def vectors(self, observations: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
        """Returns the model's inputs `(n, size)` of validated observations; an ObservationError has the index too."""
        rows = np.empty((len(observations), self.policy.manifest.observation_size), np.float32)
        for index, observation in enumerate(observations):
            try:
                rows[index] = self._flattening.vector(observation)
            except ObservationError as error:
                raise ObservationError(str(error), (index, *error.location)) from None
        return rows

    def matrix(self, rows: Any) -> NDArray[np.float32]:
        """Returns the model's inputs `(n, size)` of rows that nothing validated yet; raises ObservationError."""
        return self._flattening.matrix(rows)

    def predict(self, vector: NDArray[np.float32]) -> Decision:
        """Samples an action; raises ObservationError where the mask allows none, as all below do."""
        return Decision(*self.policy.sampler.sample(self._parameters(vector), self._random))

    def predict_deterministic(self, vector: NDArray[np.float32]) -> Decision:
        """Returns the most likely action."""
        return Decision(*self.policy.sampler.most_likely(self._parameters(vector)))

    def distribution(self, vector: NDArray[np.float32]) -> dict[str, float]:
        """Returns each action's probability; raises NotOffered where they can't be listed."""
        return self.policy.sampler.table(self._parameters(vector))

    def _parameters(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        parameters = self.policy.parameters(vector)
        if self._mask is None:
            return parameters
        try:
            return self._mask.apply(parameters[np.newaxis], vector)[0]  # type: ignore[no-any-return]
        except ObservationError as error:
            raise ObservationError(str(error), error.location[1:]) from None

    def parameter_rows(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the distributions' parameters `(n, parameters)` of inputs `(n, size)`, masked, by one inference."""
        if not len(vectors):
            return np.empty((0, self.policy.manifest.distribution.parameters), np.float32)
        parameters = self.policy.parameter_rows(vectors)
        return parameters if self._mask is None else self._mask.apply(parameters, vectors)

    def decisions(self, parameter_rows: NDArray[np.float32], *, deterministic: bool = False) -> list[Decision]:
        """Returns an action for each row of parameters: sampled, or the most likely."""
        sampler = self.policy.sampler
        if deterministic:
            return [Decision(*sampler.most_likely(row)) for row in parameter_rows]
        return [Decision(*sampler.sample(row, self._random)) for row in parameter_rows]
