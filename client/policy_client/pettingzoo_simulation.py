"""Any PettingZoo environment whose agents act at once as a Simulation."""

from collections.abc import Sequence
from typing import Any

from policy_client.errors import MissingDependency, PolicyError
from policy_client.gymnasium_agent import GymnasiumAgent
from policy_client.observations import Observation
from policy_client.simulation import Simulation
from policy_client.spaces import Continuous, Discrete


class PettingZooSimulation(Simulation):
    """A PettingZoo environment; agents are numbered in the order of its `possible_agents`, each with spaces of its own.

    Observations are as `GymnasiumSimulation` has them, so that a Dict's `action_mask` is a list of that name, which a
    schema may have as its mask. The reward's one term is `reward`. An agent has ended when it is terminated, truncated
    or gone; while others play on it no longer acts, and keeps what it observed before its end, so that policies that
    are asked for it nevertheless get an observation that allows an action.
    """

    def __init__(self, environment: Any, names: Sequence[str] | None = None, seed: int | None = None) -> None:
        """Takes an environment of the parallel API, or an AEC one that can be converted.

        Args:
            environment: such as `mpe2.simple_spread_v3.parallel_env()`; it is the caller's, who closes it.
            names: what the numbers of an observation are called, as in the schema of a policy server.
            seed: makes the environment repeatable, from the first episode on.

        Raises:
            MissingDependency: PettingZoo is not installed.
            PolicyError: agents take turns or aren't known beforehand, there is no such action space, or there are more
                or fewer names than numbers.
        """
        try:
            from pettingzoo import AECEnv  # noqa: PLC0415 -- only this simulation needs it
            from pettingzoo.utils.conversions import aec_to_parallel  # noqa: PLC0415 -- as above
        except ImportError:
            raise MissingDependency("PettingZooSimulation needs PettingZoo: pip install pettingzoo") from None
        if isinstance(environment, AECEnv):
            if not environment.metadata.get("is_parallelizable"):
                raise PolicyError(
                    "the environment's agents take turns, those of a Simulation act at once: where they may, set"
                    " is_parallelizable in its metadata"
                )
            environment = aec_to_parallel(environment)
        self.environment = environment
        self._seed = seed
        self._possible = list(getattr(environment, "possible_agents", []))
        if not self._possible:
            raise PolicyError("the environment has no possible_agents: a Simulation's agents are the same throughout")
        self._agents = [
            GymnasiumAgent(str(name), environment.observation_space(name), environment.action_space(name), names)
            for name in self._possible
        ]
        self._observations: list[Observation] = [{} for _ in self._possible]
        self._rewards = [0.0 for _ in self._possible]
        self._done = [False for _ in self._possible]

    def number_of_agents(self) -> int:
        """See `Simulation`."""
        return len(self._agents)

    def action_space(self, agent_id: int) -> Continuous | Discrete:
        """See `Simulation`; MultiDiscrete and MultiBinary are Discrete, each number with its own choices."""
        return self._agents[agent_id].space

    def get_observation(self, agent_id: int) -> Observation:
        """See `Simulation`."""
        return self._observations[agent_id]

    def get_reward(self, agent_id: int) -> dict[str, float]:
        """See `Simulation`."""
        return {"reward": self._rewards[agent_id]}

    def is_done(self, agent_id: int) -> bool:
        """See `Simulation`."""
        return self._done[agent_id]

    def reset(self) -> None:
        """See `Simulation`.

        Raises:
            PolicyError: an agent only comes later.
        """
        seen, _ = self.environment.reset(seed=self._seed)
        self._seed = None  # later episodes go on with what it began
        late = [name for name in self._possible if name not in self.environment.agents]
        if late:
            raise PolicyError(f"{late[0]} isn't there when an episode begins: a Simulation's agents are all there")
        self._rewards = [0.0 for _ in self._possible]
        self._done = [False for _ in self._possible]
        self._observe(seen)

    def step(self) -> None:
        """See `Simulation`."""
        living = [index for index, done in enumerate(self._done) if not done]
        actions = {self._possible[index]: self._agents[index].action(self.action[index]) for index in living}
        seen, rewards, terminated, truncated, _ = self.environment.step(actions)
        self._rewards = [float(rewards.get(name, 0.0)) for name in self._possible]
        for index in living:
            name = self._possible[index]
            ended = terminated.get(name) or truncated.get(name)
            self._done[index] = bool(ended) or name not in self.environment.agents
        self._observe(seen)

    def _observe(self, seen: dict[Any, Any]) -> None:
        """Keeps what those who play on see."""
        for index, name in enumerate(self._possible):
            if not self._done[index]:
                self._observations[index] = self._agents[index].observation(seen[name])
