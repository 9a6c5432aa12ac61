"""Action masks: what an observation forbids, the policy never does, even where its model ignores the mask.

The mask is read from the model's input, so that it holds for every protocol, however its observations came in.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policy_server.bundle import BundleManifest, MultiCategorical
from policy_server.config import Schema
from policy_server.errors import ObservationError, SchemaMismatch


def with_mask_of_size(schema: Schema, actions: int) -> Schema:
    """Returns the schema with the length of its mask, if it has one, fixed to the number of actions."""
    observations = [
        each.model_copy(update={"min_items": actions, "max_items": actions}) if each.mask else each
        for each in schema.observations
    ]
    return schema.model_copy(update={"observations": observations})


class ActionMask:
    """Where the mask stands among the model's inputs, and what it does to the model's output."""

    def __init__(self, name: str, start: int, sizes: Sequence[int]) -> None:
        """Takes the name of the observation, its first input, and how many actions each component has."""
        self._name = name
        self._inputs = slice(start, start + sum(sizes))
        ends = np.cumsum(sizes).tolist()
        self._components = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]

    @classmethod
    def of(cls, schema: Schema, manifest: BundleManifest) -> Self | None:
        """Returns the mask of a schema, if it has one.

        Raises:
            SchemaMismatch: its size is not the number of actions, or its place among the inputs can't be known.
        """
        if schema.mask is None:
            return None
        name, distribution = schema.mask.name, manifest.distribution
        if distribution.continuous:
            raise SchemaMismatch(f"{name} is a mask, and the model's actions are continuous: remove mask")
        actions = distribution.parameters
        least, greatest = schema.mask.width
        if not least <= actions <= (actions if greatest is None else greatest):
            width = str(least) if least == greatest else f"{least} to {greatest}"
            raise SchemaMismatch(
                f"the mask {name} has {width} values, the model has {actions} actions:"
                " correct its minItems and maxItems"
            )
        index = schema.observations.index(schema.mask)
        before = Schema(observations=schema.observations[:index]).width
        after = Schema(observations=schema.observations[index + 1 :]).width
        if before[0] == before[1]:
            start = before[0]
        elif after[0] == after[1]:
            start = manifest.observation_size - after[0] - actions
        else:
            raise SchemaMismatch(
                f"lists of open length stand before and after the mask {name}, so that its place is not known:"
                " give those on one side of it minItems = maxItems"
            )
        return cls(name, start, distribution.sizes if isinstance(distribution, MultiCategorical) else [actions])

    def apply(self, parameters: NDArray[np.float32], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns logits or values `(n, actions)` with -inf for actions that the inputs `(n, size)` forbid with a 0.

        Raises:
            ObservationError: a row allows no action; its location is the row and the mask's name.
        """
        allowed = inputs[:, self._inputs] != 0
        for component, actions in enumerate(self._components):
            possible = allowed[:, actions].any(axis=1)
            if not possible.all():
                which = f" of component {component}" if len(self._components) > 1 else ""
                message = f"The mask {self._name} allows no action{which}: at least one must be true"
                raise ObservationError(message, (int(possible.argmin()), self._name))
        return np.where(allowed, parameters, np.float32(-np.inf))
