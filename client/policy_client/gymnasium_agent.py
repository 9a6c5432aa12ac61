"""What an agent with Gymnasium's spaces sees and does, as a Simulation has it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_client.errors import MissingDependency, PolicyError
from policy_client.observations import Observation
from policy_client.spaces import Action, Continuous, Discrete


class GymnasiumAgent:
    """Translates between an agent's spaces in its environment and those of a Simulation.

    Attributes:
        space: its actions; MultiDiscrete and MultiBinary are Discrete, each number with its own choices.
    """

    def __init__(self, owner: str, observations: Any, actions: Any, names: Sequence[str] | None) -> None:
        """Takes whose spaces they are, for messages, both spaces, and what the numbers of an observation are called.

        Raises:
            MissingDependency: Gymnasium is not installed.
            PolicyError: there is no such action space, or there are more or fewer names than numbers.
        """
        try:
            from gymnasium import spaces  # noqa: PLC0415 -- only these simulations need it
        except ImportError:
            raise MissingDependency("GymnasiumSimulation needs Gymnasium: pip install gymnasium") from None
        self._spaces = spaces
        self._observations = observations
        self._actions = actions
        self._names = names
        self.space, self._first = self._space_and_first(owner)
        if names is not None and len(names) != (size := spaces.flatdim(observations)):
            raise PolicyError(
                f"there are {len(names)} names and an observation has {size} numbers: name each of {owner}'s"
            )

    def observation(self, seen: Any) -> Observation:
        """Returns what the environment lets the agent see: its numbers, or of a Dict those of each key, by name."""
        space = self._observations
        if self._names is None and isinstance(space, self._spaces.Dict):
            return {key: _scalar(self._spaces.flatten(each, seen[key])) for key, each in space.spaces.items()}
        numbers = np.asarray(self._spaces.flatten(space, seen)).tolist()
        names = self._names or [f"obs_{index}" for index in range(len(numbers))]
        return dict(zip(names, numbers, strict=True))

    def action(self, action: Action) -> Any:
        """Returns an action as the environment takes it."""
        given: Any = action + self._first
        if isinstance(self._actions, self._spaces.Discrete):
            return int(given[0])
        return given.reshape(self._actions.shape).astype(self._actions.dtype)

    def _space_and_first(self, owner: str) -> tuple[Continuous | Discrete, Any]:
        """Returns the space, and its least values, from which Discrete ones count."""
        match space := self._actions:
            case self._spaces.Discrete():
                return Discrete(int(space.n)), int(space.start)
            case self._spaces.MultiDiscrete():
                choices = np.ravel(space.nvec)
                return Discrete(choices.tolist(), len(choices)), np.ravel(space.start)
            case self._spaces.MultiBinary():
                return Discrete(2, int(np.prod(space.shape))), 0
            case self._spaces.Box() if np.issubdtype(space.dtype, np.floating):
                return Continuous(space.shape, space.low, space.high), 0
        raise PolicyError(f"{owner}'s actions are {space}: Discrete, MultiDiscrete, MultiBinary or a float Box")


def _scalar(flat: Any) -> Any:
    numbers: NDArray[Any] = np.asarray(flat)
    return numbers.tolist() if len(numbers) > 1 else numbers[0].item()
