"""Any Gymnasium environment as a Simulation."""

from collections.abc import Sequence
from typing import Any

from policy_client.gymnasium_agent import GymnasiumAgent
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
        self.environment = environment
        self._seed = seed
        self._agent = GymnasiumAgent("the environment", environment.observation_space, environment.action_space, names)
        self._observation: Observation = {}
        self._reward = 0.0
        self._done = False

    def number_of_agents(self) -> int:
        """See `Simulation`."""
        return 1

    def action_space(self, agent_id: int) -> Continuous | Discrete:
        """See `Simulation`; MultiDiscrete and MultiBinary are Discrete, each number with its own choices."""
        return self._agent.space

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
        self._observation, self._reward, self._done = self._agent.observation(observation), 0.0, False

    def step(self) -> None:
        """See `Simulation`."""
        action = self._agent.action(self.action[0])
        observation, reward, terminated, truncated, _ = self.environment.step(action)
        self._observation, self._reward = self._agent.observation(observation), float(reward)
        self._done = bool(terminated or truncated)
