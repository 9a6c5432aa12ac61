"""Any Gymnasium environment as a Simulation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_client.errors import MissingDependency, PolicyError
from policy_client.observations import Observation
from policy_client.simulation import Simulation
from policy_client.spaces import Continuous, Discrete


class GymnasiumSimulation(Simulation):
    """A Gymnasium environment with its one agent, number 0.

    Observations are flattened as `gymnasium.spaces.flatten` does, so that Discrete ones are one-hot: `obs_0`, `obs_1`
    and so on, or of a Dict, a number or list for each of its keys. The reward's one term is `reward`. An episode ends
    when it is terminated or truncated.
    """

    def __init__(self, environment: Any, names: Sequence[str] | None = None, seed: int | None = None) -> None:
        """Takes an environment, such as `gymnasium.make("CartPole-v1")` gives.

        Args:
            environment: it is the caller's, who closes it.
            names: what the numbers of an observation are called, as in the schema of a policy server.
            seed: makes the environment repeatable, from the first episode on.

        Raises:
            MissingDependency: Gymnasium is not installed.
            PolicyError: there is no such action space, or there are more or fewer names than numbers.
        """
        try:
            from gymnasium import spaces  # noqa: PLC0415 -- only this simulation needs it
        except ImportError:
            raise MissingDependency("GymnasiumSimulation needs Gymnasium: pip install gymnasium") from None
        self.environment = environment
        self._spaces = spaces
        self._seed = seed
        self._space, self._first = self._actions(environment.action_space)
        self._names = names
        if names is not None and len(names) != (size := spaces.flatdim(environment.observation_space)):
            raise PolicyError(f"there are {len(names)} names and an observation has {size} numbers: name each")
        self._observation: Observation = {}
        self._reward = 0.0
        self._done = False

    def number_of_agents(self) -> int:
        """See `Simulation`."""
        return 1

    def action_space(self, agent_id: int) -> Continuous | Discrete:
        """See `Simulation`; MultiDiscrete and MultiBinary are Discrete, each number with its own choices."""
        return self._space

    def get_observation(self, agent_id: int) -> Observation:
        """See `Simulation`."""
        return self._observation

    def get_reward(self, agent_id: int) -> dict[str, float]:
        """See `Simulation`."""
        return {"reward": self._reward}

    def is_done(self, agent_id: int) -> bool:
        """See `Simulation`."""
        return self._done

    def reset(self) -> None:
        """See `Simulation`."""
        observation, _ = self.environment.reset(seed=self._seed)
        self._seed = None  # later episodes go on with what it began
        self._observation, self._reward, self._done = self._named(observation), 0.0, False

    def step(self) -> None:
        """See `Simulation`."""
        action: Any = self.action[0] + self._first
        space = self.environment.action_space
        action = (
            int(action[0])
            if isinstance(space, self._spaces.Discrete)
            else action.reshape(space.shape).astype(space.dtype)
        )
        observation, reward, terminated, truncated, _ = self.environment.step(action)
        self._observation, self._reward = self._named(observation), float(reward)
        self._done = bool(terminated or truncated)

    def _actions(self, space: Any) -> tuple[Continuous | Discrete, Any]:
        """Returns the space, and its least values, from which Discrete ones count."""
        match space:
            case self._spaces.Discrete():
                return Discrete(int(space.n)), int(space.start)
            case self._spaces.MultiDiscrete():
                choices = np.ravel(space.nvec)
                return Discrete(choices.tolist(), len(choices)), np.ravel(space.start)
            case self._spaces.MultiBinary():
                return Discrete(2, int(np.prod(space.shape))), 0
            case self._spaces.Box() if np.issubdtype(space.dtype, np.floating):
                return Continuous(space.shape, space.low, space.high), 0
        raise PolicyError(f"the environment's actions are {space}: Discrete, MultiDiscrete, MultiBinary or a float Box")

    def _named(self, observation: Any) -> Observation:
        space = self.environment.observation_space
        if self._names is None and isinstance(space, self._spaces.Dict):
            return {key: _scalar(self._spaces.flatten(each, observation[key])) for key, each in space.spaces.items()}
        numbers = np.asarray(self._spaces.flatten(space, observation)).tolist()
        names = self._names or [f"obs_{index}" for index in range(len(numbers))]
        return dict(zip(names, numbers, strict=True))


def _scalar(flat: Any) -> Any:
    numbers: NDArray[Any] = np.asarray(flat)
    return numbers.tolist() if len(numbers) > 1 else numbers[0].item()
