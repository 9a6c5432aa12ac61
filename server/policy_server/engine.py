"""The data plane of one PolicyServer, without any transport: each protocol is a thin door to it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from policy_server.compatibility import require_compatible
from policy_server.config import PolicyConfig, Schema, ServerConfig
from policy_server.errors import ObservationError
from policy_server.masking import ActionMask, with_mask_of_size
from policy_server.observations import Flattening
from policy_server.policy import SLOW_SECONDS, Policy
from policy_server.recurrence import STATE
from policy_server.sampling import Actions
from policy_server.threads import Threads

Memories = NDArray[np.float32]
"""Of a recurrent policy, `(n, size)`: what it keeps in mind between two steps, see `Recurrence`."""


class Decision(NamedTuple):
    """One answered prediction.

    Attributes:
        actions: one number for each component of the action.
        probability: that of these actions; a density where they are real numbers.
        state: the memory of a recurrent policy, for the next step of the episode.
    """

    actions: Actions
    probability: float
    state: str | None = None


class Engine:
    """Answers observations with one policy's actions.

    Attributes:
        config: what it was made from.
        name: the policy's.
        policy: what answers.
        schema: what observations hold, with what the model adds to it: the length of the mask.
        continuous: whether actions are real numbers.
        warnings: where the model overruled the schema.
        slow: whether one inference takes so long that probes and other requests must not wait for it.
        threads: where it is made then.
    """

    def __init__(
        self,
        config: ServerConfig,
        name: str,
        policy: Policy,
        random: np.random.Generator,
        threads: Threads | None = None,
    ) -> None:
        self.config = config
        self.name = name
        self.policy = policy
        self.warnings = require_compatible(config.observation_schema, policy.manifest)
        actions = policy.manifest.distribution.parameters
        self.schema: Schema = with_mask_of_size(config.observation_schema, actions)
        self.continuous = policy.manifest.distribution.continuous
        self.slow = self.slow_for(1)
        self.threads = threads or Threads()
        self._flattening = Flattening(self.schema, policy.manifest.observation_size)
        self._mask = ActionMask.of(self.schema, policy.manifest)
        # Each draw holds the generator's lock, so that threads may share it:
        # https://numpy.org/doc/stable/reference/random/bit_generators/generated/numpy.random.BitGenerator.html
        self._random = random

    @classmethod
    def load(cls, config: ServerConfig, policy: PolicyConfig) -> Self:
        """Reads a policy's bundle and checks it against the schema.

        Raises:
            BundleError: the bundle can't be served.
            SchemaMismatch: it is for other observations or actions than the schema's.
        """
        return cls(config, policy.name, Policy.load(policy.bundle), np.random.default_rng(config.seed))

    def slow_for(self, rows: int) -> bool:
        """Tells whether so many inferences, one after the other, would take a millisecond or more."""
        return rows * self.policy.seconds >= SLOW_SECONDS

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

    def memories(self, texts: Sequence[Any]) -> Memories | None:
        """Returns what a recurrent policy keeps in mind for each row, of the states that requests hold.

        Raises:
            ObservationError: this policy's model didn't give one of them; its location is `STATE` and the row.
        """
        if self.policy.recurrence is None:
            return None
        try:
            return self.policy.recurrence.opened(texts)
        except ObservationError as error:
            raise ObservationError(str(error), (STATE, *error.location)) from None

    def _memory(self, text: str | None) -> Memories | None:
        if self.policy.recurrence is None:
            return None
        try:
            return self.memories([text])
        except ObservationError as error:
            raise ObservationError(str(error), (STATE,)) from None

    def predict(
        self, vector: NDArray[np.float32], state: str | None = None, *, deterministic: bool = False
    ) -> Decision:
        """Returns a decision for one input of the model `(1, size)`, sampled or the most likely.

        Raises:
            ObservationError: the mask allows no action, or the state is none that this policy's model gave.
            InferenceFailed: the model gave no usable answer.
        """
        parameters, after = self._step(vector, self._memory(state))
        sampler = self.policy.sampler
        made = sampler.most_likely(parameters) if deterministic else sampler.sample(parameters, self._random)
        return Decision(*made, after)

    def distribution(self, vector: NDArray[np.float32], state: str | None = None) -> dict[str, float]:
        """Returns each action's probability; raises as `predict`, and NotOffered where they can't be listed."""
        return self.policy.sampler.table(self._step(vector, self._memory(state))[0])

    def _step(self, vector: NDArray[np.float32], memory: Memories | None) -> tuple[NDArray[np.float32], str | None]:
        """Returns one distribution's parameters, masked, and the state after it, if there is one."""
        state = None
        if memory is None:
            parameters = self.policy.parameters(vector)
        else:
            (parameters,), (state,) = self.policy.step(vector, memory)
        if self._mask is None:
            return parameters, state
        try:
            return self._mask.apply(parameters[np.newaxis], vector)[0], state
        except ObservationError as error:
            raise ObservationError(str(error), error.location[1:]) from None

    def decide(
        self, vectors: NDArray[np.float32], states: Sequence[Any] | None = None, *, deterministic: bool = False
    ) -> tuple[list[Decision], NDArray[np.float32]]:
        """Returns a decision for each input `(n, size)`, sampled or the most likely, by one inference.

        Beside them are the distributions' parameters `(n, parameters)`, masked.

        Raises:
            ObservationError: a row's mask allows no action; its location begins with the row. Or see `memories`.
            InferenceFailed: the model gave no usable answer.
        """
        after: Sequence[str | None] = [None] * len(vectors)
        if not len(vectors):
            return [], np.empty((0, self.policy.manifest.distribution.parameters), np.float32)
        memories = self.memories(states or after)
        if memories is None:
            rows = self.policy.parameter_rows(vectors)
        else:
            rows, after = self.policy.step(vectors, memories)
        if self._mask is not None:
            rows = self._mask.apply(rows, vectors)
        sampler = self.policy.sampler
        made = map(sampler.most_likely, rows) if deterministic else (sampler.sample(row, self._random) for row in rows)
        return [Decision(*one, state) for one, state in zip(made, after, strict=True)], rows


LoadEngine = Callable[[ServerConfig, PolicyConfig], Engine]
"""Returns a policy of a configuration, ready to answer; raises as `Engine.load`."""
